//! Teams.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::domain::audit::Action;
use crate::domain::authority::Office;
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::team::{Team, TeamPolicy};
use crate::store::{Page, Paged, StoreError, TeamChange};

/// A team to make.
#[derive(Debug, Clone)]
pub struct NewTeam {
    /// Its uid; one of ours where absent.
    pub uid: Option<TeamUid>,
    /// What to call it.
    pub name: String,
}

/// What to change of a team; `None` keeps.
#[derive(Debug, Clone)]
pub struct ChangeTeam {
    /// Another name.
    pub name: Option<String>,
    /// Off or on.
    pub disabled: Option<bool>,
}

impl Reading {
    /// A page of teams.
    pub async fn teams(&self, page: &Page) -> Result<Paged<Team>, AdminError> {
        Ok(self.store().teams(page).await?)
    }

    /// One team.
    pub async fn team(&self, uid: &TeamUid) -> Result<Team, AdminError> {
        self.store().team(uid).await?.ok_or(AdminError::NotFound("team"))
    }
}

impl Administration {
    /// Makes a team.
    pub async fn create_team(&self, new: NewTeam, request: Option<Repeatable>) -> Result<Team, AdminError> {
        let now = self.now();
        let entropy = self.issuer.entropy();
        let team = Team {
            uid: new.uid.unwrap_or_else(|| TeamUid::from_uuid(entropy.uuid_v7(now))),
            name: new.name,
            policy: TeamPolicy::new_team(),
            external_id: format!("brevet-{}", entropy.uuid_v7(now).simple()),
            created_at: now,
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        let event = self.event(Action::AdminCreate, Some(&team.uid), format!("team:{}", team.uid));
        let earlier = match self.first(request.as_ref(), team.uid.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let platform = self.platform();
                let done = self.store().create_team_for(&team, platform, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "team").await?
            }
        };
        match earlier {
            None => Ok(team),
            Some(uid) => self.team(&TeamUid::parse(&uid).map_err(|_| StoreError::Corrupt("resource"))?).await,
        }
    }

    /// The platform key that a new team joins the list of.
    fn platform(&self) -> Option<CredentialId> {
        let (_, credential) = self.authority.credential();
        matches!(self.authority.office(), Office::Platform { .. }).then_some(credential)
    }

    /// Changes a team. Off and on are the operator's.
    pub async fn change_team(
        &self,
        uid: &TeamUid,
        expected: Option<i64>,
        change: ChangeTeam,
    ) -> Result<Team, AdminError> {
        if change.disabled.is_some() {
            self.authority.operator_only()?;
        }
        let event = self.event(Action::AdminUpdate, Some(uid), format!("team:{uid}"));
        let disabled_at = change.disabled.map(|disabled| disabled.then_some(event.at));
        let change = TeamChange { name: change.name, disabled_at, policy: None };
        let team = self.store().update_team(uid, expected, &change, &event).await;
        self.changed(team.map_err(AdminError::of("team")))
    }

    /// Deletes a team for ever, and its private issuer with it.
    pub async fn delete_team(&self, uid: &TeamUid, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event(Action::AdminDelete, Some(uid), format!("team:{uid}"));
        self.changed(self.store().delete_team(uid, expected, &event).await.map_err(AdminError::of("team")))?;
        self.issuer.settle_private_issuers().await;
        Ok(())
    }
}
