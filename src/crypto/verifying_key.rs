//! The public half of a key, parsed once and bound to its one algorithm.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::thumbprint;
use crate::domain::signing_key::{Algorithm, Kid, PublicKey};

/// A public key that verifies with the algorithm it was loaded with, and with no other.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
    thumbprint: Kid,
}

/// Members that are no sound public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a sound public key")]
pub struct VerifyingKeyError;

impl VerifyingKey {
    /// Parses the members of a key: the exponent of RSA must be odd and at least 3, the point of P-256 lie on the curve.
    /// Modulus and exponent have no leading zero, so that one key has one thumbprint.
    pub fn new(public: &PublicKey) -> Result<Self, VerifyingKeyError> {
        let decode = |member: &str| URL_SAFE_NO_PAD.decode(member).map_err(|_| VerifyingKeyError);
        let (algorithm, parsed) = match public {
            PublicKey::Rsa { n, e } => {
                let components = RsaPublicKeyComponents { n: decode(n)?, e: decode(e)? };
                if !is_exponent(&components.e) || components.n.first() == Some(&0) {
                    return Err(VerifyingKeyError);
                }
                (Algorithm::Rs256, components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256))
            }
            PublicKey::P256 { x, y } => {
                // Uncompressed (SEC 1, section 2.3.3).
                let point = [&[0x04], decode(x)?.as_slice(), decode(y)?.as_slice()].concat();
                (Algorithm::Es256, ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
        };
        let parsed = parsed.map_err(|_| VerifyingKeyError)?;
        Ok(Self { algorithm, parsed, thumbprint: thumbprint(public) })
    }

    /// The algorithm it is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its RFC 7638 thumbprint, whatever it is called where it is published.
    pub const fn thumbprint(&self) -> &Kid {
        &self.thumbprint
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

/// Whether `e` is a public exponent: odd, at least 3, and written without a leading zero. With an exponent of 1 a
/// signature is its own message: anybody could make one.
fn is_exponent(e: &[u8]) -> bool {
    let odd = e.last().is_some_and(|last| last & 1 == 1);
    odd && e != [1] && e.first() != Some(&0)
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} public key", self.algorithm)
    }
}
