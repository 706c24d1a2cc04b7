//! Proof Key for Code Exchange (RFC 7636), method `S256` alone: `plain` proves nothing to whoever read the request.

use aws_lc_rs::{constant_time, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a challenge: SHA-256 in base64url without padding.
pub const CHALLENGE_LEN: usize = 43;

/// A `code_challenge`; no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(Box<str>);

/// A text that is no challenge of `S256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the SHA-256 of the verifier in base64url: 43 characters")]
pub struct ChallengeError;

impl CodeChallenge {
    /// Takes `text` if it is 32 bytes in base64url without padding, in the one spelling there is.
    pub fn parse(text: &str) -> Result<Self, ChallengeError> {
        let whole = URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == digest::SHA256_OUTPUT_LEN);
        if whole { Ok(Self(text.into())) } else { Err(ChallengeError) }
    }

    /// The challenge of `verifier`.
    pub fn of(verifier: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes())).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `verifier` is what the challenge was made of: 43 to 128 unreserved characters (RFC 7636, section 4.1).
    pub fn verifies(&self, verifier: &str) -> bool {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(unreserved)
            && constant_time::verify_slices_are_equal(Self::of(verifier).0.as_bytes(), self.0.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_verifies_and_nothing_else_does() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert_eq!(CodeChallenge::of(verifier), challenge);
        assert!(challenge.verifies(verifier));
        for wrong in ["", &verifier[1..], &verifier.replace('d', "e"), challenge.as_str()] {
            assert!(!challenge.verifies(wrong), "{wrong}");
        }
        // A verifier that breaks the rules is refused though its hash fits.
        for weak in ["short", &"x".repeat(129), &format!("{} ", "x".repeat(43))] {
            assert!(!CodeChallenge::of(weak).verifies(weak), "{weak}");
        }
    }

    #[test]
    fn a_challenge_has_one_spelling() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(good.len(), CHALLENGE_LEN);
        for wrong in ["", &good[1..], &format!("{good}="), &good.replace('-', "+"), &good.replace("cM", "cN")] {
            assert!(CodeChallenge::parse(wrong).is_err(), "{wrong}");
        }
    }
}
