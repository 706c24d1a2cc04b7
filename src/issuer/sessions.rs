//! A person's sessions: opened with an enrolment code, listed and ended by their owner.

use time::OffsetDateTime;

use super::Issuer;
use super::refusals::{OpenSessionError, Unavailable};
use crate::domain::access::SessionOwner;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, SessionId, UserUid};
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session::{SESSION_LENGTH, SessionOrigin};
use crate::domain::team::NAME_MAX;
use crate::store::{ChangeError, NewCredential, NewSession, RedeemError, Session};

/// A session just opened.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    /// The access token, shown once.
    pub access_token: Secret,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub user: UserUid,
}

impl Issuer {
    /// Redeems `code`, once, for a session of its person. Of two that try at the same time one wins.
    pub async fn open_session(
        &self,
        code: &Secret,
        device: Option<&str>,
        origin: &Origin,
    ) -> Result<OpenedSession, OpenSessionError> {
        self.0.limits.failure(origin)?;
        let code = OpaqueCredential::parse(code.expose())?;
        if code.kind() != CredentialKind::Enrolment {
            return Err(OpenSessionError::OtherKind);
        }
        if device.is_some_and(|device| device.chars().count() > NAME_MAX || device.chars().any(char::is_control)) {
            return Err(OpenSessionError::Device);
        }
        let now = self.now();
        let access = OpaqueCredential::generate(CredentialKind::Access, self.entropy());
        let session = NewSession {
            id: SessionId::new(self.entropy().uuid_v7(now)),
            access: NewCredential {
                id: CredentialId::new(self.entropy().uuid_v7(now)),
                hash: access.hash(),
                name: String::new(),
                expires_at: Some(now + SESSION_LENGTH),
                created_at: now,
                created_by: None,
            },
            origin: SessionOrigin::EnrolmentCode,
            device: device.map(str::to_owned),
            expires_at: now + SESSION_LENGTH,
        };
        let mut event = self.event(Action::SessionOpen, Decision::Allowed, origin);
        // The store adds the code and the person, whom only it knows.
        event.target = Some(format!("session:{}", session.id));
        match self.store().redeem_enrolment_code(&code.hash(), &session, now, &event).await {
            Ok(redeemed) => Ok(OpenedSession {
                access_token: access.secret().clone(),
                expires_at: session.expires_at,
                session: session.id,
                user: redeemed.user,
            }),
            Err(error) => Err(self.redeem_refused(error, origin)?),
        }
    }

    /// A code is no caller's credential, so that its refusals are counted, like those of unknown ones.
    fn redeem_refused(&self, error: RedeemError, origin: &Origin) -> Result<OpenSessionError, OpenSessionError> {
        let reason = match error {
            RedeemError::Store(error) => return Err(Unavailable::from(error).into()),
            RedeemError::Unknown => "enrolment_code_unknown",
            RedeemError::Expired => "enrolment_code_expired",
            RedeemError::Used => "enrolment_code_used",
            RedeemError::UserDead => "user_not_alive",
        };
        let mut event = self.event(Action::SessionOpen, Decision::Refused, origin);
        event.reason = Some(reason);
        self.audit().append_counted(event);
        Ok(OpenSessionError::Refused)
    }

    /// The owner's live sessions, the newest first.
    pub async fn sessions(&self, owner: &SessionOwner) -> Result<Vec<Session>, Unavailable> {
        Ok(self.store().sessions_of(&owner.user, self.now()).await?)
    }

    /// Ends one of the owner's sessions; whether there was such a live one.
    pub async fn end_session(
        &self,
        owner: &SessionOwner,
        session: SessionId,
        origin: &Origin,
    ) -> Result<bool, Unavailable> {
        // Ending one holds off every audit batch of the installation; asking for one that is not there must not.
        let found = self.store().session(session).await?;
        if !found.is_some_and(|found| found.user == owner.user && found.ended_at.is_none()) {
            return Ok(false);
        }
        let mut event = self.event(Action::SessionEnd, Decision::Allowed, origin);
        event.credential = Some((CredentialKind::Access, owner.credential));
        event.principal = Some(Principal::User(owner.user.clone()));
        event.target = Some(format!("session:{session}"));
        match self.store().end_session(&owner.user, session, &event).await {
            Ok(()) => {
                self.forget();
                Ok(true)
            }
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(
                ChangeError::NotFound
                | ChangeError::VersionMismatch { .. }
                | ChangeError::UidTaken
                | ChangeError::Conflict(_),
            ) => Ok(false),
        }
    }
}
