//! Who people are at the providers where they sign in.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::domain::audit::{Action, Event};
use crate::domain::id::{UpstreamUid, UserUid};
use crate::domain::principal::Principal;
use crate::store::UpstreamIdentity;

const KIND: &str = "identity";

impl Reading {
    /// Every identity of a person.
    pub async fn identities(&self, user: &UserUid) -> Result<Vec<UpstreamIdentity>, AdminError> {
        self.user(user).await?;
        Ok(self.store().upstream_identities(user).await?)
    }
}

impl Administration {
    /// Says that a provider's `subject` is this person: so somebody made known before their first sign-in is met by it.
    pub async fn link_identity(
        &self,
        user: &UserUid,
        provider: UpstreamUid,
        subject: String,
        request: Option<Repeatable>,
    ) -> Result<UpstreamIdentity, AdminError> {
        let event = self.event_of_identity(Action::AdminCreate, user, &provider);
        let link = UpstreamIdentity {
            provider,
            subject,
            user: user.clone(),
            created_by: Some(self.created_by()),
            created_at: event.at,
            signed_in_at: None,
        };
        let resource = format!("{}/{}", link.provider, link.subject);
        if let First::Yes(remember) = self.first(request.as_ref(), resource).await? {
            let done = self.store().link_identity(&link, &event, remember.as_ref()).await;
            self.settle(done, request.as_ref(), "user").await?;
        }
        let same = |known: &UpstreamIdentity| known.provider == link.provider && known.subject == link.subject;
        self.identities(user).await?.into_iter().find(same).ok_or(AdminError::NotFound(KIND))
    }

    /// Takes that back, and ends the sessions that began with it.
    pub async fn unlink_identity(
        &self,
        user: &UserUid,
        provider: &UpstreamUid,
        subject: &str,
    ) -> Result<(), AdminError> {
        let event = self.event_of_identity(Action::AdminDelete, user, provider);
        let done = self.store().unlink_identity(user, provider, subject, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    /// The subject is not told: it may be an address, and the row outlives the person.
    fn event_of_identity(&self, action: Action, user: &UserUid, provider: &UpstreamUid) -> Event {
        let mut event = self.event(action, None, format!("identity:{provider}"));
        event.principal = Some(Principal::User(user.clone()));
        event
    }
}
