//! People's sessions, as those see them who may look.

use super::{AdminError, Administration, Reading};
use crate::domain::audit::{Action, Event};
use crate::domain::id::{SessionId, UserUid};
use crate::domain::principal::Principal;
use crate::store::Session;

impl Reading {
    /// A person's living sessions, the newest first, each with when it was last used.
    pub async fn sessions_of(&self, user: &UserUid) -> Result<Vec<Session>, AdminError> {
        self.user(user).await?;
        Ok(self.store().sessions_of(user, self.now()).await?)
    }
}

impl Administration {
    /// Ends one session of a person.
    pub async fn end_session_of(&self, user: &UserUid, session: SessionId) -> Result<(), AdminError> {
        self.user(user).await?;
        let event = self.event_of_session(user, format!("session:{session}"));
        self.changed(self.store().end_session(user, session, &event).await.map_err(AdminError::of("session")))
    }

    /// Ends every session of a person.
    pub async fn end_sessions_of(&self, user: &UserUid) -> Result<(), AdminError> {
        self.user(user).await?;
        let event = self.event_of_session(user, format!("sessions:{user}"));
        self.changed(self.store().end_sessions(user, &event).await.map(drop).map_err(AdminError::of("session")))
    }

    fn event_of_session(&self, user: &UserUid, target: String) -> Event {
        let mut event = self.event(Action::SessionEnd, None, target);
        event.principal = Some(Principal::User(user.clone()));
        event
    }
}
