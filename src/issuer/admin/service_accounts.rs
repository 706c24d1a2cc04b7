//! Agents. Every one is reached through its team; through another it does not exist.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::domain::audit::{Action, Event};
use crate::domain::id::{ServiceAccountUid, TeamUid};
use crate::domain::principal::Principal;
use crate::domain::team::ServiceAccount;
use crate::store::{Page, Paged, ServiceAccountChange, StoreError};

const KIND: &str = "service account";

/// An agent to make.
#[derive(Debug, Clone)]
pub struct NewServiceAccount {
    /// Its uid; one of ours where absent.
    pub uid: Option<ServiceAccountUid>,
    /// What to call it.
    pub name: String,
}

/// What to change of an agent; `None` keeps.
#[derive(Debug, Clone)]
pub struct ChangeServiceAccount {
    /// Another name.
    pub name: Option<String>,
    /// Off or on.
    pub disabled: Option<bool>,
}

impl Reading {
    /// A page of a team's agents.
    pub async fn service_accounts(&self, team: &TeamUid, page: &Page) -> Result<Paged<ServiceAccount>, AdminError> {
        self.team(team).await?;
        Ok(self.store().service_accounts(team, page).await?)
    }

    /// One agent of a team that is there.
    pub async fn service_account(&self, team: &TeamUid, uid: &ServiceAccountUid) -> Result<ServiceAccount, AdminError> {
        self.team(team).await?;
        let account = self.store().service_account(uid).await?;
        account.filter(|account| account.team == *team).ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Makes an agent in a team.
    pub async fn create_service_account(
        &self,
        team: &TeamUid,
        new: NewServiceAccount,
        request: Option<Repeatable>,
    ) -> Result<ServiceAccount, AdminError> {
        self.team(team).await?;
        let now = self.now();
        let account = ServiceAccount {
            uid: new.uid.unwrap_or_else(|| ServiceAccountUid::from_uuid(self.issuer.entropy().uuid_v7(now))),
            team: team.clone(),
            name: new.name,
            created_at: now,
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        let event = self.event_of_account(Action::AdminCreate, team, &account.uid);
        let earlier = match self.first(request.as_ref(), account.uid.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_service_account(&account, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "team").await?
            }
        };
        match earlier {
            None => Ok(account),
            Some(uid) => {
                let uid = ServiceAccountUid::parse(&uid).map_err(|_| StoreError::Corrupt("resource"))?;
                self.service_account(team, &uid).await
            }
        }
    }

    /// Changes an agent.
    pub async fn change_service_account(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        expected: Option<i64>,
        change: ChangeServiceAccount,
    ) -> Result<ServiceAccount, AdminError> {
        self.service_account(team, uid).await?;
        let event = self.event_of_account(Action::AdminUpdate, team, uid);
        let disabled_at = change.disabled.map(|disabled| disabled.then_some(event.at));
        let change = ServiceAccountChange { name: change.name, disabled_at };
        let account = self.store().update_service_account(uid, expected, &change, &event).await;
        self.changed(account.map_err(AdminError::of(KIND)))
    }

    /// Deletes an agent for ever.
    pub async fn delete_service_account(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        expected: Option<i64>,
    ) -> Result<(), AdminError> {
        self.service_account(team, uid).await?;
        let event = self.event_of_account(Action::AdminDelete, team, uid);
        let done = self.store().delete_service_account(uid, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    pub(super) fn event_of_account(&self, action: Action, team: &TeamUid, uid: &ServiceAccountUid) -> Event {
        let mut event = self.event(action, Some(team), format!("service_account:{uid}"));
        event.principal = Some(Principal::ServiceAccount(uid.clone()));
        event
    }
}
