//! Who calls: from a bearer to a caller.

use std::sync::{Arc, PoisonError};

use time::OffsetDateTime;

use super::Issuer;
use super::refusals::{AuthError, Unavailable};
use crate::domain::access::{Caller, Denied, Identity};
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, TeamUid};
use crate::domain::principal::Principal;
use crate::domain::requester::Requester;
use crate::limit::network::network;
use crate::limit::rate::Limited;
use crate::store::{CredentialRecord, DeadReason};

/// Most credentials whose last use waits to be written.
const USED_MAX: usize = 50_000;

/// A live credential's caller, and what is known of the credential itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Who calls.
    pub caller: Caller,
    /// When the credential ends, if it does.
    pub expires_at: Option<OffsetDateTime>,
}

impl Issuer {
    /// Who presents `bearer`, asked of the store. For everything that acts at once.
    pub async fn authenticate(&self, bearer: &str, origin: &Origin) -> Result<Known, AuthError> {
        let credential = self.read_bearer(bearer, origin)?;
        let hash = credential.hash();
        let known = self.look_up(&credential, self.0.callers.get(&hash).is_some(), origin).await?;
        self.0.callers.put(hash, Arc::clone(&known));
        self.within_limits(&known.caller, origin)?;
        Ok((*known).clone())
    }

    /// Who presents `bearer`, perhaps from memory. Only for what ends in an audit statement, which proves that
    /// the credential is alive (threat 23), so that the mint has no query of its own.
    pub async fn recognise(&self, bearer: &str, origin: &Origin) -> Result<Known, AuthError> {
        let credential = self.read_bearer(bearer, origin)?;
        // The whole hash is the key: a prefix of a credential finds nothing (threat 4).
        let hash = credential.hash();
        let now = self.now();
        let known = match self.0.callers.get(&hash) {
            Some(known) if known.expires_at.is_none_or(|end| end > now) => known,
            _ => {
                let known = self.look_up(&credential, false, origin).await?;
                self.0.callers.put(hash, Arc::clone(&known));
                known
            }
        };
        self.within_limits(&known.caller, origin)?;
        Ok((*known).clone())
    }

    fn within_limits(&self, caller: &Caller, origin: &Origin) -> Result<(), AuthError> {
        let within = self.0.limits.credential(caller.credential);
        self.count_limited(within, Action::Authenticate, origin)
            .map_err(|limited| AuthError::CallerLimited(limited, Requester::of(caller)))?;
        Ok(self.count_limited(self.0.limits.known(origin), Action::Authenticate, origin)?)
    }

    /// Writes the row of a known caller that asked for what its kind of credential may not do.
    pub async fn record_denied(&self, caller: &Caller, denied: Denied, origin: &Origin) {
        let mut event = self.event(Action::Authenticate, Decision::Refused, origin);
        event.reason = Some("not_permitted");
        about(&mut event, denied.0, caller.credential, &caller.identity);
        self.record_refusal(event).await;
    }

    /// The cheap part: prefix, length and checksum, before anything is looked up.
    fn read_bearer(&self, bearer: &str, origin: &Origin) -> Result<OpaqueCredential, AuthError> {
        let credential = OpaqueCredential::parse(bearer).map_err(|error| {
            self.count_unknown("malformed_credential", origin);
            self.0.limits.failure(origin).map_or_else(AuthError::from, |()| error.into())
        })?;
        if credential.kind() == CredentialKind::Enrolment {
            self.count_unknown("enrolment_code_as_bearer", origin);
            return Err(AuthError::EnrolmentCode);
        }
        if credential.kind() == CredentialKind::Refresh {
            self.count_unknown("refresh_token_as_bearer", origin);
            return Err(AuthError::RefreshToken);
        }
        Ok(credential)
    }

    /// Asks the store. Where too many have failed from there, strangers cost no query any more until there is room
    /// again; `met` ones were alive a moment ago and are asked about whoever else is behind their address.
    async fn look_up(
        &self,
        credential: &OpaqueCredential,
        met: bool,
        origin: &Origin,
    ) -> Result<Arc<Known>, AuthError> {
        let now = self.now();
        let mut place = None;
        if !met {
            self.count_limited(self.0.limits.failing(origin), Action::Authenticate, origin)?;
            // However many strangers come, they never have all of the store's connections, and no network among them
            // keeps another waiting (threat 24).
            let turn = self.0.look_ups.enter(&origin.address.map(network)).await.map_err(Unavailable::from)?;
            // Others may have failed from there while it waited.
            self.count_limited(self.0.limits.failing(origin), Action::Authenticate, origin)?;
            place = Some(turn);
        }
        let found = self.store().credential(&credential.hash(), now).await.map_err(Unavailable::from)?;
        drop(place);
        let Some(record) = found.filter(|record| record.kind == credential.kind()) else {
            self.count_limited(self.0.limits.failure(origin), Action::Authenticate, origin)?;
            self.count_unknown("unknown_credential", origin);
            return Err(AuthError::Unknown);
        };
        if let Some(reason) = record.dead {
            self.record_dead(&record, origin).await?;
            return Err(AuthError::Dead(reason));
        }
        self.note_use(record.id, now);
        let caller = Caller { credential: record.id, kind: record.kind, identity: record.identity };
        Ok(Arc::new(Known { caller, expires_at: record.expires_at }))
    }

    /// A dead credential is a known one, so its refusal is a row; one that is tried too often is counted.
    async fn record_dead(&self, record: &CredentialRecord, origin: &Origin) -> Result<(), AuthError> {
        let mut event = self.event(Action::Authenticate, Decision::Refused, origin);
        event.reason = record.dead.map(DeadReason::as_str);
        // By address too: whoever holds many dead ones must not fill the disk with their rows (threat 41).
        let within = self.0.limits.credential(record.id).and_then(|()| self.0.limits.failure(origin));
        if let Err(limited) = within {
            self.audit().append_counted(event);
            return Err(limited.into());
        }
        about(&mut event, record.kind, record.id, &record.identity);
        self.record_refusal(event).await;
        Ok(())
    }

    fn count_unknown(&self, reason: &'static str, origin: &Origin) {
        metrics::counter!("brevet_refusals_total", "action" => Action::Authenticate.as_str(), "reason" => reason)
            .increment(1);
        let mut event = self.event(Action::Authenticate, Decision::Refused, origin);
        event.reason = Some(reason);
        self.audit().append_counted(event);
    }

    /// Too many of a known caller's requests are counted, not written one by one.
    pub(super) fn count_limited(
        &self,
        within: Result<(), Limited>,
        action: Action,
        origin: &Origin,
    ) -> Result<(), Limited> {
        if within.is_err() {
            metrics::counter!("brevet_refusals_total", "action" => action.as_str(), "reason" => "rate_limited")
                .increment(1);
            let mut event = self.event(action, Decision::Refused, origin);
            event.reason = Some("rate_limited");
            self.audit().append_counted(event);
        }
        within
    }

    fn note_use(&self, credential: CredentialId, now: OffsetDateTime) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < USED_MAX || used.contains_key(&credential) {
            used.insert(credential, now);
        }
    }

    /// Writes when credentials were last used, in one batch.
    pub async fn write_last_used(&self) {
        let used = std::mem::take(&mut *self.0.used.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return;
        }
        let used: Vec<_> = used.into_iter().collect();
        if let Err(error) = self.store().touch_credentials(&used).await {
            tracing::warn!(cause = %error, "the last use of credentials was not written");
        }
    }

    /// What the store knows now of a credential that a release found not alive, which is forgotten with that.
    pub(super) async fn look_again(&self, id: CredentialId) -> Result<Option<CredentialRecord>, Unavailable> {
        self.0.callers.forget_where(|known| known.caller.credential == id);
        Ok(self.store().credential_of_id(id, self.now()).await?)
    }
}

/// Says in `event` whose credential it was.
pub(super) fn about(event: &mut Event, kind: CredentialKind, id: CredentialId, identity: &Identity) {
    event.credential = Some((kind, id));
    (event.principal, event.team) = match identity {
        Identity::Person { user, .. } => (Some(Principal::User(user.clone())), None::<TeamUid>),
        Identity::ServiceAccount { uid, team } => (Some(Principal::ServiceAccount(uid.clone())), Some(team.clone())),
        Identity::Run { team, principal, .. } => (Some(principal.clone()), Some(team.clone())),
        Identity::Administrator { .. } | Identity::Worker { .. } | Identity::Platform { .. } => (None, None),
    };
}
