//! People's sessions.

use std::net::IpAddr;

use time::OffsetDateTime;

use super::credentials::{self, NewCredential, Owner};
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use super::{Store, pending_sessions, signed_in_json};
use crate::domain::audit::{Event, Origin};
use crate::domain::id::{CredentialId, SessionId, UpstreamUid, UserUid};
use crate::domain::session::{Authentication, SESSION_IDLE, SessionOrigin, SignedIn};

/// A session to be opened, with its two tokens. Whose, how and for how long, the sign-in behind it says; both tokens
/// are cut to that.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The access token.
    pub access: NewCredential,
    /// The first refresh token.
    pub refresh: NewCredential,
    /// What the person calls the device.
    pub device: Option<String>,
}

/// A session just opened or refreshed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSession {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user: UserUid,
    /// When the access token ends.
    pub access_until: OffsetDateTime,
    /// When the session ends, refreshed or not.
    pub ends_at: OffsetDateTime,
}

/// Why no session is opened though somebody has signed in; a closed list, in audit rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The person is disabled or deleted.
    #[error("the person is disabled or deleted")]
    UserDead,
    /// The provider is disabled or deleted.
    #[error("the provider at which the person signed in is disabled or deleted")]
    ProviderDead,
    /// The code, or the link of the person with the provider's subject, was withdrawn meanwhile.
    #[error("what the person signed in with was withdrawn")]
    Withdrawn,
    /// The sign-in is too old.
    #[error("the sign-in is too old")]
    Over,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// The stable word of the audit row; `None` where nobody is refused.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::UserDead => Some("user_not_alive"),
            Self::ProviderDead => Some("sign_in_provider_not_alive"),
            Self::Withdrawn => Some("sign_in_withdrawn"),
            Self::Over => Some("sign_in_over"),
            Self::Store(_) => None,
        }
    }
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
    /// When it ends unless it is refreshed before; `None` for sessions of before.
    pub idle_at: Option<OffsetDateTime>,
    /// Since when it is ended.
    pub ended_at: Option<OffsetDateTime>,
    /// When it was last used or refreshed, to the precision of [`Store::touch_credentials`].
    pub last_used_at: Option<OffsetDateTime>,
}

/// Most sessions of one list.
const LISTED_MAX: i64 = 200;

/// A session with when one of its tokens was last used.
macro_rules! session {
    ($where:literal) => {
        concat!(
            "SELECT s.id, s.user_uid, s.origin, s.device, s.address, s.user_agent, s.created_at, s.expires_at, s.idle_at,
                s.ended_at, (SELECT MAX(c.last_used_at) FROM credentials c WHERE c.session_id = s.id) AS last_used_at
             FROM sessions s WHERE ",
            $where
        )
    };
}

impl Store {
    /// A person's living sessions, the newest first, at most 200.
    pub async fn sessions_of(&self, user: &UserUid, now: OffsetDateTime) -> Result<Vec<Session>, StoreError> {
        let sql = session!(
            "s.user_uid = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND (s.idle_at IS NULL OR s.idle_at > $2)
                ORDER BY s.created_at DESC, s.id DESC LIMIT $3"
        );
        let rows = self.db.fetch_all(sql, [user.into(), now.into(), LISTED_MAX.into()]).await?;
        rows.iter().map(session).collect()
    }

    /// Ends every living session of a person, and whatever of theirs waits to become one. When it has returned, nothing
    /// is minted in them.
    pub async fn end_sessions(&self, user: &UserUid, event: &Event) -> Result<u64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let sql = "UPDATE sessions SET ended_at = $2 WHERE user_uid = $1 AND ended_at IS NULL AND expires_at > $2";
        let ended = tx.execute(sql, [user.into(), event.at.into()]).await?;
        pending_sessions::end_of_person(&mut tx, user, event.at).await?;
        tx.commit_with(event).await?;
        Ok(ended)
    }

    /// One session, alive or not.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.db.fetch_optional(session!("s.id = $1"), [id.into()]).await?.as_ref().map(session).transpose()
    }

    /// How the session behind a credential was opened; `None` where there is no session behind it.
    pub async fn authentication_behind(&self, credential: CredentialId) -> Result<Option<Authentication>, StoreError> {
        let sql = "SELECT s.origin AS session_origin, s.amr AS session_amr
            FROM credentials c JOIN sessions s ON s.id = c.session_id WHERE c.id = $1";
        let row = self.db.fetch_optional(sql, [credential.into()]).await?;
        row.as_ref().map_or(Ok(None), signed_in_json::authentication)
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

/// Saves a session of whoever signed in, with its tokens, if the sign-in still holds.
pub(super) async fn open(
    tx: &mut Tx,
    signed_in: &SignedIn,
    new: &NewSession,
    from: &Origin,
    now: OffsetDateTime,
) -> Result<OpenedSession, OpenError> {
    check(tx, signed_in, now).await?;
    tx.execute(
        "INSERT INTO sessions (id, user_uid, origin, device, address, user_agent, created_at, expires_at, provider_uid,
            upstream_subject, upstream_sid, amr, signed_in_at, idle_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        [
            new.id.into(),
            (&signed_in.user).into(),
            signed_in.origin.to_string().into(),
            new.device.as_deref().into(),
            from.address.map(|address| address.to_string()).into(),
            from.user_agent.as_deref().into(),
            now.into(),
            signed_in.ends_at.into(),
            signed_in.origin.provider().map(UpstreamUid::as_str).into(),
            signed_in.subject.as_deref().into(),
            signed_in.sid.as_deref().into(),
            signed_in_json::write_amr(&signed_in.amr)?.into(),
            signed_in.at.into(),
            (now + SESSION_IDLE).into(),
        ],
    )
    .await?;
    if let Some(code) = signed_in.code {
        tx.execute("UPDATE enrolment_codes SET session_id = $2 WHERE id = $1", [code.into(), new.id.into()]).await?;
    }
    let whose = (&signed_in.user, new.id, signed_in.ends_at);
    let access_until = insert_tokens(tx, whose, &new.access, &new.refresh).await?;
    Ok(OpenedSession { id: new.id, user: signed_in.user.clone(), access_until, ends_at: signed_in.ends_at })
}

/// Saves an access and a refresh token of a session that ends at the third of `whose`; when the access token ends.
pub(super) async fn insert_tokens(
    tx: &mut Tx,
    (user, session, ends_at): (&UserUid, SessionId, OffsetDateTime),
    access: &NewCredential,
    refresh: &NewCredential,
) -> Result<OffsetDateTime, StoreError> {
    let until = access.expires_at.map_or(ends_at, |until| until.min(ends_at));
    let access = NewCredential { expires_at: Some(until), ..access.clone() };
    let refresh = NewCredential { expires_at: Some(ends_at), ..refresh.clone() };
    for (new, owner) in [(&access, Owner::Session(user, session)), (&refresh, Owner::Refresh(user, session))] {
        match credentials::insert(tx, new, owner).await {
            Ok(()) => {}
            Err(ChangeError::Store(error)) => return Err(error),
            // Random bytes repeated themselves.
            Err(_) => return Err(StoreError::Refused("the session's token is known".to_owned())),
        }
    }
    Ok(until)
}

/// Whether what was proved in the browser still holds when the tokens are fetched.
async fn check(tx: &mut Tx, signed_in: &SignedIn, now: OffsetDateTime) -> Result<(), OpenError> {
    let alive = "SELECT 1 AS one FROM users WHERE uid = $1 AND disabled_at IS NULL AND deleted_at IS NULL";
    if tx.fetch_optional(alive, [(&signed_in.user).into()]).await?.is_none() {
        return Err(OpenError::UserDead);
    }
    if let Some(code) = signed_in.code {
        let open = "SELECT 1 AS one FROM enrolment_codes WHERE id = $1 AND user_uid = $2 AND revoked_at IS NULL";
        if tx.fetch_optional(open, [code.into(), (&signed_in.user).into()]).await?.is_none() {
            return Err(OpenError::Withdrawn);
        }
    }
    if let Some(provider) = signed_in.origin.provider() {
        let alive = "SELECT 1 AS one FROM upstream_providers
            WHERE uid = $1 AND disabled_at IS NULL AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [provider.into()]).await?.is_none() {
            return Err(OpenError::ProviderDead);
        }
        let linked = "SELECT 1 AS one FROM upstream_identities
            WHERE provider_uid = $1 AND subject = $2 AND user_uid = $3";
        let subject = signed_in.subject.as_deref();
        if tx.fetch_optional(linked, [provider.into(), subject.into(), (&signed_in.user).into()]).await?.is_none() {
            return Err(OpenError::Withdrawn);
        }
    }
    if signed_in.ends_at <= now { Err(OpenError::Over) } else { Ok(()) }
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
        idle_at: row.optional_time("idle_at")?,
        ended_at: row.optional_time("ended_at")?,
        last_used_at: row.optional_time("last_used_at")?,
    })
}
