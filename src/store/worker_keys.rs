//! Worker keys: each for one audience and a list of teams.

use time::OffsetDateTime;

use super::Store;
use super::audiences;
use super::credentials::{self, NewCredential, Owner};
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::team_keys;
use super::team_row::bump;
use crate::domain::audience::Audience;
use crate::domain::audit::Event;
use crate::domain::id::{CredentialId, TeamUid};

/// A worker's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerKey {
    /// Its id.
    pub id: CredentialId,
    /// What people call it.
    pub name: String,
    /// Callers' tokens must be for it.
    pub audience: Audience,
    /// The teams it serves, in the order of their uids.
    pub teams: Vec<TeamUid>,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Until when it works.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last seen.
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it is revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

/// What to change of a worker key; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct WorkerKeyChange {
    /// Another name.
    pub name: Option<String>,
    /// Other teams, the whole list.
    pub teams: Option<Vec<TeamUid>>,
}

macro_rules! worker_keys {
    () => {
        "SELECT c.id, c.name, c.created_at, c.expires_at, c.last_used_at, c.revoked_at, w.audience, w.version,
            (SELECT string_agg(l.team_uid, ',' ORDER BY l.team_uid) FROM worker_key_teams l
                WHERE l.credential_id = c.id) AS worker_teams
         FROM worker_keys w JOIN credentials c ON c.id = w.credential_id "
    };
}

impl Store {
    /// Saves a worker's key. The audience must be on no team's list, and every team must be alive.
    pub async fn create_worker_key(
        &self,
        key: &NewCredential,
        audience: &Audience,
        teams: &[TeamUid],
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        audiences::refuse_listed(&mut tx, audience).await?;
        credentials::insert(&mut tx, key, Owner::Worker).await?;
        tx.execute(
            "INSERT INTO worker_keys (credential_id, audience, version) VALUES ($1, $2, 1)",
            [key.id.into(), audience.as_str().into()],
        )
        .await?;
        add_teams(&mut tx, key.id, teams, event.at).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A worker key, alive or not.
    pub async fn worker_key(&self, id: CredentialId) -> Result<Option<WorkerKey>, StoreError> {
        let sql = concat!(worker_keys!(), "WHERE c.id = $1");
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(worker_key).transpose()
    }

    /// A page of worker keys, the oldest first; revoked ones among them.
    pub async fn worker_keys(&self, page: &Page) -> Result<Paged<WorkerKey>, StoreError> {
        let sql = concat!(worker_keys!(), "WHERE c.id > $1 ORDER BY c.id LIMIT $2");
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let keys = rows.iter().map(worker_key).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(keys, |key| key.id.to_string()))
    }

    /// Changes a worker key if its version is `expected`. When it has returned, a team taken off is served no more.
    pub async fn update_worker_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        change: &WorkerKeyChange,
        event: &Event,
    ) -> Result<WorkerKey, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut key = live(&mut tx, id, expected).await?;
        if let Some(name) = &change.name {
            key.name.clone_from(name);
            team_keys::rename(&mut tx, id, name).await?;
        }
        if let Some(teams) = &change.teams {
            drop_teams(&mut tx, &key, event.at).await?;
            add_teams(&mut tx, id, teams, event.at).await?;
            key.teams = team_keys::listed(teams);
        }
        key.version += 1;
        let sql = "UPDATE worker_keys SET version = $2 WHERE credential_id = $1";
        tx.execute(sql, [id.into(), key.version.into()]).await?;
        tx.commit_with(event).await?;
        Ok(key)
    }

    /// Revokes a worker key. When it has returned, nothing is exchanged with it.
    pub async fn revoke_worker_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let key = live(&mut tx, id, expected).await?;
        team_keys::revoke(&mut tx, id, event.at).await?;
        for team in &key.teams {
            bump(&mut tx, team, event.at).await?;
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// Adds living teams; each counts a change, because its principals may now mint for the worker.
async fn add_teams(tx: &mut Tx, key: CredentialId, uids: &[TeamUid], at: OffsetDateTime) -> Result<(), ChangeError> {
    let sql = "INSERT INTO worker_key_teams (credential_id, team_uid)
        SELECT $1, uid FROM teams WHERE uid = $2 AND deleted_at IS NULL ON CONFLICT DO NOTHING";
    for uid in uids {
        team_keys::require(tx, uid).await?;
        tx.execute(sql, [key.into(), uid.into()]).await?;
        bump(tx, uid, at).await?;
    }
    Ok(())
}

async fn drop_teams(tx: &mut Tx, key: &WorkerKey, at: OffsetDateTime) -> Result<(), StoreError> {
    for team in &key.teams {
        bump(tx, team, at).await?;
    }
    tx.execute("DELETE FROM worker_key_teams WHERE credential_id = $1", [key.id.into()]).await.map(drop)
}

async fn live(tx: &mut Tx, id: CredentialId, expected: Option<i64>) -> Result<WorkerKey, ChangeError> {
    let sql = concat!(worker_keys!(), "WHERE c.id = $1 AND c.revoked_at IS NULL");
    let row = tx.fetch_optional(sql, [id.into()]).await?.ok_or(ChangeError::NotFound)?;
    let key = worker_key(&row)?;
    check_version(expected, key.version)?;
    Ok(key)
}

fn worker_key(row: &Row) -> Result<WorkerKey, StoreError> {
    Ok(WorkerKey {
        id: row.handle("id")?,
        name: row.text("name")?,
        audience: row.parsed("audience", |text| Audience::parse(text).ok())?,
        teams: credentials::teams(row, "worker_teams")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        version: row.int("version")?,
    })
}
