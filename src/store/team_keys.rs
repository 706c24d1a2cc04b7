//! What keys for a list of teams share: those of platforms and of workers.

use time::OffsetDateTime;

use super::db::Tx;
use super::error::{ChangeError, StoreError};
use crate::domain::id::{CredentialId, TeamUid};

/// Gives a key another name.
pub(super) async fn rename(tx: &mut Tx, key: CredentialId, name: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE credentials SET name = $2 WHERE id = $1", [key.into(), name.into()]).await.map(drop)
}

/// Revokes a key.
pub(super) async fn revoke(tx: &mut Tx, key: CredentialId, at: OffsetDateTime) -> Result<(), StoreError> {
    tx.execute("UPDATE credentials SET revoked_at = $2 WHERE id = $1", [key.into(), at.into()]).await.map(drop)
}

/// Refuses a team that is gone or never was.
pub(super) async fn require(tx: &mut Tx, team: &TeamUid) -> Result<(), ChangeError> {
    let alive = "SELECT 1 AS one FROM teams WHERE uid = $1 AND deleted_at IS NULL";
    tx.fetch_optional(alive, [team.into()]).await?.map(drop).ok_or(ChangeError::NotFound)
}

/// The teams as a key lists them: in the order of their uids, each once.
pub(super) fn listed(teams: &[TeamUid]) -> Vec<TeamUid> {
    let mut teams = teams.to_vec();
    teams.sort();
    teams.dedup();
    teams
}
