//! Secrets as they lie in the database: encrypted text that says which key opens it.

use std::fmt;

/// Encrypted text of the form `v1.<kek-id>.<nonce>.<ciphertext>`: the id 16 lower-case hex digits, the other
/// two base64url without padding. `crypto::seal` makes and opens it; `store` keeps it and cannot open it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Box<str>);

/// A text that is not sealed text; the text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed text must have the form v1.<kek-id>.<nonce>.<ciphertext>")]
pub struct SealedError;

/// The version this code writes.
pub const SEALED_VERSION: &str = "v1";
/// Hex digits of the id of a key-encryption key.
pub const KEK_ID_LEN: usize = 16;

/// The three parts of sealed text behind its version.
#[derive(Clone, Copy)]
pub struct SealedParts<'a> {
    /// Which key-encryption key sealed it.
    pub kek_id: &'a str,
    /// The nonce, base64url.
    pub nonce: &'a str,
    /// Ciphertext and tag, base64url.
    pub ciphertext: &'a str,
}

impl Sealed {
    /// Takes `text` if it has the form; whether it opens is another question.
    pub fn parse(text: &str) -> Result<Self, SealedError> {
        parts(text).map(|_| Self(text.into())).ok_or(SealedError)
    }

    /// The text, for the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the key-encryption key that sealed it.
    pub fn kek_id(&self) -> &str {
        self.parts().kek_id
    }

    /// The parts behind the version.
    pub fn parts(&self) -> SealedParts<'_> {
        // The form was checked by `parse`, the only constructor.
        parts(&self.0).unwrap_or(SealedParts { kek_id: "", nonce: "", ciphertext: "" })
    }
}

fn parts(text: &str) -> Option<SealedParts<'_>> {
    let mut parts = text.split('.');
    let version = parts.next()?;
    let found = SealedParts { kek_id: parts.next()?, nonce: parts.next()?, ciphertext: parts.next()? };
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let base64url =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let sound = version == SEALED_VERSION
        && parts.next().is_none()
        && found.kek_id.len() == KEK_ID_LEN
        && found.kek_id.bytes().all(hex)
        && base64url(found.nonce)
        && base64url(found.ciphertext);
    sound.then_some(found)
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<sealed by {}>", self.kek_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_versioned_form_is_sealed_text() {
        let text = "v1.0123456789abcdef.bm9uY2U.Y2lwaGVy";
        let sealed = Sealed::parse(text).unwrap();
        assert_eq!((sealed.as_str(), sealed.kek_id()), (text, "0123456789abcdef"));
        for bad in [
            "",
            "v1",
            "v2.0123456789abcdef.bm9uY2U.Y2lwaGVy",
            "v1.0123456789ABCDEF.bm9uY2U.Y2lwaGVy",
            "v1.0123456789abcde.bm9uY2U.Y2lwaGVy",
            "v1.0123456789abcdef..Y2lwaGVy",
            "v1.0123456789abcdef.bm9uY2U.",
            "v1.0123456789abcdef.bm9uY2U.Y2lwaGVy.x",
            "v1.0123456789abcdef.bm9uY2U.Y2lw=",
        ] {
            assert_eq!(Sealed::parse(bad), Err(SealedError), "{bad:?}");
        }
    }

    #[test]
    fn threat_31_debugging_sealed_text_shows_only_whose_key_opens_it() {
        let sealed = Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap();
        assert_eq!(format!("{sealed:?}"), "<sealed by 0123456789abcdef>");
    }
}
