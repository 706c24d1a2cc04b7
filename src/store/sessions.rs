//! People's sessions.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::Store;
use super::credentials::{self, NewCredential, Owner};
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use crate::domain::audit::{Event, Origin};
use crate::domain::id::{SessionId, UserUid};
use crate::domain::session::SessionOrigin;

/// A session to be opened, with its access token.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The access token.
    pub access: NewCredential,
    /// How it is opened.
    pub origin: SessionOrigin,
    /// What the person calls the device.
    pub device: Option<String>,
    /// Until when it lives.
    pub expires_at: OffsetDateTime,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserUid,
    /// How it was opened.
    pub origin: SessionOrigin,
    /// What the person calls the device.
    pub device: Option<String>,
    /// From where it was opened.
    pub opened_from: Origin,
    /// Since when it lives.
    pub created_at: OffsetDateTime,
    /// Until when it lives.
    pub expires_at: OffsetDateTime,
    /// Since when it is ended.
    pub ended_at: Option<OffsetDateTime>,
}

/// Most sessions of one list.
const LISTED_MAX: i64 = 200;

impl Store {
    /// A person's living sessions, the newest first, at most 200.
    pub async fn sessions_of(&self, user: &UserUid, now: OffsetDateTime) -> Result<Vec<Session>, StoreError> {
        let sql = "SELECT id, user_uid, origin, device, address, user_agent, created_at, expires_at,
            ended_at FROM sessions WHERE user_uid = $1 AND ended_at IS NULL AND expires_at > $2
            ORDER BY created_at DESC, id DESC LIMIT $3";
        let rows = self.db.fetch_all(sql, [user.into(), now.into(), LISTED_MAX.into()]).await?;
        rows.iter().map(session).collect()
    }

    /// The same for who administers: with when each was last used, to the precision of
    /// [`Store::touch_credentials`].
    pub async fn sessions_seen(
        &self,
        user: &UserUid,
        now: OffsetDateTime,
    ) -> Result<Vec<(Session, Option<OffsetDateTime>)>, StoreError> {
        let sql = "SELECT s.id, s.user_uid, s.origin, s.device, s.address, s.user_agent, s.created_at, s.expires_at,
                s.ended_at, (SELECT MAX(c.last_used_at) FROM credentials c WHERE c.session_id = s.id) AS last_used_at
            FROM sessions s WHERE s.user_uid = $1 AND s.ended_at IS NULL AND s.expires_at > $2
            ORDER BY s.created_at DESC, s.id DESC LIMIT $3";
        let rows = self.db.fetch_all(sql, [user.into(), now.into(), LISTED_MAX.into()]).await?;
        rows.iter().map(|row| Ok((session(row)?, row.optional_time("last_used_at")?))).collect()
    }

    /// Ends every living session of a person, and tells how many. When it has returned, nothing is minted in them.
    pub async fn end_sessions(&self, user: &UserUid, event: &Event) -> Result<u64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let sql = "UPDATE sessions SET ended_at = $2 WHERE user_uid = $1 AND ended_at IS NULL AND expires_at > $2";
        let ended = tx.execute(sql, [user.into(), event.at.into()]).await?;
        tx.commit_with(event).await?;
        Ok(ended)
    }

    /// One session, alive or not.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT id, user_uid, origin, device, address, user_agent, created_at, expires_at,
            ended_at FROM sessions WHERE id = $1";
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(session).transpose()
    }

    /// Ends a living session of `user`; another's is not found. When it has returned, nothing is minted in it.
    pub async fn end_session(&self, user: &UserUid, id: SessionId, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let ended = tx
            .execute(
                "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_uid = $2 AND ended_at IS NULL",
                [id.into(), user.into(), event.at.into()],
            )
            .await?;
        if ended == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// Saves a session and its access token.
pub(super) async fn open(
    tx: &mut Tx,
    user: &UserUid,
    new: &NewSession,
    from: &Origin,
    now: OffsetDateTime,
) -> Result<(), ChangeError> {
    tx.execute(
        "INSERT INTO sessions (id, user_uid, origin, device, address, user_agent, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            new.id.into(),
            user.into(),
            new.origin.to_string().into(),
            new.device.as_deref().into(),
            from.address.map(|address| address.to_string()).into(),
            from.user_agent.as_deref().into(),
            now.into(),
            new.expires_at.into(),
        ],
    )
    .await?;
    credentials::insert(tx, &new.access, Owner::Session(user, new.id)).await
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.handle("id")?,
        user: row.uid("user_uid")?,
        origin: row.parsed("origin", SessionOrigin::parse)?,
        device: row.optional_text("device")?,
        opened_from: Origin {
            address: row.optional_parsed("address", |text| text.parse::<IpAddr>().ok())?,
            user_agent: row.optional_text("user_agent")?,
        },
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        ended_at: row.optional_time("ended_at")?,
    })
}
