//! Refresh tokens: each shown once, then its successor. What a showing means is `domain::refresh`'s to say.

use time::OffsetDateTime;

use super::Store;
use super::credentials::NewCredential;
use super::db::{Row, Tx};
use super::error::StoreError;
use super::liveness::{DeadReason, dead, liveness};
use super::sessions::{self, OpenedSession};
use crate::domain::audit::Event;
use crate::domain::credential::{CredentialKind, SecretHash};
use crate::domain::id::{CredentialId, SessionId, UserUid};
use crate::domain::principal::Principal;
use crate::domain::refresh::{RefreshState, Shown};
use crate::domain::session::SESSION_IDLE;

/// A known refresh token, for audit rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its id.
    pub id: CredentialId,
    /// Whose.
    pub user: UserUid,
    /// Of which session.
    pub session: SessionId,
}

impl RefreshToken {
    /// Says in `event` whose it was.
    pub fn named_in(&self, mut event: Event) -> Event {
        event.credential = Some((CredentialKind::Refresh, self.id));
        event.principal = Some(Principal::User(self.user.clone()));
        event.target = Some(format!("session:{}", self.session));
        event
    }
}

/// Why a refresh token gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// There is no such token.
    #[error("the refresh token is not known")]
    Unknown,
    /// Its session, its person or their provider is not alive.
    #[error("the session is over: {1}")]
    Dead(RefreshToken, DeadReason),
    /// It was shown before. Whoever learns this ends the session, in a transaction of its own: it stays so.
    #[error("the refresh token was used before")]
    Reused(RefreshToken),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Shows the refresh token of `hash`, for a new pair of tokens. Of any that show one at the same time, each waits
    /// for the one before it, so that exactly one rotates it; person, session and provider are looked at again (threat
    /// 23). The audit row gets the token, the person and the session.
    pub async fn refresh(
        &self,
        hash: &SecretHash,
        access: &NewCredential,
        next: &NewCredential,
        now: OffsetDateTime,
        event: &Event,
    ) -> Result<OpenedSession, RefreshError> {
        let mut tx = self.db.change(event).await?;
        // Writing to the session's row is the queue: what is read after it is what the one before has committed.
        let queue = "UPDATE sessions SET idle_at = idle_at WHERE id =
            (SELECT session_id FROM credentials WHERE secret_hash = $1 AND kind = 'refresh_token') RETURNING expires_at";
        let Some(row) = tx.fetch_optional(queue, [hash.to_hex().into()]).await? else {
            return Err(RefreshError::Unknown);
        };
        let ends_at = row.time("expires_at")?;
        let sql = concat!("SELECT ", liveness!(), " WHERE c.secret_hash = $1");
        let row = tx.fetch_optional(sql, [hash.to_hex().into()]).await?.ok_or(RefreshError::Unknown)?;
        let token =
            RefreshToken { id: row.handle("id")?, user: row.uid("user_uid")?, session: row.handle("session_id")? };
        if let Some(reason) = whole_session(dead(&row, now)?, &row)? {
            return Err(RefreshError::Dead(token, reason));
        }
        let state = state(&mut tx, token.id).await?;
        match state.shown(now) {
            Shown::Rotate => {
                let sql = "UPDATE credentials SET replaced_at = $2, replaced_by = $3, last_used_at = $2 WHERE id = $1";
                tx.execute(sql, [token.id.into(), now.into(), next.id.into()]).await?;
            }
            Shown::Retry => {
                let sql = "UPDATE credentials SET revoked_at = $2
                    WHERE id = (SELECT replaced_by FROM credentials WHERE id = $1)";
                tx.execute(sql, [token.id.into(), now.into()]).await?;
                let sql = "UPDATE credentials SET retried_at = $2, replaced_by = $3, last_used_at = $2 WHERE id = $1";
                tx.execute(sql, [token.id.into(), now.into(), next.id.into()]).await?;
            }
            Shown::Reuse => return Err(RefreshError::Reused(token)),
        }
        let whose = (&token.user, token.session, ends_at);
        let access_until = sessions::insert_tokens(&mut tx, whose, access, next).await?;
        let sql = "UPDATE sessions SET idle_at = $2 WHERE id = $1";
        tx.execute(sql, [token.session.into(), (now + SESSION_IDLE).into()]).await?;
        tx.commit_with(&token.named_in(event.clone())).await?;
        Ok(OpenedSession { id: token.session, user: token.user, access_until, ends_at })
    }

    /// The refresh token of `hash`, whatever it is worth.
    pub async fn refresh_token(&self, hash: &SecretHash) -> Result<Option<RefreshToken>, StoreError> {
        let sql = "SELECT id, user_uid, session_id FROM credentials WHERE secret_hash = $1 AND kind = 'refresh_token'";
        let row = self.db.fetch_optional(sql, [hash.to_hex().into()]).await?;
        row.map(|row| {
            Ok(RefreshToken { id: row.handle("id")?, user: row.uid("user_uid")?, session: row.handle("session_id")? })
        })
        .transpose()
    }
}

/// Why the session is over, if it is. That the token alone is dead is for its family to judge: a retry put another in
/// its place.
fn whole_session(dead: Option<DeadReason>, row: &Row) -> Result<Option<DeadReason>, StoreError> {
    Ok(match dead {
        Some(DeadReason::CredentialRevoked) if row.optional_int("session_ended")?.is_some() => {
            Some(DeadReason::SessionEnded)
        }
        Some(DeadReason::CredentialRevoked) => None,
        // It has the session's end.
        Some(DeadReason::CredentialExpired) => Some(DeadReason::SessionExpired),
        other => other,
    })
}

async fn state(tx: &mut Tx, id: CredentialId) -> Result<RefreshState, StoreError> {
    let sql = "SELECT c.replaced_at, c.retried_at, c.revoked_at, n.replaced_at AS next_replaced
        FROM credentials c LEFT JOIN credentials n ON n.id = c.replaced_by WHERE c.id = $1";
    let row = tx.fetch_optional(sql, [id.into()]).await?.ok_or(StoreError::Corrupt("credentials"))?;
    Ok(RefreshState {
        replaced_at: row.optional_time("replaced_at")?,
        retried: row.optional_int("retried_at")?.is_some(),
        dead: row.optional_int("revoked_at")?.is_some(),
        successor_used: row.optional_int("next_replaced")?.is_some(),
    })
}
