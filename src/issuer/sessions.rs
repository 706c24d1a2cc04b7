//! A person's sessions, listed and ended by their owner. How they are opened is in `sign_in`.

use super::Issuer;
use super::refusals::Unavailable;
use crate::domain::access::SessionOwner;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::CredentialKind;
use crate::domain::id::SessionId;
use crate::domain::principal::Principal;
use crate::store::{ChangeError, Session};

impl Issuer {
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
