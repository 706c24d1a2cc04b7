//! The keys of service accounts: several each, so that they can be changed without a gap.

use time::OffsetDateTime;

use super::Store;
use super::credentials::{self, KeyInfo, NewCredential, Owner, key_info};
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use crate::domain::audit::Event;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, ServiceAccountUid};

impl Store {
    /// Saves a new key of a living service account.
    pub async fn create_service_account_key(
        &self,
        account: &ServiceAccountUid,
        key: &NewCredential,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let alive = "SELECT 1 AS one FROM service_accounts WHERE uid = $1 AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [account.into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        credentials::insert(&mut tx, key, Owner::ServiceAccount(account)).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A page of a service account's keys, the oldest first; revoked ones among them.
    pub async fn service_account_keys(
        &self,
        account: &ServiceAccountUid,
        page: &Page,
    ) -> Result<Paged<KeyInfo>, StoreError> {
        let sql = "SELECT id, name, created_at, expires_at, last_used_at, revoked_at
            FROM credentials WHERE service_account_uid = $1 AND kind = 'service_account_key' AND id > $2
            ORDER BY id LIMIT $3";
        let rows = self.db.fetch_page(sql, [account.into(), page.after()?.into(), page.fetch().into()]).await?;
        let keys = rows.iter().map(key_info).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(keys, |key| key.id.to_string()))
    }

    /// One key of a service account.
    pub async fn service_account_key(
        &self,
        account: &ServiceAccountUid,
        key: CredentialId,
    ) -> Result<Option<KeyInfo>, StoreError> {
        let sql = "SELECT id, name, created_at, expires_at, last_used_at, revoked_at
            FROM credentials WHERE id = $1 AND service_account_uid = $2 AND kind = 'service_account_key'";
        self.db.fetch_optional(sql, [key.into(), account.into()]).await?.as_ref().map(key_info).transpose()
    }

    /// Saves a new key of a living service account, and lets the live key `old` end at `until`, or before if it would
    /// have. `events` are the rows of the old key and of the new one.
    pub async fn rotate_service_account_key(
        &self,
        account: &ServiceAccountUid,
        old: CredentialId,
        until: OffsetDateTime,
        new: &NewCredential,
        events: [&Event; 2],
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let [ends, made] = events;
        let mut tx = self.db.change_alone(made).await?;
        let shortened = tx
            .execute(
                "UPDATE credentials
                 SET expires_at = CASE WHEN expires_at IS NULL OR expires_at > $4 THEN $4 ELSE expires_at END
                 WHERE id = $1 AND service_account_uid = $2 AND kind = 'service_account_key' AND revoked_at IS NULL
                    AND (expires_at IS NULL OR expires_at > $3)
                    AND EXISTS (SELECT 1 FROM service_accounts a WHERE a.uid = $2 AND a.deleted_at IS NULL)",
                [old.into(), account.into(), new.created_at.into(), until.into()],
            )
            .await?;
        if shortened == 0 {
            return Err(ChangeError::NotFound);
        }
        credentials::insert(&mut tx, new, Owner::ServiceAccount(account)).await?;
        idempotency::remember(&mut tx, remember).await?;
        tx.note(ends).await?;
        Ok(tx.commit_with(made).await?)
    }

    /// Revokes a key. When it has returned, nothing is minted with it.
    pub async fn revoke_service_account_key(
        &self,
        account: &ServiceAccountUid,
        key: CredentialId,
        event: &Event,
    ) -> Result<(), ChangeError> {
        self.revoke_of(account, CredentialKind::ServiceAccount, key, event).await
    }

    /// Revokes a credential of `kind` that an agent has and that is not revoked yet.
    pub(super) async fn revoke_of(
        &self,
        account: &ServiceAccountUid,
        kind: CredentialKind,
        credential: CredentialId,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let sql = "UPDATE credentials SET revoked_at = $3
            WHERE id = $1 AND service_account_uid = $2 AND kind = $4 AND revoked_at IS NULL";
        let named = [credential.into(), account.into(), event.at.into(), kind.as_str().into()];
        if tx.execute(sql, named).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }
}
