//! Service accounts: agents, each of one team for ever.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use crate::domain::audit::Event;
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::team::ServiceAccount;

/// What to change of a service account; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountChange {
    /// Another name.
    pub name: Option<String>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches it off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
}

impl Store {
    /// Saves a new service account of a living team. The uid must never have been used, in whatever case.
    pub async fn create_service_account(
        &self,
        account: &ServiceAccount,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let alive = "SELECT 1 AS one FROM teams WHERE uid = $1 AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [(&account.team).into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        let inserted = tx
            .execute(
                "INSERT INTO service_accounts (uid, uid_fold, team_uid, name, version, created_at, updated_at,
                    disabled_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT DO NOTHING",
                [
                    (&account.uid).into(),
                    account.uid.folded().into(),
                    (&account.team).into(),
                    account.name.as_str().into(),
                    account.version.into(),
                    account.created_at.into(),
                    account.disabled_at.into(),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::UidTaken);
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A service account, whatever its team; tombstones are not found.
    pub async fn service_account(&self, uid: &ServiceAccountUid) -> Result<Option<ServiceAccount>, StoreError> {
        let sql = "SELECT uid, team_uid, name, created_at, disabled_at, deleted_at, version
            FROM service_accounts WHERE uid = $1 AND deleted_at IS NULL";
        self.db.fetch_optional(sql, [uid.into()]).await?.as_ref().map(service_account).transpose()
    }

    /// A page of a team's service accounts, in the order of their uids.
    pub async fn service_accounts(&self, team: &TeamUid, page: &Page) -> Result<Paged<ServiceAccount>, StoreError> {
        let sql = "SELECT uid, team_uid, name, created_at, disabled_at, deleted_at, version
            FROM service_accounts WHERE team_uid = $1 AND uid > $2 AND deleted_at IS NULL
            ORDER BY uid LIMIT $3";
        let rows = self.db.fetch_page(sql, [team.into(), page.after()?.into(), page.fetch().into()]).await?;
        let accounts = rows.iter().map(service_account).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(accounts, |account| account.uid.to_string()))
    }

    /// Changes a service account if its version is `expected`. When it has returned, a disabled one gets no token.
    pub async fn update_service_account(
        &self,
        uid: &ServiceAccountUid,
        expected: Option<i64>,
        change: &ServiceAccountChange,
        event: &Event,
    ) -> Result<ServiceAccount, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut account = lock_version(&mut tx, uid, expected).await?;
        if let Some(name) = &change.name {
            account.name.clone_from(name);
        }
        if let Some(disabled_at) = change.disabled_at {
            account.disabled_at = disabled_at;
        }
        account.version += 1;
        tx.execute(
            "UPDATE service_accounts SET name = $2, disabled_at = $3, version = $4, updated_at = $5 WHERE uid = $1",
            [
                uid.into(),
                account.name.as_str().into(),
                account.disabled_at.into(),
                account.version.into(),
                event.at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(account)
    }

    /// Makes a service account a tombstone; its keys are revoked.
    pub async fn delete_service_account(
        &self,
        uid: &ServiceAccountUid,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        lock_version(&mut tx, uid, expected).await?;
        end(&mut tx, uid, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }
}

/// Makes a service account a tombstone.
pub(super) async fn end(tx: &mut Tx, uid: &ServiceAccountUid, at: OffsetDateTime) -> Result<(), StoreError> {
    for sql in [
        "UPDATE service_accounts SET deleted_at = $2, updated_at = $2, version = version + 1 WHERE uid = $1",
        "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $2) WHERE service_account_uid = $1",
        "UPDATE public_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE service_account_uid = $1",
    ] {
        tx.execute(sql, [uid.into(), at.into()]).await?;
    }
    Ok(())
}

async fn lock_version(
    tx: &mut Tx,
    uid: &ServiceAccountUid,
    expected: Option<i64>,
) -> Result<ServiceAccount, ChangeError> {
    let sql = "UPDATE service_accounts SET version = version WHERE uid = $1 AND deleted_at IS NULL
        RETURNING uid, team_uid, name, created_at, disabled_at, deleted_at, version";
    let row = tx.fetch_optional(sql, [uid.into()]).await?.ok_or(ChangeError::NotFound)?;
    let account = service_account(&row)?;
    check_version(expected, account.version)?;
    Ok(account)
}

fn service_account(row: &Row) -> Result<ServiceAccount, StoreError> {
    Ok(ServiceAccount {
        uid: row.uid("uid")?,
        team: row.uid("team_uid")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        disabled_at: row.optional_time("disabled_at")?,
        deleted_at: row.optional_time("deleted_at")?,
        version: row.int("version")?,
    })
}
