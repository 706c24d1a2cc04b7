//! The keys of agents.

use time::Duration;

use super::repeat::First;
use super::{AdminError, Administration, Made, Reading, Repeatable};
use crate::domain::audit::Action;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, ServiceAccountUid, TeamUid};
use crate::store::{KeyInfo, Page, Paged, StoreError};

const KIND: &str = "key";

/// A key to make.
#[derive(Debug, Clone)]
pub struct NewServiceAccountKey {
    /// What to call it.
    pub name: Option<String>,
    /// After how long it ends, if it does.
    pub life: Option<Duration>,
}

/// An old key to be followed by a new one.
#[derive(Debug, Clone)]
pub struct RotateServiceAccountKey {
    /// The new key; without a name it takes the old one's.
    pub new: NewServiceAccountKey,
    /// How long the old one goes on beside it.
    pub overlap: Duration,
}

impl Reading {
    /// A page of an agent's keys, revoked ones among them.
    pub async fn service_account_keys(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        page: &Page,
    ) -> Result<Paged<KeyInfo>, AdminError> {
        self.service_account(team, uid).await?;
        Ok(self.store().service_account_keys(uid, page).await?)
    }
}

impl Administration {
    /// Makes a key of an agent.
    pub async fn create_service_account_key(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        new: NewServiceAccountKey,
        request: Option<Repeatable>,
    ) -> Result<Made<KeyInfo>, AdminError> {
        self.service_account(team, uid).await?;
        let expires_at = new.life.map(|life| self.now() + life);
        let (secret, key) = self.credential(CredentialKind::ServiceAccount, new.name.unwrap_or_default(), expires_at);
        let mut event = self.event_of_account(Action::AdminCreate, team, uid);
        event.target = Some(format!("service_account_key:{}", key.id));
        let earlier = match self.first(request.as_ref(), key.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_service_account_key(uid, &key, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "service account").await?
            }
        };
        let (id, secret) = match earlier {
            None => (key.id, Some(secret.secret().clone())),
            Some(id) => (CredentialId::parse(&id).ok_or(StoreError::Corrupt("resource"))?, None),
        };
        let resource = self.store().service_account_key(uid, id).await?.ok_or(AdminError::NotFound(KIND))?;
        Ok(Made { resource, key: secret })
    }

    /// Makes a new key for the live key `old`, which ends after the overlap.
    pub async fn rotate_service_account_key(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        old: CredentialId,
        change: RotateServiceAccountKey,
        request: Option<Repeatable>,
    ) -> Result<Made<KeyInfo>, AdminError> {
        self.service_account(team, uid).await?;
        let before = self.store().service_account_key(uid, old).await?.ok_or(AdminError::NotFound(KIND))?;
        let now = self.now();
        let expires_at = change.new.life.map(|life| now + life);
        let name = change.new.name.unwrap_or(before.name);
        let (secret, key) = self.credential(CredentialKind::ServiceAccount, name, expires_at);
        let mut made = self.event_of_account(Action::AdminCreate, team, uid);
        made.target = Some(format!("service_account_key:{}", key.id));
        let mut ends = self.event_of_account(Action::AdminUpdate, team, uid);
        ends.target = Some(format!("service_account_key:{old}"));
        let earlier = match self.first(request.as_ref(), key.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let until = now + change.overlap;
                let events = [&ends, &made];
                let done =
                    self.store().rotate_service_account_key(uid, old, until, &key, events, remember.as_ref()).await;
                self.settle(done, request.as_ref(), KIND).await?
            }
        };
        let (id, secret) = match earlier {
            None => (key.id, Some(secret.secret().clone())),
            Some(id) => (CredentialId::parse(&id).ok_or(StoreError::Corrupt("resource"))?, None),
        };
        let resource = self.store().service_account_key(uid, id).await?.ok_or(AdminError::NotFound(KIND))?;
        Ok(Made { resource, key: secret })
    }

    /// Revokes a key of an agent.
    pub async fn delete_service_account_key(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        id: CredentialId,
    ) -> Result<(), AdminError> {
        self.service_account(team, uid).await?;
        let mut event = self.event_of_account(Action::AdminDelete, team, uid);
        event.target = Some(format!("service_account_key:{id}"));
        let done = self.store().revoke_service_account_key(uid, id, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }
}
