//! A store that was restored from an older copy learns what has happened since.

use super::bootstrap::Host;
use crate::domain::audit::{Action, Event};
use crate::store::{Buried, BuryError, Store, StoreError, Tombstones};

/// Takes tombstones into the store, with an audit row that says so: all of them or none.
pub async fn take_in(store: &Store, tombstones: &Tombstones, host: &Host) -> Result<Buried, BuryError> {
    let issuer = store.issuer().await?.ok_or(StoreError::Corrupt("issuers"))?;
    let event = host.event(issuer.id, Action::StoreRestore);
    store.bury(tombstones, &Event { target: Some(format!("issuer:{}", issuer.id)), ..event }).await
}
