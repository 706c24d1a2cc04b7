//! Audiences: for which relying party a token is.

use std::fmt;

/// The audience of AWS STS in the `aws` and `aws-us-gov` partitions.
pub const STS: &str = "sts.amazonaws.com";
/// The audience of AWS STS in the `aws-cn` partition.
pub const STS_CHINA: &str = "sts.amazonaws.com.cn";
/// Longest audience: IAM takes client ids of at most 255 characters.
pub const AUDIENCE_MAX: usize = 255;

/// One audience: 1 to 255 printable ASCII characters without space, `"`, `\` or `,`; compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(Box<str>);

/// A text that is no audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 255 printable ASCII characters, without spaces, quotes, commas or backslashes")]
pub struct AudienceError;

impl Audience {
    /// Takes `text` for an audience, unchanged.
    pub fn parse(text: &str) -> Result<Self, AudienceError> {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',');
        if (1..=AUDIENCE_MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(AudienceError)
        }
    }

    /// AWS STS.
    pub fn sts() -> Self {
        Self(STS.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether AWS STS is meant, so that the token must be bound to one role.
    pub fn is_sts(&self) -> bool {
        matches!(&*self.0, STS | STS_CHINA)
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_kept_or_refused() {
        let long = "a".repeat(256);
        for bad in ["", " ", "a b", "a\"", "a\\", "a,b", "é", "a\n", long.as_str()] {
            assert_eq!(Audience::parse(bad), Err(AudienceError), "{bad:?}");
        }
        for good in ["x", "https://worker.example.com", "//iam.googleapis.com/projects/1", STS] {
            assert_eq!(Audience::parse(good).map(|a| a.to_string()).as_deref(), Ok(good));
        }
        assert!(Audience::sts().is_sts());
        assert!(!Audience::parse("STS.amazonaws.com").unwrap().is_sts());
    }
}
