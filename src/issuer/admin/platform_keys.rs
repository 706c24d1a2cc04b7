//! The keys of platform backends: each with a list of teams and its rights there.

use time::OffsetDateTime;

use super::repeat::First;
use super::{AdminError, Administration, Made, Reading, Repeatable};
use crate::domain::audit::Action;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::platform::PlatformRights;
use crate::store::{Page, Paged, PlatformKey, PlatformKeyChange, StoreError};

const KIND: &str = "platform key";
const TEAM: &str = "team";

/// A platform's key to make.
#[derive(Debug, Clone)]
pub struct NewPlatformKey {
    /// What to call it.
    pub name: String,
    /// The teams it acts in.
    pub teams: Vec<TeamUid>,
    /// What it may do there.
    pub rights: PlatformRights,
    /// Until when it works.
    pub expires_at: Option<OffsetDateTime>,
}

impl Reading {
    /// A page of platform keys, revoked ones among them.
    pub async fn platform_keys(&self, page: &Page) -> Result<Paged<PlatformKey>, AdminError> {
        Ok(self.store().platform_keys(page).await?)
    }

    /// One platform key, alive or revoked.
    pub async fn platform_key(&self, id: CredentialId) -> Result<PlatformKey, AdminError> {
        self.store().platform_key(id).await?.ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Makes a platform's key.
    pub async fn create_platform_key(
        &self,
        new: NewPlatformKey,
        request: Option<Repeatable>,
    ) -> Result<Made<PlatformKey>, AdminError> {
        let (secret, key) = self.credential(CredentialKind::Platform, new.name, new.expires_at);
        let event = self.event(Action::AdminCreate, None, target(key.id));
        let earlier = match self.first(request.as_ref(), key.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let made = self.store().create_platform_key(&key, &new.teams, &new.rights, &event, remember.as_ref());
                self.settle(made.await, request.as_ref(), TEAM).await.map_err(name_the_team)?
            }
        };
        let (id, secret) = match earlier {
            None => (key.id, Some(secret.secret().clone())),
            Some(id) => (CredentialId::parse(&id).ok_or(StoreError::Corrupt("resource"))?, None),
        };
        Ok(Made { resource: self.platform_key(id).await?, key: secret })
    }

    /// Changes a platform's key. What a team or a right taken off had allowed, is over when it returns.
    pub async fn change_platform_key(
        &self,
        id: CredentialId,
        expected: Option<i64>,
        change: PlatformKeyChange,
    ) -> Result<PlatformKey, AdminError> {
        if self.platform_key(id).await?.revoked_at.is_some() {
            return Err(AdminError::NotFound(KIND));
        }
        let event = self.event(Action::AdminUpdate, None, target(id));
        let done = self.store().update_platform_key(id, expected, &change, &event).await;
        self.changed(done.map_err(|error| name_the_team(AdminError::of(TEAM)(error))))
    }

    /// Revokes a platform's key, and with it every run that it opened.
    pub async fn delete_platform_key(&self, id: CredentialId, expected: Option<i64>) -> Result<(), AdminError> {
        let event = self.event(Action::AdminDelete, None, target(id));
        let done = self.store().revoke_platform_key(id, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }
}

fn target(id: CredentialId) -> String {
    format!("platform_key:{id}")
}

/// A team of the list that is not there is a fault of the request, not a path that leads nowhere.
fn name_the_team(error: AdminError) -> AdminError {
    if error == AdminError::NotFound(TEAM) {
        AdminError::field("teams", "must hold only uids of teams that exist")
    } else {
        error
    }
}
