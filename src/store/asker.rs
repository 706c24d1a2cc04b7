//! Whether whoever asked for a change still may when it is made.

use super::db::Tx;
use super::error::StoreError;
use crate::domain::audit::{Action, Event};
use crate::domain::role::{InstallationRole, TeamRole};

/// Looks again at the credential, the session and the office behind a change, in the change's own transaction: between
/// the question at the door and here a body was read, for as long as its sender liked (threat 23). What this very change
/// ends, at the instant of its event, still holds for it.
pub(super) async fn still_may(tx: &mut Tx, event: &Event) -> Result<(), StoreError> {
    let Some((_, credential)) = event.credential.filter(|_| is_administration(event.action)) else { return Ok(()) };
    let sql = "SELECT c.user_uid, c.administrator_id, p.role AS office, m.role,
            CAST(CASE WHEN (c.revoked_at IS NULL OR c.revoked_at = $2) AND (c.expires_at IS NULL OR c.expires_at >= $2)
                AND (p.revoked_at IS NULL OR p.revoked_at = $2) AND (p.expires_at IS NULL OR p.expires_at >= $2)
                AND (u.disabled_at IS NULL OR u.disabled_at = $2) AND (u.deleted_at IS NULL OR u.deleted_at = $2)
                AND (s.ended_at IS NULL OR s.ended_at = $2) AND (s.expires_at IS NULL OR s.expires_at >= $2)
                AND (s.idle_at IS NULL OR s.idle_at >= $2)
                AND (v.disabled_at IS NULL OR v.disabled_at = $2) AND (v.deleted_at IS NULL OR v.deleted_at = $2)
            THEN 1 ELSE 0 END AS BIGINT) AS alive
        FROM credentials c
            LEFT JOIN administrators p ON p.id = c.administrator_id
            LEFT JOIN users u ON u.uid = c.user_uid
            LEFT JOIN sessions s ON s.id = c.session_id
            LEFT JOIN upstream_providers v ON v.uid = s.provider_uid
            LEFT JOIN memberships m ON m.user_uid = c.user_uid AND m.team_uid = $3
                AND (m.removed_at IS NULL OR m.removed_at = $2)
        WHERE c.id = $1";
    let team = event.team.as_ref().map(ToString::to_string);
    // A credential without a row is no caller's: no request came in by it.
    let Some(row) = tx.fetch_optional(sql, [credential.into(), event.at.into(), team.into()]).await? else {
        return Ok(());
    };
    // Whoever gives up an office of their own may.
    let about = |whose: &str| event.target.as_ref().is_some_and(|target| target.ends_with(whose));
    let holds = match (row.optional_text("administrator_id")?, row.optional_text("user_uid")?) {
        (Some(administrator), _) => {
            row.optional_text("office")?.as_deref() == Some(InstallationRole::Operator.as_str())
                || about(&administrator)
        }
        // People administer by their seat in the team alone.
        (None, Some(person)) if event.team.is_some() => {
            row.optional_text("role")?.as_deref() == Some(TeamRole::Admin.as_str()) || about(&person)
        }
        (None, _) => true,
    };
    if holds && row.flag("alive")? { Ok(()) } else { Err(StoreError::AskerEnded) }
}

/// Runs and tokens prove who opened them whenever they are used.
fn is_administration(action: Action) -> bool {
    let word = action.as_str();
    word.starts_with("admin.") || word.starts_with("signing_key.")
}
