//! Idempotency keys of creates: a repeat gets what the first answer said, without its secret.

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use crate::domain::id::CredentialId;

/// What to remember of a create, in the create's own transaction.
#[derive(Debug, Clone)]
pub struct Remember {
    /// Whose key it is: two callers never share one.
    pub credential: CredentialId,
    /// The `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of method, path and body, to tell a repeat from another request under the same key.
    pub request_sha256: String,
    /// The answer's resource as JSON, without any secret.
    pub resource: String,
    /// When.
    pub at: OffsetDateTime,
}

/// What an earlier create answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Of which request; another one under the same key is a conflict.
    pub request_sha256: String,
    /// The resource as JSON, without any secret.
    pub resource: String,
}

impl Store {
    /// What `credential` created before under `key`.
    pub async fn remembered(&self, credential: CredentialId, key: &str) -> Result<Option<Remembered>, StoreError> {
        let sql = "SELECT request_sha256, resource FROM idempotency_keys
            WHERE credential_id = $1 AND idempotency_key = $2";
        let row = self.db.fetch_optional(sql, [credential.into(), key.into()]).await?;
        row.map(|row| Ok(Remembered { request_sha256: row.text("request_sha256")?, resource: row.text("resource")? }))
            .transpose()
    }

    /// Forgets keys older than `before`.
    pub async fn forget_idempotency_before(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let forgotten = tx.execute("DELETE FROM idempotency_keys WHERE created_at < $1", [before.into()]).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

/// Remembers a create; if a parallel request with the same key was first, this one is undone as a whole and the
/// caller answers with what is remembered.
pub(super) async fn remember(tx: &mut Tx, remember: Option<&Remember>) -> Result<(), ChangeError> {
    let Some(remember) = remember else { return Ok(()) };
    let inserted = tx
        .execute(
            "INSERT INTO idempotency_keys (credential_id, idempotency_key, request_sha256, resource, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            [
                remember.credential.into(),
                remember.key.as_str().into(),
                remember.request_sha256.as_str().into(),
                remember.resource.as_str().into(),
                remember.at.into(),
            ],
        )
        .await?;
    if inserted == 1 { Ok(()) } else { Err(ChangeError::Conflict("idempotency_key")) }
}

/// Forgets every answer that mentions `uid`: it may repeat a name or an e-mail address. A `_` in the uid may match
/// a neighbour's too, whose repeat is then a create that finds its uid taken.
pub(super) async fn forget_mentions(tx: &mut Tx, uid: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM idempotency_keys WHERE resource LIKE $1";
    tx.execute(sql, [format!("%\"{uid}\"%").into()]).await.map(drop)
}
