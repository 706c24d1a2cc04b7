//! Why there are no keys of a foreign issuer.

use crate::crypto::foreign_keys::ForeignKeysError;
use crate::fetch::FetchError;

/// What kept the keys away: words for the administrator's log and for audit rows. They name no address, no header and
/// no part of a document (threat 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The discovery document was not brought.
    #[error("its discovery document could not be fetched: {0}")]
    Discovery(FetchError),
    /// They are being fetched, and as many wait for them as may.
    #[error("too many requests wait for its keys already")]
    Crowded,
    /// It is no JSON object with the members that count.
    #[error("its discovery document must be a JSON object with issuer and jwks_uri")]
    Document,
    /// It speaks for another issuer.
    #[error("its discovery document names another issuer")]
    OtherIssuer,
    /// Its keys are at a place where none are fetched from.
    #[error("its jwks_uri must be an https URL (http only on the loopback of development) without user and fragment")]
    JwksUri,
    /// The JWKS was not brought.
    #[error("its JWKS could not be fetched: {0}")]
    Jwks(FetchError),
    /// The JWKS is refused.
    #[error("its {0}")]
    Keys(#[from] ForeignKeysError),
}
