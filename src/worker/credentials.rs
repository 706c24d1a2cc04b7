//! From a grant to a session at AWS: which one it is, and opening it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{Presented, WorkerError};
use super::exchange::{Exchanges, Grant};
use super::refusal::Refusal;
use super::token_source::caller::Caller;
use crate::aws::credential::OwnedCredentials;
use crate::aws::credential_cache::{self, CredentialCache};
use crate::aws::credential_key::{CredentialKey, Hop, IdentityKind};
use crate::aws::error::AwsError;
use crate::aws::flight_cache::Loaded;
use crate::aws::sts::{Sts, WebIdentity};
use crate::aws::sts_fault::StsFault;
use crate::domain::session_name::SourceIdentity;

/// Sessions by what makes them differ, opened where there is none.
#[derive(Clone)]
pub(super) struct Sessions {
    sts: Sts,
    exchanges: Exchanges,
    kept: CredentialCache<WorkerError>,
}

/// A session and the key it is kept under.
pub(super) struct Session {
    key: CredentialKey,
    /// The credentials, to be asked for in the caller's name.
    pub(super) credentials: Arc<OwnedCredentials>,
}

impl Sessions {
    pub(super) fn new(sts: Sts, exchanges: Exchanges, kept: CredentialCache<WorkerError>) -> Self {
        Self { sts, exchanges, kept }
    }

    /// The session of `caller` under `grant`.
    pub(super) async fn of(&self, caller: &Caller, grant: &Grant) -> Result<Session, WorkerError> {
        let key = key_of(caller, grant);
        let open = || self.clone().open(caller.clone(), key.clone());
        let credentials = self.kept.get(&key, open).await?;
        Ok(Session { key, credentials })
    }

    /// Drops `session`, for the next to open another.
    pub(super) fn discard(&self, session: &Session) {
        self.kept.discard(&session.key, &session.credentials);
    }

    /// Opens the session of `key` with an identity token that still holds. Whoever asked first may be gone, and the
    /// settings may have changed since: a session for other settings than the key's is not opened.
    async fn open(self, caller: Caller, key: CredentialKey) -> Result<Loaded<OwnedCredentials>, WorkerError> {
        let mut renewed = false;
        loop {
            let grant = self.exchanges.with_live_token(&caller).await?;
            if key_of(&caller, &grant) != key {
                return Err(WorkerError::refused(Refusal::SettingsChanging, "the settings changed under way"));
            }
            let opened = self.sts.assume_role_with_web_identity(&request(&caller, &grant)).await;
            count(&opened);
            match opened {
                Ok(credentials) => {
                    let owned = OwnedCredentials::new(grant.owner(&caller), credentials);
                    return Ok(credential_cache::loaded(owned));
                }
                // Once: an identity token can lapse on the way, but a second one just made cannot.
                Err(AwsError::Sts { fault: StsFault::TokenExpired, .. }) if !renewed => {
                    renewed = true;
                    self.exchanges.discard(&caller, &grant);
                }
                Err(error) => return Err(denied(error, &caller, &grant)),
            }
        }
    }
}

/// Everything that would make STS open another session.
fn key_of(caller: &Caller, grant: &Grant) -> CredentialKey {
    let settings = &grant.settings;
    let subject = &caller.owner.subject;
    // What STS is told, label by label: another label or cost tag makes another session.
    let tags: BTreeMap<_, _> =
        grant.tags.principal_tags.iter().map(|(key, [value])| (key.clone(), value.clone())).collect();
    let source_identity = settings.source_identity.then(|| SourceIdentity::new(subject.principal()));
    CredentialKey {
        owner: grant.owner(caller),
        run: caller.run.clone(),
        audience: grant.audience.clone(),
        identity: IdentityKind::WebIdentity,
        hops: vec![Hop {
            role: settings.role.clone(),
            session_name: grant.session_name.as_str().into(),
            duration_seconds: settings.duration.seconds(),
            transitive_tag_keys: grant.tags.transitive_tag_keys.iter().cloned().collect(),
            tags,
        }],
        sts_endpoint: settings.sts_endpoint.clone(),
        region: settings.region.clone(),
        source_identity: source_identity.map(|identity| identity.as_str().into()),
        session_policy: None,
    }
}

fn request<'a>(caller: &'a Caller, grant: &'a Grant) -> WebIdentity<'a> {
    let settings = &grant.settings;
    WebIdentity {
        endpoint: &settings.sts_endpoint,
        region: &settings.region,
        role: &settings.role,
        session_name: grant.session_name.as_str(),
        duration: settings.duration,
        token: &grant.identity_token,
        subject: &caller.owner.subject,
        tagged: settings.session_tags || settings.source_identity,
    }
}

/// STS's refusal with what it was shown, for the customer to compare; and a line in the log, because CloudTrail
/// does not show tokens that AWS could not validate (threat 17).
fn denied(error: AwsError, caller: &Caller, grant: &Grant) -> WorkerError {
    let presented = Presented {
        issuer: grant.issuer.to_string(),
        subject: caller.owner.subject.to_string(),
        audience: grant.audience.to_string(),
        role_arn: grant.settings.role.to_string(),
        session_name: grant.session_name.to_string(),
        sts_endpoint: grant.settings.sts_endpoint.to_string(),
    };
    let (code, subject, role) = (error.explanation().code, &presented.subject, &presented.role_arn);
    tracing::warn!(target: "brevet::worker", code, subject, role, message = error.message(), "STS gave no credentials");
    WorkerError::Sts { error, presented: Box::new(presented) }
}

fn count<T>(opened: &Result<T, AwsError>) {
    let outcome = opened.as_ref().err().map_or("ok", |error| error.explanation().code);
    metrics::counter!("brevet_worker_sts_calls_total", "outcome" => outcome).increment(1);
}
