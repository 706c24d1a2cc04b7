//! Platform keys: each with the teams it acts in and its rights there.

use super::Store;
use super::credentials::{self, NewCredential, Owner};
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::team_keys;
use crate::domain::audit::Event;
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::platform::PlatformRights;
use time::OffsetDateTime;

/// A platform backend's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformKey {
    /// Its id.
    pub id: CredentialId,
    /// What people call it.
    pub name: String,
    /// The teams it acts in, in the order of their uids.
    pub teams: Vec<TeamUid>,
    /// What it may do there.
    pub rights: PlatformRights,
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

/// What to change of a platform key; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct PlatformKeyChange {
    /// Another name.
    pub name: Option<String>,
    /// Other teams, the whole list.
    pub teams: Option<Vec<TeamUid>>,
    /// Other rights, all of them.
    pub rights: Option<PlatformRights>,
}

macro_rules! platform_keys {
    () => {
        "SELECT c.id, c.name, c.created_at, c.expires_at, c.last_used_at, c.revoked_at, f.rights, f.version,
            (SELECT string_agg(l.team_uid, ',' ORDER BY l.team_uid) FROM platform_key_teams l
                WHERE l.credential_id = c.id) AS platform_teams
         FROM platform_keys f JOIN credentials c ON c.id = f.credential_id "
    };
}

impl Store {
    /// Saves a platform key. Every team must be alive.
    pub async fn create_platform_key(
        &self,
        key: &NewCredential,
        teams: &[TeamUid],
        rights: &PlatformRights,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        credentials::insert(&mut tx, key, Owner::Platform).await?;
        let sql = "INSERT INTO platform_keys (credential_id, rights, version) VALUES ($1, $2, 1)";
        tx.execute(sql, [key.id.into(), rights.to_text().into()]).await?;
        add_teams(&mut tx, key.id, teams).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A platform key, alive or not.
    pub async fn platform_key(&self, id: CredentialId) -> Result<Option<PlatformKey>, StoreError> {
        let sql = concat!(platform_keys!(), "WHERE c.id = $1");
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(platform_key).transpose()
    }

    /// A page of platform keys, the oldest first; revoked ones among them.
    pub async fn platform_keys(&self, page: &Page) -> Result<Paged<PlatformKey>, StoreError> {
        let sql = concat!(platform_keys!(), "WHERE c.id > $1 ORDER BY c.id LIMIT $2");
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let keys = rows.iter().map(platform_key).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(keys, |key| key.id.to_string()))
    }

    /// Changes a platform key if its version is `expected`. When it has returned, nothing is minted that a team or a
    /// right taken off had allowed, in runs either.
    pub async fn update_platform_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        change: &PlatformKeyChange,
        event: &Event,
    ) -> Result<PlatformKey, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut key = live(&mut tx, id, expected).await?;
        if let Some(name) = &change.name {
            key.name.clone_from(name);
            team_keys::rename(&mut tx, id, name).await?;
        }
        if let Some(teams) = &change.teams {
            tx.execute("DELETE FROM platform_key_teams WHERE credential_id = $1", [id.into()]).await?;
            add_teams(&mut tx, id, teams).await?;
            key.teams = team_keys::listed(teams);
        }
        if let Some(rights) = &change.rights {
            key.rights.clone_from(rights);
        }
        key.version += 1;
        let sql = "UPDATE platform_keys SET rights = $2, version = $3 WHERE credential_id = $1";
        tx.execute(sql, [id.into(), key.rights.to_text().into(), key.version.into()]).await?;
        tx.commit_with(event).await?;
        Ok(key)
    }

    /// Revokes a platform key. When it has returned, nothing is minted with it, nor in the runs it opened.
    pub async fn revoke_platform_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        live(&mut tx, id, expected).await?;
        team_keys::revoke(&mut tx, id, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }
}

async fn add_teams(tx: &mut Tx, key: CredentialId, uids: &[TeamUid]) -> Result<(), ChangeError> {
    let sql = "INSERT INTO platform_key_teams (credential_id, team_uid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    for uid in uids {
        team_keys::require(tx, uid).await?;
        tx.execute(sql, [key.into(), uid.into()]).await?;
    }
    Ok(())
}

async fn live(tx: &mut Tx, id: CredentialId, expected: Option<i64>) -> Result<PlatformKey, ChangeError> {
    let sql = concat!(platform_keys!(), "WHERE c.id = $1 AND c.revoked_at IS NULL");
    let row = tx.fetch_optional(sql, [id.into()]).await?.ok_or(ChangeError::NotFound)?;
    let key = platform_key(&row)?;
    check_version(expected, key.version)?;
    Ok(key)
}

fn platform_key(row: &Row) -> Result<PlatformKey, StoreError> {
    Ok(PlatformKey {
        id: row.handle("id")?,
        name: row.text("name")?,
        teams: credentials::teams(row, "platform_teams")?,
        rights: row.parsed("rights", PlatformRights::parse)?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        version: row.int("version")?,
    })
}
