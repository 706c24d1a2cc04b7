//! Everything sealed in the store, wherever it lies, so that a change of the key-encryption key misses nothing.

use std::fmt;

use time::OffsetDateTime;

use super::Store;
use super::db::Row;
use super::error::{ChangeError, StoreError};
use crate::domain::audit::Event;
use crate::domain::id::IssuerId;
use crate::domain::sealed::Sealed;
use crate::domain::signing_key::Kid;

/// Where a sealed text lies. A closed list: a column `sealed_…` that is missing here fails a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace {
    /// The private half of a signing key: `signing_keys.sealed_private`.
    SigningKey {
        /// Of which issuer.
        issuer: IssuerId,
        /// Its name.
        kid: Kid,
    },
}

impl fmt::Display for SealedPlace {
    /// As audit rows name their targets: `<kind>:<uid>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SigningKey { kid, .. } => write!(f, "signing_key:{kid}"),
        }
    }
}

/// A sealed text and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedText {
    /// Where.
    pub place: SealedPlace,
    /// What.
    pub text: Sealed,
    /// From when on nobody needs to open it any more: the key signs no longer, or is distrusted.
    pub unneeded_from: Option<OffsetDateTime>,
}

impl SealedText {
    /// Whether somebody may have to open it at `now` or later.
    pub fn is_needed(&self, now: OffsetDateTime) -> bool {
        self.unneeded_from.is_none_or(|from| from > now)
    }
}

impl Store {
    /// Every sealed text there is, of every issuer. What was destroyed is not among them.
    pub async fn sealed(&self) -> Result<Vec<SealedText>, StoreError> {
        let sql = "SELECT issuer_id, kid, sealed_private, sign_until, revoked_at
            FROM signing_keys WHERE forgotten_at IS NULL ORDER BY kid";
        self.db.fetch_all(sql, []).await?.iter().map(signing_key).collect()
    }

    /// Puts `new` in the place of the text that was read; `false` where another text lies there by now, and then
    /// nothing is changed.
    pub async fn replace_sealed(&self, old: &SealedText, new: &Sealed, event: &Event) -> Result<bool, ChangeError> {
        let mut tx = self.db.change(event).await?;
        let changed = match &old.place {
            SealedPlace::SigningKey { issuer, kid } => {
                let sql = "UPDATE signing_keys SET sealed_private = $1
                    WHERE issuer_id = $2 AND kid = $3 AND sealed_private = $4 AND forgotten_at IS NULL";
                let text = old.text.as_str();
                tx.execute(sql, [new.as_str().into(), (*issuer).into(), kid.as_str().into(), text.into()]).await?
            }
        };
        if changed == 0 {
            return Ok(false);
        }
        tx.commit_with(event).await?;
        Ok(true)
    }
}

fn signing_key(row: &Row) -> Result<SealedText, StoreError> {
    Ok(SealedText {
        place: SealedPlace::SigningKey {
            issuer: row.handle("issuer_id")?,
            kid: row.parsed("kid", |text| Kid::parse(text).ok())?,
        },
        text: row.parsed("sealed_private", |text| Sealed::parse(text).ok())?,
        unneeded_from: row.optional_time("sign_until")?.into_iter().chain(row.optional_time("revoked_at")?).min(),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_sealed_column_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut columns = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            columns.extend(words.filter(|word| word.starts_with("sealed")).map(str::to_owned));
        }
        let listed = ["sealed_private"].map(str::to_owned);
        assert_eq!(columns, listed.into(), "a sealed column needs its place in `SealedPlace`, or reseal misses it");
    }
}
