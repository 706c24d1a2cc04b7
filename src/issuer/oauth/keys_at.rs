//! The public keys of others: at hand, or waited for in a bounded number of places.

use std::sync::Arc;

use crate::crypto::foreign_keys::ForeignKeys;
use crate::domain::id::TeamUid;
use crate::issuer::Issuer;
use crate::oidc::{KeyPlace, KeysError};

impl Issuer {
    /// The keys at a place that `team` has named.
    pub(super) async fn keys_at(&self, place: &KeyPlace, team: &TeamUid) -> Result<Arc<ForeignKeys>, KeysError> {
        if let Some(keys) = self.foreign_keys().fresh(place) {
            return Ok(keys);
        }
        let _waiting = self.0.limits.wait_for_keys(team).map_err(|_| KeysError::Crowded)?;
        self.foreign_keys().keys(place, team).await
    }

    /// The keys there after one was missing in `seen`; `None` where there are no newer ones.
    pub(super) async fn newer_keys_at(
        &self,
        place: &KeyPlace,
        team: &TeamUid,
        seen: &Arc<ForeignKeys>,
    ) -> Result<Option<Arc<ForeignKeys>>, KeysError> {
        let _waiting = self.0.limits.wait_for_keys(team).map_err(|_| KeysError::Crowded)?;
        let newer = self.foreign_keys().newer(place, team, seen).await?;
        Ok((!Arc::ptr_eq(&newer, seen)).then_some(newer))
    }
}
