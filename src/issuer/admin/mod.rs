//! What operators, auditors, team admins and platforms do through the admin API: one file per resource.
//!
//! Owns the rules that need more than one resource (a worker's audience is on no team's list, the last
//! administrator stays) and the audit row of each change, which commits with it. Does not own HTTP (`http::admin`).
//! May import: what its parent may.

mod administrators;
mod aftermath;
mod audit;
mod capability;
mod enrolment_codes;
mod error;
mod identities;
mod key_reading;
mod key_refused;
mod members;
mod platform_keys;
mod policy;
mod provider_settings;
mod public_keys;
mod remaining_sessions;
mod repeat;
mod runs;
mod service_account_keys;
mod service_accounts;
mod sessions;
mod signing_keys;
mod team_issuers;
mod teams;
mod trust_rules;
mod upstream_providers;
mod users;
mod worker_keys;

pub use aftermath::{Aftermath, RoleAftermath};
pub use capability::CapabilityError;
pub use error::AdminError;
pub use key_reading::{KeyAt, KeyReading, KeysPlan, KeysSeen};
pub use key_refused::KeyRefused;
pub use members::ChangeMember;
pub use platform_keys::NewPlatformKey;
pub use provider_settings::LayerSeen;
pub use public_keys::NewPublicKey;
pub use remaining_sessions::{ReadyDeny, RemainingSessions};
pub(in crate::issuer) use repeat::First;
pub use repeat::Repeatable;
pub use service_account_keys::{NewServiceAccountKey, RotateServiceAccountKey};
pub use service_accounts::{ChangeServiceAccount, NewServiceAccount};
pub use signing_keys::{ChangeNumbers, KeyAdministration, KeysChanged};
pub use team_issuers::TeamIssuers;
pub use teams::{ChangeTeam, NewTeam};
pub use trust_rules::{ChangeTrustRule, NewTrustRule};
pub use upstream_providers::{ChangeUpstreamProvider, NewUpstreamProvider, UpstreamSeen};
pub use users::{ChangeUser, NewUser};
pub use worker_keys::NewWorkerKey;

use std::ops::Deref;

use time::OffsetDateTime;

use super::Issuer;
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::authority::Authority;
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::secret::Secret;
use crate::store::{NewCredential, Store};

/// The issuer in the hands of who may look: it has no way to change anything. Which part of it they may look at,
/// the capability says that their handler holds.
#[derive(Debug, Clone)]
pub struct Reading {
    issuer: Issuer,
    authority: Authority,
    origin: Origin,
}

/// The issuer in the hands of who may change something: only an [`Authority`] out of a capability makes one.
#[derive(Debug, Clone)]
pub struct Administration(Reading);

/// Who may change something may look at it.
impl Deref for Administration {
    type Target = Reading;

    fn deref(&self) -> &Reading {
        &self.0
    }
}

/// Something just made, with its secret.
#[derive(Debug, Clone)]
pub struct Made<T> {
    /// What was made.
    pub resource: T,
    /// Its secret; `None` where the create was a repeat.
    pub key: Option<Secret>,
}

impl Issuer {
    /// Lets who has `authority` look.
    pub fn reading(&self, authority: Authority, origin: Origin) -> Reading {
        Reading { issuer: self.clone(), authority, origin }
    }

    /// Lets who has `authority` administer.
    pub fn administration(&self, authority: impl Into<Authority>, origin: Origin) -> Administration {
        Administration(self.reading(authority.into(), origin))
    }
}

impl Reading {
    fn store(&self) -> &Store {
        self.issuer.store()
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.issuer.now()
    }

    /// The credential that what is made is made by.
    fn created_by(&self) -> CredentialId {
        self.authority.credential().1
    }
}

impl Administration {
    /// The row of a change of `target`, which is `<kind>:<uid>`.
    fn event(&self, action: Action, team: Option<&TeamUid>, target: String) -> Event {
        let mut event = self.issuer.event(action, Decision::Allowed, &self.origin);
        event.credential = Some(self.authority.credential());
        event.team = team.cloned();
        event.target = Some(target);
        event
    }

    /// A new secret of `kind`, and what the store keeps of it.
    fn credential(
        &self,
        kind: CredentialKind,
        name: String,
        expires_at: Option<OffsetDateTime>,
    ) -> (OpaqueCredential, NewCredential) {
        let now = self.now();
        let secret = OpaqueCredential::generate(kind, self.issuer.entropy());
        let kept = NewCredential {
            id: CredentialId::new(self.issuer.entropy().uuid_v7(now)),
            hash: secret.hash(),
            name,
            expires_at,
            created_at: now,
            created_by: Some(self.created_by()),
        };
        (secret, kept)
    }

    /// What every change ends with: this replica decides on the new state from now on.
    fn changed<T>(&self, done: T) -> T {
        self.issuer.forget();
        done
    }
}
