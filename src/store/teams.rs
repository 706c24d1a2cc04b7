//! Teams and their policy.

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::team_row::{lock_version, team};
use super::{audiences, policy_json, team_issuers};
use crate::domain::audit::Event;
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::team::{MintingIssuer, Team, TeamPolicy};

/// What to change of a team; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct TeamChange {
    /// Another name.
    pub name: Option<String>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches it off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
    /// Another policy, whole.
    pub policy: Option<TeamPolicy>,
}

impl Store {
    /// Saves a new team. Its uid and external id must never have been used, in whatever case, and its audiences
    /// must be no worker's.
    pub async fn create_team(
        &self,
        team: &Team,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        self.create_team_for(team, None, event, remember).await
    }

    /// The same by a platform: the new team joins the list of its key, both or neither.
    pub async fn create_team_for(
        &self,
        team: &Team,
        platform: Option<CredentialId>,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        audiences::refuse_workers_audiences(&mut tx, &team.policy).await?;
        let inserted = tx
            .execute(
                "INSERT INTO teams (uid, uid_fold, name, policy, external_id, version, created_at, updated_at,
                    disabled_at, deleted_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) ON CONFLICT DO NOTHING",
                [
                    (&team.uid).into(),
                    team.uid.folded().into(),
                    team.name.as_str().into(),
                    policy_json::write(&team.policy)?.into(),
                    team.external_id.as_str().into(),
                    team.version.into(),
                    team.created_at.into(),
                    team.disabled_at.into(),
                    team.deleted_at.into(),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::UidTaken);
        }
        if let Some(key) = platform {
            tx.execute(
                "INSERT INTO platform_key_teams (credential_id, team_uid) VALUES ($1, $2)",
                [key.into(), (&team.uid).into()],
            )
            .await?;
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A team; tombstones are not found.
    pub async fn team(&self, uid: &TeamUid) -> Result<Option<Team>, StoreError> {
        let sql = "SELECT uid, name, policy, external_id, created_at, disabled_at, deleted_at, version
            FROM teams WHERE uid = $1 AND deleted_at IS NULL";
        self.db.fetch_optional(sql, [uid.into()]).await?.as_ref().map(team).transpose()
    }

    /// A page of teams, in the order of their uids.
    pub async fn teams(&self, page: &Page) -> Result<Paged<Team>, StoreError> {
        let sql = "SELECT uid, name, policy, external_id, created_at, disabled_at, deleted_at, version
            FROM teams WHERE uid > $1 AND deleted_at IS NULL ORDER BY uid LIMIT $2";
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let teams = rows.iter().map(team).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(teams, |team| team.uid.to_string()))
    }

    /// Changes a team if its version is `expected` (or whatever it is). When it has returned, no token decided
    /// under the old state can still be released.
    pub async fn update_team(
        &self,
        uid: &TeamUid,
        expected: Option<i64>,
        change: &TeamChange,
        event: &Event,
    ) -> Result<Team, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut team = lock_version(&mut tx, uid, expected).await?;
        if let Some(name) = &change.name {
            team.name.clone_from(name);
        }
        if let Some(disabled_at) = change.disabled_at {
            team.disabled_at = disabled_at;
        }
        if let Some(policy) = &change.policy {
            audiences::refuse_workers_audiences(&mut tx, policy).await?;
            team_issuers::refuse_missing(&mut tx, uid, policy).await?;
            team.policy = policy.clone();
        }
        team.version += 1;
        tx.execute(
            "UPDATE teams SET name = $2, disabled_at = $3, policy = $4, version = $5, updated_at = $6 WHERE uid = $1",
            [
                uid.into(),
                team.name.as_str().into(),
                team.disabled_at.into(),
                policy_json::write(&team.policy)?.into(),
                team.version.into(),
                event.at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(team)
    }

    /// Makes a team a tombstone: nothing of it mints, its uid and external id stay taken for ever. Its private issuer
    /// goes with it, keys and all.
    pub async fn delete_team(&self, uid: &TeamUid, expected: Option<i64>, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        lock_version(&mut tx, uid, expected).await?;
        end(&mut tx, uid, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }
}

/// Makes a team a tombstone, its private issuer with it.
pub(super) async fn end(tx: &mut Tx, uid: &TeamUid, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE teams SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE uid = $1";
    tx.execute(sql, [uid.into(), at.into()]).await?;
    team_issuers::destroy(tx, uid, at).await.map(drop)
}

/// Lets the shared issuer mint for a team whose private one is about to end.
pub(super) async fn mint_from_the_shared_issuer(
    tx: &mut Tx,
    uid: &TeamUid,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "SELECT policy FROM teams WHERE uid = $1 AND deleted_at IS NULL";
    let Some(row) = tx.fetch_optional(sql, [uid.into()]).await? else { return Ok(()) };
    let policy = TeamPolicy { issuer: MintingIssuer::Shared, ..policy_json::read(&row.text("policy")?)? };
    let sql = "UPDATE teams SET policy = $2, updated_at = $3, version = version + 1 WHERE uid = $1";
    tx.execute(sql, [uid.into(), policy_json::write(&policy)?.into(), at.into()]).await.map(drop)
}
