//! Who may act in which team, and as what.

use super::repeat::First;
use super::{AdminError, Administration, NewUser, Reading, Repeatable};
use crate::domain::access::Denied;
use crate::domain::audit::{Action, Event};
use crate::domain::authority::Office;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::role::TeamRole;
use crate::domain::team::Membership;
use crate::store::{ChangeError, Member, MemberReach, MembershipChange, Page, Paged, StoreError};

const KIND: &str = "member";

/// What to change of a membership; `None` keeps.
#[derive(Debug, Clone)]
pub struct ChangeMember {
    /// Another role.
    pub role: Option<TeamRole>,
    /// Off or on.
    pub disabled: Option<bool>,
}

impl Reading {
    /// A page of a team's members.
    pub async fn members(&self, team: &TeamUid, page: &Page) -> Result<Paged<Member>, AdminError> {
        self.team(team).await?;
        Ok(self.store().members(team, page).await?)
    }

    /// One member of a team.
    pub async fn member(&self, team: &TeamUid, user: &UserUid) -> Result<Member, AdminError> {
        self.team(team).await?;
        self.store().member(team, user).await?.ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Lets a person act in a team as a plain member, and tells whether they could not before. About people in
    /// teams that are not the caller's, they learn nothing.
    pub async fn add_member(&self, team: &TeamUid, user: &UserUid) -> Result<(Member, bool), AdminError> {
        self.team(team).await?;
        let event = self.event_of_member(Action::AdminCreate, team, user);
        let membership = Membership::new(team.clone(), user.clone(), event.at);
        let own = [team.clone()];
        let reach = match self.authority.office() {
            Office::Operator(_) => MemberReach::Everyone,
            Office::Platform { teams } => MemberReach::Within(teams),
            Office::Member { .. } | Office::Auditor(_) => MemberReach::Within(&own),
        };
        let new = match self.store().add_member(&membership, reach, &event).await {
            Ok(()) => self.changed(true),
            Err(ChangeError::Conflict("already_member")) => false,
            Err(error) => return Err(AdminError::of("user")(error)),
        };
        Ok((self.member(team, user).await?, new))
    }

    /// Makes a person known, in this team.
    pub async fn create_member(
        &self,
        team: &TeamUid,
        new: NewUser,
        role: TeamRole,
        request: Option<Repeatable>,
    ) -> Result<Member, AdminError> {
        self.team(team).await?;
        self.may_give(role)?;
        let user = self.user_to_make(new);
        let event = self.event_of_member(Action::AdminCreate, team, &user.uid);
        let membership = Membership { role, ..Membership::new(team.clone(), user.uid.clone(), event.at) };
        let earlier = match self.first(request.as_ref(), user.uid.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_member(&user, &membership, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "team").await?
            }
        };
        match earlier {
            None => Ok(Member { membership, name: user.name, email: user.email }),
            Some(uid) => {
                let uid = UserUid::parse(&uid).map_err(|_| StoreError::Corrupt("resource"))?;
                self.member(team, &uid).await
            }
        }
    }

    /// Gives a member another role, or switches them off in this team, or on again.
    pub async fn change_member(
        &self,
        team: &TeamUid,
        user: &UserUid,
        expected: Option<i64>,
        change: ChangeMember,
    ) -> Result<Member, AdminError> {
        let member = self.member(team, user).await?;
        self.may_give(member.membership.role)?;
        self.may_give(change.role.unwrap_or(TeamRole::Member))?;
        let event = self.event_of_member(Action::AdminUpdate, team, user);
        let disabled_at = change.disabled.map(|disabled| disabled.then_some(event.at));
        let change = MembershipChange { role: change.role, disabled_at };
        let done = self.store().update_member(team, user, expected, &change, &event).await;
        let membership = self.changed(done.map_err(AdminError::of(KIND)))?;
        Ok(Member { membership, ..member })
    }

    /// Ends a membership.
    pub async fn remove_member(&self, team: &TeamUid, user: &UserUid) -> Result<(), AdminError> {
        let member = self.member(team, user).await?;
        self.may_give(member.membership.role)?;
        let event = self.event_of_member(Action::AdminDelete, team, user);
        self.changed(self.store().remove_member(team, user, &event).await.map_err(AdminError::of(KIND)))
    }

    /// A platform registers members; over those who rule or audit a team it has no power.
    fn may_give(&self, role: TeamRole) -> Result<(), AdminError> {
        match (self.authority.office(), role) {
            (Office::Platform { .. }, TeamRole::Admin | TeamRole::Auditor) => {
                let (kind, _) = self.authority.credential();
                Err(Denied(kind, "an operator's administrator key, or the session of an admin of the team").into())
            }
            _ => Ok(()),
        }
    }

    fn event_of_member(&self, action: Action, team: &TeamUid, user: &UserUid) -> Event {
        let mut event = self.event(action, Some(team), format!("member:{team}/{user}"));
        event.principal = Some(Principal::User(user.clone()));
        event
    }
}
