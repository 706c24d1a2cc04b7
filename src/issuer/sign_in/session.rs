//! A session opened: with an enrolment code at once, or with what a browser's sign-in proved.

use time::OffsetDateTime;

use super::{SIGN_IN_OVER, check_client, is_device_name};
use crate::domain::access::Identity;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, SessionId, UserUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::issuer::Issuer;
use crate::issuer::oauth::OAuthError;
use crate::issuer::oauth::access_token::LIFE;
use crate::issuer::refusals::{OpenSessionError, Unavailable};
use crate::store::{ChangeError, NewCredential, NewSession, OpenedSession, RedeemError};

/// What a person's terminal gets: tokens, each shown once, and what they belong to.
#[derive(Debug, Clone)]
pub struct SessionTokens {
    /// The access token: 15 minutes, or what is left of the session.
    pub access_token: Secret,
    /// How long it lasts from now, in whole seconds.
    pub expires_in: i64,
    /// The refresh token: for the next pair, once.
    pub refresh_token: Secret,
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub user: UserUid,
    /// When the session ends, refreshed or not.
    pub session_ends_at: OffsetDateTime,
}

/// A pair of tokens that nobody has yet.
pub(super) struct Pair {
    access: OpaqueCredential,
    refresh: OpaqueCredential,
    pub(super) kept_access: NewCredential,
    pub(super) kept_refresh: NewCredential,
}

impl Pair {
    /// What the terminal gets of it, once it is saved.
    pub(super) fn given(self, opened: OpenedSession, now: OffsetDateTime) -> SessionTokens {
        SessionTokens {
            access_token: self.access.secret().clone(),
            expires_in: (opened.access_until - now).whole_seconds(),
            refresh_token: self.refresh.secret().clone(),
            session: opened.id,
            user: opened.user,
            session_ends_at: opened.ends_at,
        }
    }
}

impl Issuer {
    /// A new pair; the store cuts both to the session's end.
    pub(super) fn new_pair(&self, now: OffsetDateTime) -> Pair {
        let made = |kind, until| {
            let secret = OpaqueCredential::generate(kind, self.entropy());
            let kept = NewCredential {
                id: CredentialId::new(self.entropy().uuid_v7(now)),
                hash: secret.hash(),
                name: String::new(),
                expires_at: until,
                created_at: now,
                created_by: None,
            };
            (secret, kept)
        };
        let (access, kept_access) = made(CredentialKind::Access, Some(now + LIFE));
        let (refresh, kept_refresh) = made(CredentialKind::Refresh, None);
        Pair { access, refresh, kept_access, kept_refresh }
    }

    /// A session that nobody has opened yet, on a device of that name.
    pub(super) fn new_session(&self, device: Option<&str>, now: OffsetDateTime) -> (NewSession, Pair) {
        let pair = self.new_pair(now);
        let session = NewSession {
            id: SessionId::new(self.entropy().uuid_v7(now)),
            access: pair.kept_access.clone(),
            refresh: pair.kept_refresh.clone(),
            device: device.map(str::to_owned),
        };
        (session, pair)
    }

    /// Redeems `code`, once, for a session of its person. Of two that try at the same time one wins.
    pub async fn open_session(
        &self,
        code: &Secret,
        device: Option<&str>,
        origin: &Origin,
    ) -> Result<SessionTokens, OpenSessionError> {
        let code = self.read_code(code, origin)?;
        if !device.is_none_or(is_device_name) {
            return Err(OpenSessionError::Device);
        }
        let now = self.now();
        let (session, pair) = self.new_session(device, now);
        let mut event = self.event(Action::SessionOpen, Decision::Allowed, origin);
        // The store adds the code and the person, whom only it knows.
        event.target = Some(format!("session:{}", session.id));
        match self.store().redeem_enrolment_code(&code.hash(), &session, now, &event).await {
            Ok((_, opened)) => Ok(pair.given(opened, now)),
            Err(error) => Err(self.redeem_refused(error, Action::SessionOpen, origin)?),
        }
    }

    /// Ends the session of a token that its terminal gives up, access or refresh (RFC 7009). One that is not known or is
    /// over is as good as ended; a service account's is refused. When it has returned, nothing is minted in the session.
    pub async fn give_up_session(&self, client: &str, token: &Secret, origin: &Origin) -> Result<(), OAuthError> {
        check_client(client)?;
        self.count_limited(self.0.limits.anonymous(origin), Action::SessionEnd, origin)?;
        self.count_limited(self.0.limits.failing(origin), Action::SessionEnd, origin)?;
        let Ok(token) = OpaqueCredential::parse(token.expose()) else { return Ok(()) };
        let hash = token.hash();
        let found = match token.kind() {
            CredentialKind::Access => match self.store().credential(&hash, self.now()).await? {
                None => None,
                Some(record) => match record.identity {
                    Identity::Person { user, session, .. } => Some((record.id, user, session)),
                    Identity::Administrator { .. }
                    | Identity::ServiceAccount { .. }
                    | Identity::Worker { .. }
                    | Identity::Run { .. }
                    | Identity::Platform { .. } => return Err(OAuthError::OtherClientsToken),
                },
            },
            CredentialKind::Refresh => {
                self.store().refresh_token(&hash).await?.map(|found| (found.id, found.user, found.session))
            }
            other => return Err(OAuthError::TokenType(other)),
        };
        let Some((id, user, session)) = found else { return Ok(self.0.limits.failure(origin)?) };
        // Ending one holds off every audit batch of the installation; what is over anyway must not.
        if self.store().session(session).await?.is_none_or(|session| session.ended_at.is_some()) {
            return Ok(());
        }
        let mut event = self.event(Action::SessionEnd, Decision::Allowed, origin);
        event.credential = Some((token.kind(), id));
        event.principal = Some(Principal::User(user.clone()));
        event.target = Some(format!("session:{session}"));
        match self.store().end_session(&user, session, &event).await {
            // Another request has done it in the meantime.
            Ok(()) | Err(ChangeError::NotFound) => {}
            Err(error) => return Err(OAuthError::of_change(error)),
        }
        self.forget();
        Ok(())
    }

    /// The cheap part: prefix, length and checksum, before anything is looked up.
    pub(super) fn read_code(&self, code: &Secret, origin: &Origin) -> Result<OpaqueCredential, OpenSessionError> {
        self.0.limits.failure(origin)?;
        let code = OpaqueCredential::parse(code.expose())?;
        if code.kind() == CredentialKind::Enrolment { Ok(code) } else { Err(OpenSessionError::OtherKind) }
    }

    /// A code is no caller's credential, so that its refusals are counted, like those of unknown ones.
    pub(super) fn redeem_refused(
        &self,
        error: RedeemError,
        action: Action,
        origin: &Origin,
    ) -> Result<OpenSessionError, OpenSessionError> {
        let reason = match error {
            RedeemError::Store(error) => return Err(Unavailable::from(error).into()),
            RedeemError::Unknown => "enrolment_code_unknown",
            RedeemError::Expired => "enrolment_code_expired",
            RedeemError::Used => "enrolment_code_used",
            RedeemError::UserDead => "user_not_alive",
            RedeemError::Over => SIGN_IN_OVER,
        };
        self.count_sign_in(action, reason, origin);
        Ok(OpenSessionError::Refused)
    }
}
