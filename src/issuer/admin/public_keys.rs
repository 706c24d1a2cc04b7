//! The public keys of agents, by which they sign their own assertions.

use time::Duration;

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::domain::audit::Action;
use crate::domain::client_key::{ClientKey, KeySource};
use crate::domain::id::{PublicKeyId, ServiceAccountUid, TeamUid};
use crate::oidc::KeyPlace;
use crate::store::{Page, Paged, StoreError};

const KIND: &str = "public key";

/// A public key to register.
#[derive(Debug, Clone)]
pub struct NewPublicKey {
    /// What to call it.
    pub name: Option<String>,
    /// The key, or where it is.
    pub source: KeySource,
    /// After how long it ends, if it does.
    pub life: Option<Duration>,
}

impl Reading {
    /// A page of an agent's public keys, revoked ones among them.
    pub async fn public_keys(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        page: &Page,
    ) -> Result<Paged<ClientKey>, AdminError> {
        self.service_account(team, uid).await?;
        Ok(self.store().public_keys(uid, page).await?)
    }
}

impl Administration {
    /// Registers a public key of an agent. A place of keys is not asked now: it is when an assertion comes.
    pub async fn create_public_key(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        new: NewPublicKey,
        request: Option<Repeatable>,
    ) -> Result<ClientKey, AdminError> {
        self.service_account(team, uid).await?;
        if let KeySource::JwksUri(uri) = &new.source {
            let place = KeyPlace::url(uri, self.issuer.url().is_loopback());
            let place = place.map_err(|_| {
                AdminError::field(
                    "jwks_uri",
                    "must be an https URL of at most 2000 characters, without user and fragment",
                )
            })?;
            // What is on this machine itself, only development reaches, and only an operator names.
            if place.is_loopback() {
                self.authority.operator_only()?;
            }
        }
        let now = self.now();
        let key = ClientKey {
            id: PublicKeyId::new(self.issuer.entropy().uuid_v7(now)),
            name: new.name.unwrap_or_default(),
            source: new.source,
            created_at: now,
            expires_at: new.life.map(|life| now + life),
            last_used_at: None,
            revoked_at: None,
        };
        let mut event = self.event_of_account(Action::AdminCreate, team, uid);
        event.target = Some(format!("public_key:{}", key.id));
        let earlier = match self.first(request.as_ref(), key.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_public_key(uid, &key, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "service account").await?
            }
        };
        let id = match earlier {
            None => key.id,
            Some(id) => PublicKeyId::parse(&id).ok_or(StoreError::Corrupt("resource"))?,
        };
        self.store().public_key(uid, id).await?.ok_or(AdminError::NotFound(KIND))
    }

    /// Revokes a public key of an agent.
    pub async fn delete_public_key(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        id: PublicKeyId,
    ) -> Result<(), AdminError> {
        self.service_account(team, uid).await?;
        let mut event = self.event_of_account(Action::AdminDelete, team, uid);
        event.target = Some(format!("public_key:{id}"));
        let done = self.store().revoke_public_key(uid, id, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }
}
