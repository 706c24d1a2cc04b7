//! A team's row: how it is read, locked for a change, and how it counts changes made elsewhere.

use time::OffsetDateTime;

use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::policy_json;
use crate::domain::id::TeamUid;
use crate::domain::team::Team;

/// Counts a change that grants of the team depend on, so that those decided before it are not released.
pub(super) async fn bump(tx: &mut Tx, uid: &TeamUid, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE teams SET version = version + 1, updated_at = $2 WHERE uid = $1";
    tx.execute(sql, [uid.into(), at.into()]).await.map(drop)
}

/// Reads a team for a change of it, and checks the version. On PostgreSQL the row stays locked until the commit.
pub(super) async fn lock_version(tx: &mut Tx, uid: &TeamUid, expected: Option<i64>) -> Result<Team, ChangeError> {
    // A statement that changes nothing locks the row in both databases.
    let sql = "UPDATE teams SET version = version WHERE uid = $1 AND deleted_at IS NULL
        RETURNING uid, name, policy, external_id, created_at, disabled_at, deleted_at, version";
    let row = tx.fetch_optional(sql, [uid.into()]).await?.ok_or(ChangeError::NotFound)?;
    let team = team(&row)?;
    check_version(expected, team.version)?;
    Ok(team)
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
