//! What a service account signs its own assertions with (RFC 7523): public keys, or where they are.

use time::OffsetDateTime;

use super::id::PublicKeyId;
use super::signing_key::PublicKey;

/// Most live keys of one service account.
pub const CLIENT_KEYS_MAX: usize = 20;

/// One registered key, or place of keys, of a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// Its id.
    pub id: PublicKeyId,
    /// What people call it; empty where it has no name.
    pub name: String,
    /// The key, or where it is.
    pub source: KeySource,
    /// Since when it is registered.
    pub created_at: OffsetDateTime,
    /// Until when it counts; `None` for ever.
    pub expires_at: Option<OffsetDateTime>,
    /// When an access token was last got with it.
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it is revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

/// Where the key of an assertion comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The key itself.
    Jwk {
        /// What its owner calls it, if anything; assertions may name it so, or by its thumbprint.
        kid: Option<Box<str>>,
        /// The public half, with its one algorithm.
        public: PublicKey,
    },
    /// A JWKS that its owner serves, so that keys can change without us.
    JwksUri(Box<str>),
}

impl ClientKey {
    /// Whether it counts at `now`.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}
