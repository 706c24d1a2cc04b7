//! Who may act in which team.

use super::{AdminError, Administration};
use crate::domain::audit::{Action, Event};
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::team::Membership;
use crate::store::{ChangeError, Page, Paged};

impl Administration {
    /// A page of a team's members.
    pub async fn members(&self, team: &TeamUid, page: &Page) -> Result<Paged<Membership>, AdminError> {
        self.team(team).await?;
        Ok(self.store().members(team, page).await?)
    }

    /// Lets a person act in a team, and tells whether they could not before.
    pub async fn add_member(&self, team: &TeamUid, user: &UserUid) -> Result<(Membership, bool), AdminError> {
        self.team(team).await?;
        self.user(user).await?;
        let event = self.event_of_member(Action::AdminCreate, team, user);
        let membership = Membership { team: team.clone(), user: user.clone(), created_at: event.at };
        match self.store().add_member(&membership, &event, None).await {
            Ok(()) => Ok(self.changed((membership, true))),
            Err(ChangeError::Conflict("already_member")) => {
                let earlier = self.store().membership(team, user).await?;
                earlier.map(|earlier| (earlier, false)).ok_or(AdminError::NotFound("member"))
            }
            Err(error) => Err(AdminError::of("user")(error)),
        }
    }

    /// Ends a membership.
    pub async fn remove_member(&self, team: &TeamUid, user: &UserUid) -> Result<(), AdminError> {
        self.team(team).await?;
        let event = self.event_of_member(Action::AdminDelete, team, user);
        self.changed(self.store().remove_member(team, user, &event).await.map_err(AdminError::of("member")))
    }

    fn event_of_member(&self, action: Action, team: &TeamUid, user: &UserUid) -> Event {
        let mut event = self.event(action, Some(team), format!("member:{team}/{user}"));
        event.principal = Some(Principal::User(user.clone()));
        event
    }
}
