//! The keys of workers: each for one audience and a list of teams.

use super::repeat::First;
use super::{AdminError, Administration, Made, Reading, Repeatable};
use crate::domain::audience::Audience;
use crate::domain::audit::Action;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, TeamUid};
use crate::store::{Page, Paged, StoreError, WorkerKey, WorkerKeyChange};

const KIND: &str = "worker key";
const TEAM: &str = "team";

/// A worker's key to make.
#[derive(Debug, Clone)]
pub struct NewWorkerKey {
    /// What to call it.
    pub name: String,
    /// For which audience callers' tokens must be.
    pub audience: Audience,
    /// The teams it serves.
    pub teams: Vec<TeamUid>,
}

impl Reading {
    /// A page of worker keys, revoked ones among them.
    pub async fn worker_keys(&self, page: &Page) -> Result<Paged<WorkerKey>, AdminError> {
        Ok(self.store().worker_keys(page).await?)
    }

    /// One worker key, alive or revoked.
    pub async fn worker_key(&self, id: CredentialId) -> Result<WorkerKey, AdminError> {
        self.store().worker_key(id).await?.ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Makes a worker's key. Its audience is the worker's alone: a token for it means nothing to anyone else, and
    /// no team's list can hold it (the store checks that in the same transaction).
    pub async fn create_worker_key(
        &self,
        new: NewWorkerKey,
        request: Option<Repeatable>,
    ) -> Result<Made<WorkerKey>, AdminError> {
        if new.audience.is_sts() {
            return Err(AdminError::field("audience", "must not be AWS STS"));
        }
        if self.issuer.url().reserves(new.audience.as_str()) {
            return Err(AdminError::field("audience", "must not be the issuer's own URL"));
        }
        let (secret, key) = self.credential(CredentialKind::Worker, new.name, None);
        let event = self.event(Action::AdminCreate, None, format!("worker_key:{}", key.id));
        let earlier = match self.first(request.as_ref(), key.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let made = self.store().create_worker_key(&key, &new.audience, &new.teams, &event, remember.as_ref());
                self.settle(made.await, request.as_ref(), TEAM).await.map_err(name_the_team)?
            }
        };
        let (id, secret) = match earlier {
            None => (key.id, Some(secret.secret().clone())),
            Some(id) => (CredentialId::parse(&id).ok_or(StoreError::Corrupt("resource"))?, None),
        };
        Ok(Made { resource: self.worker_key(id).await?, key: secret })
    }

    /// Changes which teams a worker serves; `None` keeps them.
    pub async fn change_worker_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        teams: Option<Vec<TeamUid>>,
    ) -> Result<WorkerKey, AdminError> {
        let key = self.worker_key(id).await?;
        if key.revoked_at.is_some() {
            return Err(AdminError::NotFound(KIND));
        }
        let event = self.event(Action::AdminUpdate, None, format!("worker_key:{id}"));
        let change = WorkerKeyChange { name: None, teams };
        let done = self.store().update_worker_key(id, expected, &change, &event).await;
        self.changed(done.map_err(|error| name_the_team(AdminError::of(TEAM)(error))))
    }

    /// Revokes a worker's key.
    pub async fn delete_worker_key(&self, id: CredentialId, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event(Action::AdminDelete, None, format!("worker_key:{id}"));
        let done = self.store().revoke_worker_key(id, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }
}

/// A team of the list that is not there is a fault of the request, not a path that leads nowhere.
fn name_the_team(error: AdminError) -> AdminError {
    if error == AdminError::NotFound(TEAM) {
        AdminError::field("teams", "must hold only uids of teams that exist")
    } else {
        error
    }
}
