//! Who a provider's subject is here: by provider and subject alone, never by e-mail address.
//!
//! The subject of a person who was deleted is kept as its SHA-256, so that whoever was deleted does not come back by
//! signing in again, and nothing tells who they were.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::{sessions, upstream_providers};
use crate::domain::audit::Event;
use crate::domain::credential::SecretHash;
use crate::domain::id::{CredentialId, UpstreamUid, UserUid};

/// That a provider's subject is a person here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamIdentity {
    /// Whose subject.
    pub provider: UpstreamUid,
    /// The provider's name for the person.
    pub subject: String,
    /// Who that is.
    pub user: UserUid,
    /// Who said so; `None` where the person joined by signing in.
    pub created_by: Option<CredentialId>,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// When they last signed in there.
    pub signed_in_at: Option<OffsetDateTime>,
}

/// Most identities of one person.
pub const IDENTITIES_MAX: usize = 50;

impl Store {
    /// The identities of a person at providers that are there, in the order of provider and subject.
    pub async fn upstream_identities(&self, user: &UserUid) -> Result<Vec<UpstreamIdentity>, StoreError> {
        let sql = "SELECT i.provider_uid, i.subject, i.user_uid, i.created_by, i.created_at, i.signed_in_at
            FROM upstream_identities i JOIN upstream_providers p ON p.uid = i.provider_uid AND p.deleted_at IS NULL
            WHERE i.user_uid = $1 ORDER BY i.provider_uid, i.subject";
        self.db.fetch_all(sql, [user.into()]).await?.iter().map(identity).collect()
    }

    /// Says who a provider's subject is: provider and person must be there, the subject be nobody's, or that of
    /// somebody deleted.
    pub async fn link_identity(
        &self,
        link: &UpstreamIdentity,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let alive = "UPDATE users SET version = version WHERE uid = $1 AND deleted_at IS NULL RETURNING uid";
        if tx.fetch_optional(alive, [(&link.user).into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        if upstream_providers::in_transaction(&mut tx, &link.provider).await?.is_none() {
            return Err(ChangeError::Conflict("no_such_provider"));
        }
        let count = "SELECT count(*) AS known FROM upstream_identities WHERE user_uid = $1";
        let known = tx.fetch_optional(count, [(&link.user).into()]).await?.map_or(Ok(0), |row| row.int("known"))?;
        if usize::try_from(known).is_ok_and(|known| known >= IDENTITIES_MAX) {
            return Err(ChangeError::Conflict("identities_max"));
        }
        let forget = "DELETE FROM upstream_identities WHERE provider_uid = $1 AND subject = $2";
        tx.execute(forget, [(&link.provider).into(), erased(&link.subject).into()]).await?;
        if insert(&mut tx, link).await? == 0 {
            return Err(ChangeError::Conflict("subject_linked"));
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// Takes back who a provider's subject is, and ends the sessions that began with it. When it has returned, nothing
    /// is minted in them.
    pub async fn unlink_identity(
        &self,
        user: &UserUid,
        provider: &UpstreamUid,
        subject: &str,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let sql = "DELETE FROM upstream_identities WHERE user_uid = $1 AND provider_uid = $2 AND subject = $3";
        if tx.execute(sql, [user.into(), provider.into(), subject.into()]).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        let sql = "UPDATE sessions SET ended_at = $3
            WHERE provider_uid = $1 AND upstream_subject = $2 AND ended_at IS NULL";
        tx.execute(sql, [provider.into(), subject.into(), event.at.into()]).await?;
        sessions::forget_pending(&mut tx, user, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }
}

/// Who a subject is, and whether they are alive.
pub(super) async fn known(
    tx: &mut Tx,
    provider: &UpstreamUid,
    subject: &str,
) -> Result<Option<(UserUid, bool)>, StoreError> {
    let sql =
        "SELECT i.user_uid, u.disabled_at, u.deleted_at FROM upstream_identities i JOIN users u ON u.uid = i.user_uid
        WHERE i.provider_uid = $1 AND i.subject IN ($2, $3) ORDER BY u.deleted_at IS NULL DESC LIMIT 1";
    let row = tx.fetch_optional(sql, [provider.into(), subject.into(), erased(subject).into()]).await?;
    row.map(|row| {
        let alive = row.optional_int("disabled_at")?.is_none() && row.optional_int("deleted_at")?.is_none();
        Ok((row.uid("user_uid")?, alive))
    })
    .transpose()
}

/// Saves an identity; 0 where the subject is somebody's.
pub(super) async fn insert(tx: &mut Tx, link: &UpstreamIdentity) -> Result<u64, StoreError> {
    tx.execute(
        "INSERT INTO upstream_identities (provider_uid, subject, user_uid, created_by, created_at, signed_in_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        [
            (&link.provider).into(),
            link.subject.as_str().into(),
            (&link.user).into(),
            link.created_by.into(),
            link.created_at.into(),
            link.signed_in_at.into(),
        ],
    )
    .await
}

/// Notes that a subject signed in.
pub(super) async fn touch(
    tx: &mut Tx,
    provider: &UpstreamUid,
    subject: &str,
    at: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE upstream_identities SET signed_in_at = $3 WHERE provider_uid = $1 AND subject = $2";
    tx.execute(sql, [provider.into(), subject.into(), at.into()]).await.map(drop)
}

/// Leaves of a deleted person's identities only what keeps them from coming back.
pub(super) async fn erase_person(tx: &mut Tx, user: &UserUid) -> Result<(), StoreError> {
    let sql = "SELECT provider_uid, subject FROM upstream_identities WHERE user_uid = $1";
    for row in tx.fetch_all(sql, [user.into()]).await? {
        let (provider, subject) = (row.uid::<crate::domain::id::Upstream>("provider_uid")?, row.text("subject")?);
        let sql = "UPDATE upstream_identities SET subject = $3 WHERE provider_uid = $1 AND subject = $2";
        tx.execute(sql, [(&provider).into(), subject.as_str().into(), erased(&subject).into()]).await?;
    }
    let sql = "UPDATE sessions SET upstream_subject = NULL, upstream_sid = NULL WHERE user_uid = $1";
    tx.execute(sql, [user.into()]).await.map(drop)
}

/// What stands for the subject of a deleted person. The control character keeps it apart from every subject that a
/// provider may send.
fn erased(subject: &str) -> String {
    format!("\u{1}{}", SecretHash::of(subject).to_hex())
}

fn identity(row: &Row) -> Result<UpstreamIdentity, StoreError> {
    Ok(UpstreamIdentity {
        provider: row.uid("provider_uid")?,
        subject: row.text("subject")?,
        user: row.uid("user_uid")?,
        created_by: row.optional_parsed("created_by", CredentialId::parse)?,
        created_at: row.time("created_at")?,
        signed_in_at: row.optional_time("signed_in_at")?,
    })
}
