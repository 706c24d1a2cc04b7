//! A key pair becomes a row: certified, sealed, named.

use time::OffsetDateTime;

use super::certificate::{self, CertificateError};
use super::keypair::{KeyError, KeyPair};
use super::seal::{Kek, SealError, Sealing};
use crate::domain::entropy::Entropy;
use crate::domain::id::IssuerId;
use crate::domain::signing_key::{KeyTimes, SigningKey};

/// Why a key pair did not become a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewKeyError {
    /// The key pair.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its sealing.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Makes the row of a key pair. Its private half leaves `crypto` only so: sealed for this issuer and this kid.
pub fn new_signing_key(
    pair: &KeyPair,
    issuer: IssuerId,
    times: KeyTimes,
    kek: &Kek,
    entropy: &dyn Entropy,
    now: OffsetDateTime,
) -> Result<SigningKey, NewKeyError> {
    let private = kek.seal(entropy, &pair.to_pkcs8()?, &Sealing::signing_key(issuer, pair.kid()))?;
    let certificate = certificate::self_signed(pair, now)?;
    Ok(SigningKey {
        issuer,
        kid: pair.kid().clone(),
        kind: pair.kind(),
        public: pair.public().clone(),
        certificate: Some(certificate.into()),
        private,
        times,
        first: false,
        forgotten_at: None,
    })
}
