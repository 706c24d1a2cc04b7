//! The access tokens of service accounts, short-lived credentials that derive from what was shown for them; and how
//! these and people's are forgotten.

use time::OffsetDateTime;

use super::Store;
use super::credentials::{self, DerivesFrom, NewCredential, Owner};
use super::error::{ChangeError, StoreError};
use super::{public_keys, trust_rules};
use crate::domain::audit::Event;
use crate::domain::credential::{CredentialKind, SecretHash};
use crate::domain::id::{CredentialId, ServiceAccountUid};

/// An access token of a service account, as who gives it up finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is; `None` for those of people's sessions.
    pub account: Option<ServiceAccountUid>,
    /// Whether it still means anything, as far as it alone is concerned.
    pub ended: bool,
}

impl Store {
    /// Saves an access token of a service account together with its audit row. Whether what it derives from is still
    /// alive is not asked here: every use of it asks that. But no use can tell by which version of a trust rule a
    /// foreign token was judged: where the rule has another by now, is off or deleted, the answer is
    /// [`ChangeError::Conflict`] of `trust_rule_changed`.
    pub async fn create_access_token(
        &self,
        account: &ServiceAccountUid,
        token: &NewCredential,
        from: DerivesFrom,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        if let DerivesFrom::TrustRule { id, version } = from
            && !trust_rules::hold(&mut tx, id, version).await?
        {
            return Err(ChangeError::Conflict("trust_rule_changed"));
        }
        credentials::insert(&mut tx, token, Owner::AccessToken(account, from)).await?;
        match from {
            DerivesFrom::Key(_) => {}
            DerivesFrom::PublicKey(key) => public_keys::touch(&mut tx, key, token.created_at).await?,
            DerivesFrom::TrustRule { id, .. } => trust_rules::touch(&mut tx, id, token.created_at).await?,
        }
        Ok(tx.commit_with(event).await?)
    }

    /// The access token of `hash`, ended ones among them.
    pub async fn access_token(
        &self,
        hash: &SecretHash,
        now: OffsetDateTime,
    ) -> Result<Option<AccessToken>, StoreError> {
        let sql = "SELECT id, service_account_uid, expires_at, revoked_at FROM credentials
            WHERE secret_hash = $1 AND kind = 'access_token'";
        let row = self.db.fetch_optional(sql, [hash.to_hex().into()]).await?;
        row.map(|row| {
            let over = row.optional_time("expires_at")?.is_some_and(|until| until <= now);
            Ok(AccessToken {
                id: row.handle("id")?,
                account: row.optional_parsed("service_account_uid", |uid| ServiceAccountUid::parse(uid).ok())?,
                ended: over || row.optional_int("revoked_at")?.is_some(),
            })
        })
        .transpose()
    }

    /// Revokes an access token of `account`. When it has returned, nothing is minted with it.
    pub async fn revoke_access_token(
        &self,
        account: &ServiceAccountUid,
        token: CredentialId,
        event: &Event,
    ) -> Result<(), ChangeError> {
        self.revoke_of(account, CredentialKind::Access, token, event).await
    }

    /// Forgets at most `limit` access tokens that ended before `before`, those apart by which a run was opened, and
    /// refresh tokens of sessions that were over by then: while a session goes on, each of its refresh tokens is known,
    /// because one that comes again is a thief's. Audit rows keep their ids.
    pub async fn forget_tokens_before(&self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let forgotten = tx
            .execute(
                "DELETE FROM credentials WHERE id IN (SELECT c.id FROM credentials c
                    LEFT JOIN sessions s ON s.id = c.session_id
                    WHERE (c.kind = 'access_token' AND c.expires_at < $1 OR c.kind = 'refresh_token'
                            AND (s.ended_at < $1 OR s.expires_at < $1 OR s.idle_at < $1))
                        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.opener_id = c.id)
                    ORDER BY c.id LIMIT $2)",
                [before.into(), limit.into()],
            )
            .await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}
