//! A worker's audience is on no team's list, so that only principals of the teams it serves can mint for it.
//! Both sides of that rule are checked here, under the same lock.

use super::db::Tx;
use super::error::ChangeError;
use super::team_row::team;
use crate::domain::audience::Audience;
use crate::domain::team::TeamPolicy;

/// Refuses a policy that lists a live worker's audience.
pub(super) async fn refuse_workers_audiences(tx: &mut Tx, policy: &TeamPolicy) -> Result<(), ChangeError> {
    let sql = "SELECT 1 AS one FROM worker_keys w JOIN credentials c ON c.id = w.credential_id
        WHERE w.audience = $1 AND c.revoked_at IS NULL LIMIT 1";
    for rule in &policy.audiences {
        if tx.fetch_optional(sql, [rule.audience.as_str().into()]).await?.is_some() {
            return Err(ChangeError::Conflict("audience_of_worker"));
        }
    }
    Ok(())
}

/// Refuses an audience that some team lists. The pattern finds candidates; the policy itself decides.
pub(super) async fn refuse_listed(tx: &mut Tx, audience: &Audience) -> Result<(), ChangeError> {
    let plain = audience.as_str().replace('%', "_");
    let sql = "SELECT uid, name, policy, external_id, created_at, disabled_at, deleted_at, version
        FROM teams WHERE deleted_at IS NULL AND policy LIKE $1";
    for row in tx.fetch_all(sql, [format!("%\"{plain}\"%").into()]).await? {
        if team(&row)?.policy.audience(audience).is_some() {
            return Err(ChangeError::Conflict("audience_of_team"));
        }
    }
    Ok(())
}
