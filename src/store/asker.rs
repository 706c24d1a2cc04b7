//! A change and whoever asked for it: that they still may when it is made, and the row that tells of it.

use std::ops::{Deref, DerefMut};

use super::db::{Db, Row, Tx};
use super::error::StoreError;
use crate::domain::audit::{Action, Decision, Event};
use crate::domain::platform::{PlatformRight, PlatformRights};
use crate::domain::role::{InstallationRole, TeamRole};

/// The transaction of a change whose asker has been looked at again. It ends with its audit row or not at all.
#[derive(Debug)]
pub(super) struct Change(Tx);

impl Db {
    /// Begins the change that `event` tells of, unless whoever asked for it may no more: between the question at the
    /// door and here a body was read, for as long as its sender liked (threat 23). Then the refusal gets the row.
    ///
    /// Who may is asked before anything is changed, so that a change may end its own asker; and no disable commits
    /// between the question and the end of this transaction.
    pub(super) async fn change(&self, event: &Event) -> Result<Change, StoreError> {
        asked(self.begin_beside().await?, event).await
    }

    /// The same for a change after which something may mint no more; see [`Db::begin_alone`].
    pub(super) async fn change_alone(&self, event: &Event) -> Result<Change, StoreError> {
        asked(self.begin_alone().await?, event).await
    }

    /// The same for what only an office allows, though it is no administration: ending a team's run.
    pub(super) async fn change_alone_in_office(&self, event: &Event) -> Result<Change, StoreError> {
        let mut tx = self.begin_alone().await?;
        let may = may_administer(&mut tx, event).await?;
        judged(tx, may, event).await
    }
}

impl Change {
    /// Writes the audit row in the change's own transaction, and commits both.
    pub(super) async fn commit_with(mut self, event: &Event) -> Result<(), StoreError> {
        self.0.note(event).await?;
        self.0.commit().await
    }

    /// Leaves everything as it was, and gives back what the transaction held: for a change that turns out to need another
    /// kind of transaction.
    pub(super) async fn undo(self) -> Result<(), StoreError> {
        self.0.roll_back().await
    }
}

impl Deref for Change {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.0
    }
}

async fn asked(mut tx: Tx, event: &Event) -> Result<Change, StoreError> {
    let may = still_may(&mut tx, event).await?;
    judged(tx, may, event).await
}

async fn judged(mut tx: Tx, may: bool, event: &Event) -> Result<Change, StoreError> {
    if may {
        return Ok(Change(tx));
    }
    let refusal = Event { decision: Decision::Refused, reason: Some("not_permitted"), ..event.clone() };
    tx.note(&refusal).await?;
    tx.commit().await?;
    Err(StoreError::AskerEnded)
}

/// Whether credential, session and office behind a change are still what they were at the door.
async fn still_may(tx: &mut Tx, event: &Event) -> Result<bool, StoreError> {
    if is_administration(event.action) { may_administer(tx, event).await } else { Ok(true) }
}

/// The same, whatever the action: for what only an office allows.
async fn may_administer(tx: &mut Tx, event: &Event) -> Result<bool, StoreError> {
    let Some((_, credential)) = event.credential else { return Ok(true) };
    let sql = "SELECT c.user_uid, c.administrator_id, p.role AS office, m.role, k.rights, l.team_uid AS listed,
            CAST(CASE WHEN t.disabled_at IS NULL THEN 1 ELSE 0 END AS BIGINT) AS team_enabled,
            CAST(CASE WHEN c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > $2)
                AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > $2)
                AND u.disabled_at IS NULL AND u.deleted_at IS NULL
                AND s.ended_at IS NULL AND (s.expires_at IS NULL OR s.expires_at > $2)
                AND (s.idle_at IS NULL OR s.idle_at > $2)
                AND v.disabled_at IS NULL AND v.deleted_at IS NULL
            THEN 1 ELSE 0 END AS BIGINT) AS alive
        FROM credentials c
            LEFT JOIN administrators p ON p.id = c.administrator_id
            LEFT JOIN users u ON u.uid = c.user_uid
            LEFT JOIN sessions s ON s.id = c.session_id
            LEFT JOIN upstream_providers v ON v.uid = s.provider_uid
            LEFT JOIN teams t ON t.uid = $3
            LEFT JOIN memberships m ON m.user_uid = c.user_uid AND m.team_uid = $3 AND m.removed_at IS NULL
            LEFT JOIN platform_keys k ON k.credential_id = c.id
            LEFT JOIN platform_key_teams l ON l.credential_id = c.id AND l.team_uid = $3
        WHERE c.id = $1";
    let team = event.team.as_ref().map(ToString::to_string);
    // A credential without a row is no caller's: no request came in by it.
    let Some(row) = tx.fetch_optional(sql, [credential.into(), event.at.into(), team.into()]).await? else {
        return Ok(true);
    };
    Ok(row.flag("alive")? && holds_office(&row, event)?)
}

fn holds_office(row: &Row, event: &Event) -> Result<bool, StoreError> {
    if row.optional_text("administrator_id")?.is_some() {
        return Ok(row.optional_text("office")?.as_deref() == Some(InstallationRole::Operator.as_str()));
    }
    if let Some(rights) = row.optional_parsed("rights", PlatformRights::parse)? {
        // A team that is being made is on its maker's list only when it is made.
        let founds = event.target.as_ref().is_some_and(|target| target.starts_with("team:"));
        let right = if founds { PlatformRight::RegisterTeams } else { PlatformRight::RegisterPrincipals };
        let listed = founds || event.team.is_none() || row.optional_text("listed")?.is_some();
        return Ok(listed && rights.includes(right));
    }
    // People administer by their seat in the team alone, and while it is switched on.
    if row.optional_text("user_uid")?.is_some() && event.team.is_some() {
        let rules = row.optional_text("role")?.as_deref() == Some(TeamRole::Admin.as_str());
        return Ok(rules && row.flag("team_enabled")?);
    }
    Ok(true)
}

/// Runs and tokens prove who opened them whenever they are used.
fn is_administration(action: Action) -> bool {
    let word = action.as_str();
    word.starts_with("admin.") || word.starts_with("signing_key.")
}
