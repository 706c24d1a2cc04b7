//! Hashes of opaque credentials: all that is stored of them.
//!
//! A credential has 256 random bits, so one SHA-256 is as good as any slow hash; there is nothing to guess.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::secret::Secret;

/// The SHA-256 of `secret`: 64 lower-case hex digits, by which its row is looked up.
pub fn hash(secret: &Secret) -> String {
    lower_hex(digest(&SHA256, secret.expose().as_bytes()).as_ref())
}

/// Bytes as lower-case hex digits.
pub(super) fn lower_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 0xf]).map(|d| char::from(DIGITS[usize::from(d)])).collect()
}

/// Whether `secret` has the stored `hash`, in a time that does not depend on where they differ.
pub fn matches(secret: &Secret, stored: &str) -> bool {
    verify_slices_are_equal(hash(secret).as_bytes(), stored.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches_its_hash() {
        let secret = Secret::new("abc".to_owned());
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash(&secret), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(matches(&secret, &hash(&secret)));
        for stored in [&hash(&secret).to_uppercase(), "", &hash(&secret)[..63], &hash(&Secret::new("abd".to_owned()))] {
            assert!(!matches(&secret, stored), "{stored}");
        }
    }
}
