//! Session tags that a team may put into its tokens for STS, beside the fixed ones that only we set.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Most tags of one session (STS API reference, `AssumeRoleWithWebIdentity`).
pub const TAGS_MAX: usize = 50;
/// How many of them are ours: `brevet:team`, `:actor`, `:principal`, `:run` and `:sub`.
pub const TAGS_RESERVED: usize = 5;
/// Most characters of a key (IAM user guide, "Rules for tagging in IAM and AWS STS").
pub const KEY_MAX: usize = 128;
/// Most characters of a value (the same).
pub const VALUE_MAX: usize = 256;

/// Prefixes of keys that nobody but us and AWS sets. STS compares keys without case, so they are too.
const RESERVED: [&str; 2] = ["aws:", "brevet:"];

/// A text that is no key or value of a tag, with the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// An empty or long key.
    #[error("must have 1 to 128 characters")]
    KeyLength,
    /// A long value.
    #[error("must have at most 256 characters")]
    ValueLength,
    /// Narrower than AWS, which also takes letters of other scripts: what is taken here, every STS takes.
    #[error("must have only A-Z, a-z, 0-9, spaces and _ . : / = + - @, and no space at either end")]
    Charset,
    /// A prefix of ours or of AWS.
    #[error("must not begin with aws: or brevet:, in whatever case")]
    Reserved,
}

/// The key of a session tag. Two keys that differ only in case are one key to STS, and here: a session tag
/// overrides the role's own tag of that key (threat 37).
#[derive(Debug, Clone)]
pub struct TagKey(String);

/// The value of a session tag; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagValue(String);

impl TagKey {
    /// Takes `text` for a key, unchanged.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        if text.is_empty() || text.len() > KEY_MAX {
            return Err(TagError::KeyLength);
        }
        if !plain(text) {
            return Err(TagError::Charset);
        }
        if RESERVED.iter().any(|prefix| begins(text, prefix)) {
            Err(TagError::Reserved)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The key as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for TagKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for TagKey {}

impl Ord for TagKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl PartialOrd for TagKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for TagKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TagValue {
    /// Takes `text` for a value, unchanged.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        if text.len() > VALUE_MAX {
            return Err(TagError::ValueLength);
        }
        if !plain(text) {
            return Err(TagError::Charset);
        }
        if begins(text, "aws:") { Err(TagError::Reserved) } else { Ok(Self(text.to_owned())) }
    }

    /// The value as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn plain(text: &str) -> bool {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b" _.:/=+-@".contains(&byte);
    text.bytes().all(taken) && text.trim_matches(' ') == text
}

fn begins(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, HashSet};

    #[test]
    fn threat_37_nobody_gets_a_reserved_key_in_whatever_case() {
        for key in ["brevet:team", "Brevet:Team", "BREVET:x", "aws:x", "AWS:PrincipalTag", "brevet:", "aWs:"] {
            assert_eq!(TagKey::parse(key), Err(TagError::Reserved), "{key}");
        }
        for key in ["brevet", "awsome", "x:brevet:team", "cost center", "Team/Sub", "a=b+c-d@e.f_g"] {
            assert_eq!(TagKey::parse(key).unwrap().as_str(), key);
        }
        assert_eq!(TagValue::parse("AWS:x"), Err(TagError::Reserved));
        assert_eq!(TagValue::parse("brevet:x").unwrap().as_str(), "brevet:x");
    }

    #[test]
    fn bounds_and_charset_are_those_of_sts() {
        assert_eq!(TagKey::parse(""), Err(TagError::KeyLength));
        assert_eq!(TagValue::parse("").unwrap().as_str(), "");
        assert!(TagKey::parse(&"k".repeat(KEY_MAX)).is_ok() && TagValue::parse(&"v".repeat(VALUE_MAX)).is_ok());
        assert_eq!(TagKey::parse(&"k".repeat(KEY_MAX + 1)), Err(TagError::KeyLength));
        assert_eq!(TagValue::parse(&"v".repeat(VALUE_MAX + 1)), Err(TagError::ValueLength));
        for bad in ["a\n", "a*", "a$", "é", " a", "a ", "a\u{0}b", "a,b", "a\"b"] {
            assert_eq!(TagKey::parse(bad), Err(TagError::Charset), "{bad:?}");
            assert_eq!(TagValue::parse(bad), Err(TagError::Charset), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_of_different_case_are_one_key_in_every_collection(text in "[A-Za-z0-9_./=+@-]{1,20}") {
            let keys = [text.clone(), text.to_ascii_uppercase(), text.to_ascii_lowercase()];
            let parsed: Vec<_> = keys.iter().map(|key| TagKey::parse(key)).collect();
            prop_assert_eq!(&parsed[0], &parsed[1]);
            if let [Ok(a), Ok(b), Ok(c)] = &parsed[..] {
                prop_assert_eq!(BTreeSet::from([a, b, c]).len(), 1);
                prop_assert_eq!(HashSet::from([a, b, c]).len(), 1);
            }
        }
    }
}
