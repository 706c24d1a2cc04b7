//! What must outlive a backup, as one line of text each: who was ever named in a subject, and the keys.
//!
//! The format is ours and read back strictly. Times are Unix milliseconds, as in the database.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::domain::issuer_url::{Development, IssuerUrl};

/// The format's name and version, in the first line.
const FORMAT: &str = "brevet-tombstones-1";

/// Everything that must not be forgotten, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstones {
    /// Whose store it was.
    pub issuer: IssuerUrl,
    pub(super) lines: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    issuer: String,
}

/// One thing that was there, alive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Team { uid: String, external_id: String, created_at: i64, deleted_at: Option<i64> },
    User { uid: String, created_at: i64, deleted_at: Option<i64> },
    ServiceAccount { uid: String, team: String, created_at: i64, deleted_at: Option<i64> },
    Issuer(IssuerLine),
    SigningKey(KeyLine),
}

/// An issuer's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerLine {
    pub(super) id: String,
    pub(super) url: String,
    /// Whose private issuer it is; absent for the shared one.
    pub(super) team: Option<String>,
    /// `max_age`, `export_lag`, `clock_error`, `oldest_snapshot`, `publish_before_sign`, `keep_after_sign`,
    /// `rotation_period`, in seconds.
    pub(super) schedule: [i64; 7],
    pub(super) x5c: i64,
    pub(super) keys_version: i64,
    pub(super) created_at: i64,
    pub(super) deleted_at: Option<i64>,
}

/// A signing key's row, its private half as sealed as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyLine {
    pub(super) kid: String,
    pub(super) issuer: String,
    pub(super) algorithm: String,
    pub(super) bits: i64,
    pub(super) public: [String; 2],
    pub(super) certificate: Option<String>,
    pub(super) sealed_private: String,
    pub(super) publish_from: i64,
    pub(super) sign_from: i64,
    pub(super) sign_until: Option<i64>,
    pub(super) publish_until: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) seen_from: Option<i64>,
    pub(super) seen_until: Option<i64>,
    pub(super) made_first: i64,
    pub(super) forgotten_at: Option<i64>,
    pub(super) created_at: i64,
}

/// A text that is no export of tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is none that `brevet store export-tombstones` writes")]
pub struct NoTombstones(pub usize);

impl Tombstones {
    /// A line for each, the head first.
    pub fn to_text(&self) -> Result<String, StoreError> {
        let head = Head { format: FORMAT.to_owned(), issuer: self.issuer.to_string() };
        let mut text = String::new();
        let mut add = |line: serde_json::Result<String>| {
            let line = line.map_err(|_| StoreError::Corrupt("tombstones"))?;
            text.push_str(&line);
            text.push('\n');
            Ok::<_, StoreError>(())
        };
        add(serde_json::to_string(&head))?;
        for line in &self.lines {
            add(serde_json::to_string(line))?;
        }
        Ok(text)
    }

    /// The exact inverse of [`Tombstones::to_text`]. A file that was cut off in the middle of a line is refused.
    pub fn parse(text: &str) -> Result<Self, NoTombstones> {
        let lines = text.strip_suffix('\n').ok_or_else(|| NoTombstones(text.lines().count().max(1)))?;
        let mut lines = lines.split('\n').enumerate();
        let head: Head = lines.next().and_then(|(_, line)| serde_json::from_str(line).ok()).ok_or(NoTombstones(1))?;
        // Whether loopback may be used was decided when the store was made.
        let issuer = IssuerUrl::parse(&head.issuer, Development::On).map_err(|_| NoTombstones(1))?;
        if head.format != FORMAT {
            return Err(NoTombstones(1));
        }
        let line = |(at, line)| serde_json::from_str(line).map_err(|_| NoTombstones(at + 1));
        Ok(Self { issuer, lines: lines.map(line).collect::<Result<_, _>>()? })
    }

    /// How many of them there are.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none; a store that was ever served has some.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Tombstones {
        Tombstones {
            issuer: IssuerUrl::parse("https://id.example.com", Development::Off).unwrap(),
            lines: vec![
                Line::Team { uid: "red".into(), external_id: "e".into(), created_at: 1, deleted_at: None },
                Line::User { uid: "ann".into(), created_at: 1, deleted_at: Some(2) },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = some().to_text().unwrap();
        assert_eq!(text.lines().count(), 3);
        assert_eq!(Tombstones::parse(&text), Ok(some()));
    }

    #[test]
    fn what_is_cut_off_changed_or_something_else_is_refused_with_its_line() {
        let text = some().to_text().unwrap();
        for (text, line) in [
            (String::new(), 1),
            ("\n".to_owned(), 1),
            ("{}\n".to_owned(), 1),
            (text[..text.len() - 1].to_owned(), 3),
            (text[..text.len() - 9].to_owned() + "\n", 3),
            (text.replace("-1\"", "-2\""), 1),
            (text.replace("\"team\"", "\"crew\""), 2),
            (text.replace("\"external_id\"", "\"more\":1,\"external_id\""), 2),
            (text.clone() + "\n", 4),
        ] {
            assert_eq!(Tombstones::parse(&text), Err(NoTombstones(line)), "{text}");
        }
    }
}
