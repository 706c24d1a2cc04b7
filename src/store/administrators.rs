//! Administrators of the installation, and the first one's key.

use time::OffsetDateTime;

use super::Store;
use super::credentials::{self, NewCredential, Owner};
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use crate::domain::audit::Event;
use crate::domain::id::AdministratorId;
use crate::domain::role::InstallationRole;

/// Someone who may administer the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Their id.
    pub id: AdministratorId,
    /// What people call them.
    pub name: String,
    /// What they may do.
    pub role: InstallationRole,
    /// Whether it is the first start's: revoked when a second one is made.
    pub bootstrap: bool,
    /// Since when they are.
    pub created_at: OffsetDateTime,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// Since when they are no more.
    pub revoked_at: Option<OffsetDateTime>,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

/// What to change of an administrator; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct AdministratorChange {
    /// Another name.
    pub name: Option<String>,
    /// Another role.
    pub role: Option<InstallationRole>,
}

impl Store {
    /// Saves the first start's administrator and key; `false` if one is alive already. Processes that start at
    /// once wait for each other here, and exactly one gets `true`.
    pub async fn create_first_administrator(
        &self,
        administrator: &Administrator,
        key: &NewCredential,
        event: &Event,
    ) -> Result<bool, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        if living_others(&mut tx, None, event.at).await? {
            return Ok(false);
        }
        // One that ran out unused makes room for the next.
        tx.execute("UPDATE administrators SET revoked_at = $1 WHERE revoked_at IS NULL", [event.at.into()]).await?;
        insert(&mut tx, administrator, key).await?;
        tx.commit_with(event).await?;
        Ok(true)
    }

    /// Whether an administrator is alive at `now`, so that there is no first one to make.
    pub async fn has_administrator(&self, now: OffsetDateTime) -> Result<bool, StoreError> {
        living_others(&mut self.db.begin().await?, None, now).await
    }

    /// Saves an administrator and their key. The first start's is revoked with an operator: its key was on a terminal
    /// or in a file. An auditor does not replace it.
    pub async fn create_administrator(
        &self,
        administrator: &Administrator,
        key: &NewCredential,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let ends = [
            "UPDATE credentials SET revoked_at = $1 WHERE revoked_at IS NULL AND administrator_id IN
                (SELECT id FROM administrators WHERE bootstrap = 1 AND revoked_at IS NULL)",
            "UPDATE administrators SET revoked_at = $1, version = version + 1
                WHERE bootstrap = 1 AND revoked_at IS NULL",
        ];
        if administrator.role == InstallationRole::Operator {
            for sql in ends {
                tx.execute(sql, [event.at.into()]).await?;
            }
        }
        insert(&mut tx, administrator, key).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// An administrator, alive or not.
    pub async fn administrator(&self, id: AdministratorId) -> Result<Option<Administrator>, StoreError> {
        let sql = "SELECT id, name, role, bootstrap, created_at, expires_at, revoked_at, version FROM administrators WHERE id = $1";
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(administrator).transpose()
    }

    /// A page of administrators, the oldest first; removed ones not.
    pub async fn administrators(&self, page: &Page) -> Result<Paged<Administrator>, StoreError> {
        let sql = "SELECT id, name, role, bootstrap, created_at, expires_at, revoked_at, version
            FROM administrators WHERE id > $1 AND revoked_at IS NULL ORDER BY id LIMIT $2";
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let administrators = rows.iter().map(administrator).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(administrators, |administrator| administrator.id.to_string()))
    }

    /// Changes an administrator if the version is `expected`.
    pub async fn update_administrator(
        &self,
        id: AdministratorId,
        expected: Option<i64>,
        change: &AdministratorChange,
        event: &Event,
    ) -> Result<Administrator, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut administrator = lock_version(&mut tx, id, expected).await?;
        if let Some(name) = &change.name {
            administrator.name.clone_from(name);
        }
        if let Some(role) = change.role {
            if role != InstallationRole::Operator && !living_others(&mut tx, Some(id), event.at).await? {
                return Err(ChangeError::Conflict("last_administrator"));
            }
            administrator.role = role;
        }
        administrator.version += 1;
        tx.execute(
            "UPDATE administrators SET name = $2, role = $3, version = $4 WHERE id = $1",
            [
                id.into(),
                administrator.name.as_str().into(),
                administrator.role.as_str().into(),
                administrator.version.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(administrator)
    }

    /// Removes an administrator and revokes their keys. The last operator living is kept: nobody could make another.
    pub async fn revoke_administrator(
        &self,
        id: AdministratorId,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        lock_version(&mut tx, id, expected).await?;
        // Of an auditor there is always an operator beside.
        if !living_others(&mut tx, Some(id), event.at).await? {
            return Err(ChangeError::Conflict("last_administrator"));
        }
        for sql in [
            "UPDATE administrators SET revoked_at = $2, version = version + 1 WHERE id = $1",
            "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $2) WHERE administrator_id = $1",
        ] {
            tx.execute(sql, [id.into(), event.at.into()]).await?;
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// Whether an operator lives beside `but`: without one nobody could make another.
async fn living_others(tx: &mut Tx, but: Option<AdministratorId>, now: OffsetDateTime) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM administrators
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) AND id <> COALESCE($2, '')
            AND role = 'operator' LIMIT 1";
    Ok(tx.fetch_optional(sql, [now.into(), but.into()]).await?.is_some())
}

async fn insert(tx: &mut Tx, administrator: &Administrator, key: &NewCredential) -> Result<(), ChangeError> {
    let inserted = tx
        .execute(
            "INSERT INTO administrators (id, name, bootstrap, created_at, expires_at, version, role)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            [
                administrator.id.into(),
                administrator.name.as_str().into(),
                administrator.bootstrap.into(),
                administrator.created_at.into(),
                administrator.expires_at.into(),
                administrator.version.into(),
                administrator.role.as_str().into(),
            ],
        )
        .await?;
    if inserted == 0 {
        return Err(ChangeError::Conflict("administrator_known"));
    }
    credentials::insert(tx, key, Owner::Administrator(administrator.id)).await
}

async fn lock_version(tx: &mut Tx, id: AdministratorId, expected: Option<i64>) -> Result<Administrator, ChangeError> {
    let sql = "UPDATE administrators SET version = version WHERE id = $1 AND revoked_at IS NULL
        RETURNING id, name, role, bootstrap, created_at, expires_at, revoked_at, version";
    let row = tx.fetch_optional(sql, [id.into()]).await?.ok_or(ChangeError::NotFound)?;
    let administrator = administrator(&row)?;
    check_version(expected, administrator.version)?;
    Ok(administrator)
}

fn administrator(row: &Row) -> Result<Administrator, StoreError> {
    Ok(Administrator {
        id: row.handle("id")?,
        name: row.text("name")?,
        role: row.parsed("role", InstallationRole::parse)?,
        bootstrap: row.flag("bootstrap")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        version: row.int("version")?,
    })
}
