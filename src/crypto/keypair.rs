//! Key pairs: made, parsed once, and never shown.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwk::thumbprint;
use crate::domain::secret::SecretBytes;
use crate::domain::signing_key::{Algorithm, KeyKind, Kid, PublicKey};

/// Why there is no key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The library made none.
    #[error("a key pair could not be made")]
    Generate,
    /// The bytes are no PKCS#8 private key, or one that fails its own checks.
    #[error("private key must be a sound PKCS#8 key")]
    Parse,
    /// The key is of another kind than its row says.
    #[error("private key must be of the algorithm and size it is listed with")]
    Kind,
    /// The library signed nothing.
    #[error("signing failed")]
    Sign,
}

/// A parsed key pair with its name. Parsing checks the key and sets up its blinding, which costs more than a
/// signature: do it once.
pub struct KeyPair {
    private: Private,
    kind: KeyKind,
    public: PublicKey,
    kid: Kid,
}

// The RSA half is a pointer as well: boxing would only add one.
pub(super) enum Private {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl KeyPair {
    /// Makes a new one from the library's own randomness. Takes up to seconds of CPU for RSA-4096: not for a
    /// request's thread.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyError> {
        let rsa = |size| RsaKeyPair::generate(size).map(Private::Rsa);
        let private = match kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Private::P256),
        };
        Self::named(private.map_err(|_| KeyError::Generate)?, kind)
    }

    /// Parses and checks a private key in PKCS#8 (RFC 5208) that must be of `kind`.
    pub fn from_pkcs8(kind: KeyKind, pkcs8: &SecretBytes) -> Result<Self, KeyError> {
        let private = match kind.algorithm() {
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8.expose()).map(Private::Rsa),
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.expose()).map(Private::P256)
            }
        };
        Self::named(private.map_err(|_| KeyError::Parse)?, kind)
    }

    pub(super) fn named(private: Private, kind: KeyKind) -> Result<Self, KeyError> {
        let public = match &private {
            Private::Rsa(pair) => {
                let key = pair.public_key();
                let n = URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero());
                let e = URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero());
                PublicKey::new(kind, &n, &e)
            }
            Private::P256(pair) => match pair.public_key().as_ref() {
                [0x04, point @ ..] if point.len() == 64 => {
                    let (x, y) = point.split_at(32);
                    PublicKey::new(kind, &URL_SAFE_NO_PAD.encode(x), &URL_SAFE_NO_PAD.encode(y))
                }
                _ => return Err(KeyError::Kind),
            },
        };
        let public = public.map_err(|_| KeyError::Kind)?;
        Ok(Self { private, kind, kid: thumbprint(&public), public })
    }

    /// Algorithm and size.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The name: the thumbprint of the public half.
    pub const fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The JWS signature over `message`: PKCS#1 v1.5 (RFC 7518, section 3.3), or `r || s` (section 3.4).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signed = match &self.private {
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map(|()| signature)
            }
            Private::P256(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec())
            }
        };
        signed.map_err(|_| KeyError::Sign)
    }

    /// The signature of X.509 over a certificate's body, which for ECDSA is ASN.1 (RFC 3279, section 2.2.3).
    pub(super) fn sign_certificate_body(&self, body: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.private {
            Private::Rsa(_) => self.sign(body),
            Private::P256(_) => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.to_pkcs8()?.expose())
                    .map_err(|_| KeyError::Parse)?;
                let signature = pair.sign(&SystemRandom::new(), body).map_err(|_| KeyError::Sign)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }

    /// The subject public key of X.509: PKCS#1 for RSA, the uncompressed point for P-256.
    pub(super) fn subject_public_key(&self) -> &[u8] {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().as_ref(),
            Private::P256(pair) => pair.public_key().as_ref(),
        }
    }

    /// The private half in PKCS#8, for sealing and nothing else.
    pub(super) fn to_pkcs8(&self) -> Result<SecretBytes, KeyError> {
        match &self.private {
            Private::Rsa(pair) => pair.as_der().map(|der| SecretBytes::new(der.as_ref().to_vec())),
            Private::P256(pair) => pair.to_pkcs8v1().map(|der| SecretBytes::new(der.as_ref().to_vec())),
        }
        .map_err(|_| KeyError::Generate)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {}", self.kind.algorithm(), self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_survives_pkcs8_and_keeps_its_name() {
        for kind in KeyKind::ALL {
            let made = KeyPair::generate(kind).unwrap();
            let read = KeyPair::from_pkcs8(kind, &made.to_pkcs8().unwrap()).unwrap();
            assert_eq!((read.kid(), read.public(), read.kind()), (made.kid(), made.public(), kind));
        }
    }

    #[test]
    fn a_key_of_another_kind_than_listed_is_refused() {
        let rsa = KeyPair::generate(KeyKind::Rsa2048).unwrap().to_pkcs8().unwrap();
        assert_eq!(KeyPair::from_pkcs8(KeyKind::Rsa3072, &rsa).err(), Some(KeyError::Kind));
        assert_eq!(KeyPair::from_pkcs8(KeyKind::P256, &rsa).err(), Some(KeyError::Parse));
        let garbage = SecretBytes::new(b"not a key".to_vec());
        assert_eq!(KeyPair::from_pkcs8(KeyKind::Rsa2048, &garbage).err(), Some(KeyError::Parse));
    }

    #[test]
    fn threat_15_debugging_a_key_pair_shows_its_name_only() {
        let pair = KeyPair::generate(KeyKind::P256).unwrap();
        assert_eq!(format!("{pair:?}"), format!("ES256 key {}", pair.kid()));
    }
}
