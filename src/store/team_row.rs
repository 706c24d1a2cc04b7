//! A team's row: how it is read, and how it counts changes made elsewhere.

use time::OffsetDateTime;

use super::db::{Row, Tx};
use super::error::StoreError;
use super::policy_json;
use crate::domain::id::TeamUid;
use crate::domain::team::Team;

/// Counts a change that grants of the team depend on, so that those decided before it are not released.
pub(super) async fn bump(tx: &mut Tx, uid: &TeamUid, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE teams SET version = version + 1, updated_at = $2 WHERE uid = $1";
    tx.execute(sql, [uid.into(), at.into()]).await.map(drop)
}

pub(super) fn team(row: &Row) -> Result<Team, StoreError> {
    Ok(Team {
        uid: row.uid("uid")?,
        name: row.text("name")?,
        policy: policy_json::read(&row.text("policy")?)?,
        external_id: row.text("external_id")?,
        created_at: row.time("created_at")?,
        disabled_at: row.optional_time("disabled_at")?,
        deleted_at: row.optional_time("deleted_at")?,
        version: row.int("version")?,
    })
}
