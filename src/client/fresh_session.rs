//! The saved session with a live access token: refreshed once for any number of parallel commands.
//!
//! Who finds the access token spent takes the lock of the session's file, looks again, and refreshes if nobody else
//! has. The lock is the kernel's, so that a holder who is killed blocks nobody; what it may have received and not
//! saved is lost, which the issuer expects (it accepts the token before once more for a minute).

use time::{Duration, OffsetDateTime};

use super::call::{Client, ClientError};
use super::saved_session::{SavedSession, SavedSessionError, SessionFolder};
use crate::domain::clock::Clock;
use crate::domain::issuer_url::IssuerUrl;
use crate::wire::session::SessionTokens;

/// An access token with less left than this is refreshed: what it is for must still arrive in time.
const LEFT_MIN: Duration = Duration::seconds(60);

/// Why there is no live access token.
#[derive(Debug, thiserror::Error)]
pub enum FreshError {
    /// No session is saved.
    #[error("not signed in")]
    NotSignedIn,
    /// The session has come to its end.
    #[error("the session ended at {0}")]
    Ended(OffsetDateTime),
    /// The issuer takes its refresh token no more: it was ended, or lay unused too long.
    #[error("the session was ended at the issuer: {0}")]
    Refused(String),
    /// The file is not to be used.
    #[error(transparent)]
    Saved(#[from] SavedSessionError),
    /// The issuer did not answer, or not as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Of what a session is made fresh.
pub struct Freshener<'a> {
    /// Where it is saved.
    pub folder: &'a SessionFolder,
    /// Whose it is.
    pub issuer: &'a IssuerUrl,
    /// Who is asked.
    pub client: &'a Client,
    /// By which clock.
    pub clock: &'a dyn Clock,
}

impl Freshener<'_> {
    /// The session with an access token that lives a while yet.
    pub async fn fresh(&self) -> Result<SavedSession, FreshError> {
        let session = self.alive()?;
        if self.is_fresh(&session) {
            return Ok(session);
        }
        self.refresh(&session).await
    }

    /// The same after the issuer refused `stale`: a clock that is off does not tell when an access token ends.
    pub async fn instead_of(&self, stale: &SavedSession) -> Result<SavedSession, FreshError> {
        self.refresh(stale).await
    }

    fn alive(&self) -> Result<SavedSession, FreshError> {
        let session = self.folder.load(self.issuer)?.ok_or(FreshError::NotSignedIn)?;
        let end = session.end();
        if end <= self.clock.now() { Err(FreshError::Ended(end)) } else { Ok(session) }
    }

    fn is_fresh(&self, session: &SavedSession) -> bool {
        session.refresh_token.is_none() || session.expires_at - self.clock.now() >= LEFT_MIN
    }

    async fn refresh(&self, stale: &SavedSession) -> Result<SavedSession, FreshError> {
        let _lock = self.folder.lock(self.issuer).await?;
        let saved = self.alive()?;
        // Somebody else refreshed it, or signed in anew, while we waited for the lock.
        if saved.access_token.expose() != stale.access_token.expose() && self.is_fresh(&saved) {
            return Ok(saved);
        }
        let Some(token) = &saved.refresh_token else { return Ok(saved) };
        match self.client.refresh(&token.0).await {
            Ok(granted) => {
                let fresh = session(self.issuer, granted, self.clock.now());
                self.folder.save(&fresh)?;
                Ok(fresh)
            }
            Err(ClientError::OAuth { code, description, .. }) if &*code == "invalid_grant" => {
                // It will never be taken again, and shown again it would look like a stolen one.
                self.folder.remove(self.issuer)?;
                Err(FreshError::Refused(description))
            }
            // What is left of the old one may do, where the issuer cannot be asked for another just now.
            Err(error) if error.is_retryable() && saved.expires_at > self.clock.now() => Ok(saved),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is saved of what was granted. Its end is reckoned on this machine's clock, which is the one that will ask.
pub fn session(issuer: &IssuerUrl, granted: SessionTokens, now: OffsetDateTime) -> SavedSession {
    SavedSession {
        issuer: issuer.to_string(),
        access_token: granted.access_token,
        expires_at: now + Duration::seconds(granted.expires_in.clamp(0, 86_400)),
        refresh_token: Some(granted.refresh_token),
        session_expires_at: Some(granted.session_expires_at),
        session_id: granted.session_id,
        user_uid: granted.user_uid,
    }
}
