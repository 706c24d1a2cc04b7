//! Signing keys, to look at.

use super::{AdminError, Reading};
use crate::domain::signing_key::{KeyState, SigningKey};

/// A key and what it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAt {
    /// The key; its private half is sealed.
    pub key: SigningKey,
    /// What the clock makes of it.
    pub state: KeyState,
}

impl Reading {
    /// Every key of the issuer: the signing one, those to come, those that were, in the order of their signing.
    pub async fn signing_keys(&self) -> Result<Vec<KeyAt>, AdminError> {
        let now = self.now();
        let keys = self.store().signing_keys(self.issuer.id()).await?;
        let mut keys: Vec<_> = keys.into_iter().map(|key| KeyAt { state: key.state(now), key }).collect();
        keys.sort_by_key(|at| match at.state {
            KeyState::Active => 0,
            KeyState::Next => 1,
            KeyState::Retired => 2,
            KeyState::Gone => 3,
            KeyState::Revoked => 4,
        });
        Ok(keys)
    }
}
