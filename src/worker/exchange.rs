//! The exchange: a caller's token for its settings and an identity token, and whether the caller is still alive.

use std::net::IpAddr;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::bearers::{Bearers, Whose};
use super::error::WorkerError;
use super::identity_token::{StatedTags, stated_claims};
use super::liveness::{Checks, of_reason, refused};
use super::refusal::Refusal;
use super::settings::Settings;
use super::token_source::caller::{Caller, Shown};
use crate::aws::credential::Owner;
use crate::aws::credential_cache::CredentialCache;
use crate::aws::flight_cache::{Cache, Failure as _, Loaded};
use crate::client::Client;
use crate::domain::clock::Clock;
use crate::domain::credential::{OpaqueCredential, SecretHash};
use crate::domain::entropy::Entropy;
use crate::domain::id::RunId;
use crate::domain::issuer_url;
use crate::domain::secret::Secret;
use crate::domain::session_name::SessionName;
use crate::domain::subject::Subject;
use crate::wire::exchange::Exchange;

/// After how many seconds at most a caller's liveness is checked again, whatever the issuer says.
const RECHECK_AFTER: u32 = 60;
/// How long a caller goes on after the last check while the issuer cannot be asked.
const LAST_GOOD: Duration = Duration::minutes(15);
/// How long an exchange is kept; another version of the settings or a refusal ends it before.
const KEPT: Duration = Duration::hours(1);
/// How long an identity token must still hold to be shown to STS.
const TOKEN_MARGIN: Duration = Duration::seconds(15);

/// What the worker may do for a caller.
#[derive(Debug)]
pub(super) struct Grant {
    /// The checked settings.
    pub(super) settings: Settings,
    /// Their version; it only grows.
    pub(super) version: i64,
    /// The token for STS, bound to the role of the settings.
    pub(super) identity_token: Secret,
    /// Its `iss`, which is what the role's trust policy must name: the shared issuer or the team's private one. During a
    /// change-over it need not be the one that the caller's own token is of.
    pub(super) issuer: Box<str>,
    /// For which STS it is, by its `aud`.
    pub(super) audience: Box<str>,
    /// The session tags that it carries.
    pub(super) tags: StatedTags,
    /// Its end.
    pub(super) identity_token_expires_at: OffsetDateTime,
    /// The `RoleSessionName`.
    pub(super) session_name: SessionName,
}

impl Grant {
    /// Under whose token a session of `caller` is opened: the subject is the caller's, the issuer the one that STS is
    /// told.
    pub(super) fn owner(&self, caller: &Caller) -> Owner {
        Owner { issuer: self.issuer.clone(), subject: caller.owner.subject.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GrantKey {
    owner: Owner,
    run: Option<RunId>,
}

impl GrantKey {
    fn of(caller: &Caller) -> Self {
        Self { owner: caller.owner.clone(), run: caller.run.clone() }
    }
}

/// What is known of one token's caller: the version of the settings when it was last checked.
struct Alive {
    version: i64,
}

/// Grants by principal and run, and liveness by token: a principal's other sessions and keys say nothing about
/// the one that minted this token.
#[derive(Clone)]
pub(super) struct Exchanges {
    client: Client,
    worker_key: Secret,
    listed: Arc<[String]>,
    clock: Arc<dyn Clock>,
    grants: Cache<GrantKey, Grant, WorkerError>,
    alive: Cache<Shown, Alive, WorkerError>,
    bearers: Bearers,
    sessions: CredentialCache<WorkerError>,
    checks: Checks,
}

impl Exchanges {
    pub(super) fn new(
        client: Client,
        worker_key: Secret,
        listed: Vec<String>,
        sessions: CredentialCache<WorkerError>,
        capacity: usize,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            grants: Cache::new("exchanges", capacity, clock.clone(), entropy.clone()),
            alive: Cache::new("liveness", capacity, clock.clone(), entropy.clone()),
            bearers: Bearers::new(capacity, clock.clone(), entropy),
            checks: Checks::new(client.clone(), worker_key.clone()),
            listed: listed.into(),
            sessions,
            client,
            worker_key,
            clock,
        }
    }

    /// Who presents the bearer of a run. The worker cannot verify one by itself, so that it asks by exchanging it, once,
    /// and about bearers that it does not know at a bounded rate; what it learns thereby is this caller's grant.
    pub(super) async fn recognise(
        &self,
        bearer: &OpaqueCredential,
        address: Option<IpAddr>,
    ) -> Result<Caller, WorkerError> {
        let (hash, token) = (bearer.hash(), bearer.secret().clone());
        let ask = || self.clone().whose(hash, token.clone());
        let whose = self.bearers.get(hash, address, ask).await?;
        Ok(whose.caller(hash, token))
    }

    async fn whose(self, hash: SecretHash, token: Secret) -> Result<Loaded<Whose>, WorkerError> {
        let exchanged = self.ask(&token).await?;
        let mixed_up = |what: &str| WorkerError::refused(Refusal::IssuerUnexpected, what);
        let subject = Subject::parse(&exchanged.subject).map_err(|_| mixed_up("the exchange names no subject"))?;
        let run = exchanged.run_id.as_deref().and_then(|run| RunId::parse(run).ok());
        let run = run.ok_or_else(|| mixed_up("the exchange of a run's bearer names no run"))?;
        let ends_at = exchanged.run_ends_at.ok_or_else(|| mixed_up("the exchange of a run's bearer names no end"))?;
        let whose = Whose { owner: Owner { issuer: self.client.issuer_url().into(), subject }, run, ends_at };
        let caller = whose.caller(hash, token);
        let grant = self.take(&caller, exchanged)?;
        self.grants.put(&GrantKey::of(&caller), grant);
        let now = self.clock.now();
        Ok(Loaded { value: whose, fresh_until: now + KEPT, last_good_until: now + KEPT + LAST_GOOD })
    }

    /// The grant of `caller`, who was alive at most a minute ago (15 where the issuer cannot be asked).
    pub(super) async fn of(&self, caller: &Caller) -> Result<Arc<Grant>, WorkerError> {
        if let Some(error) = self.alive.remembered(&caller.shown).filter(|error| !error.is_outage()) {
            return Err(error);
        }
        let key = GrantKey::of(caller);
        let grant = self.granted_to(caller, &key).await?;
        let check = || self.clone().check(caller.clone());
        let alive = self.alive.get(&caller.shown, check).await.map_err(WorkerError::from)?;
        if alive.version <= grant.version {
            return Ok(grant);
        }
        self.grants.discard(&key, &grant);
        self.granted_to(caller, &key).await
    }

    /// The grant of the caller's principal and run. What another token of theirs was refused for says nothing of
    /// this one: it is then tried with this one.
    async fn granted_to(&self, caller: &Caller, key: &GrantKey) -> Result<Arc<Grant>, WorkerError> {
        let exchange = || self.clone().exchange(caller.clone());
        match self.grants.get(key, exchange).await.map_err(WorkerError::from) {
            Err(error) if error.is_of_the_token() && self.alive.remembered(&caller.shown).is_none() => {
                self.grants.forgive(key);
                Ok(self.grants.get(key, exchange).await?)
            }
            granted => granted,
        }
    }

    /// The grant of `caller` with an identity token that STS will still take, exchanged anew where it will not.
    pub(super) async fn with_live_token(&self, caller: &Caller) -> Result<Arc<Grant>, WorkerError> {
        let key = GrantKey::of(caller);
        let grant = self.granted_to(caller, &key).await?;
        if self.clock.now() + TOKEN_MARGIN < grant.identity_token_expires_at {
            return Ok(grant);
        }
        self.grants.discard(&key, &grant);
        self.granted_to(caller, &key).await
    }

    /// Drops `seen`, for the next to exchange anew.
    pub(super) fn discard(&self, caller: &Caller, seen: &Arc<Grant>) {
        self.grants.discard(&GrantKey::of(caller), seen);
    }

    /// A refusal ends all that is kept of the principal, at once, when it is learned (threat 23); not again while it
    /// is answered from memory, or whoever holds a dead token could keep others from their sessions.
    /// `landing` is the key whose own load has just learned it, and books the refusal itself.
    fn learn(&self, caller: &Caller, error: &WorkerError, landing: Option<&GrantKey>) {
        if error.is_outage() {
            return;
        }
        // By subject: the team's shared and private issuer speak of the same principal.
        let subject = &caller.owner.subject;
        self.grants.discard_all(|key| key.owner.subject == *subject && Some(key) != landing);
        self.sessions.discard_all(|key| key.owner.subject == *subject);
        if error.is_of_the_token() {
            self.alive.remember(&caller.shown, error.clone());
        }
    }

    async fn exchange(self, caller: Caller) -> Result<Loaded<Grant>, WorkerError> {
        let exchanged = self.ask(&caller.token).await;
        let exchanged = exchanged.inspect_err(|error| self.learn(&caller, error, Some(&GrantKey::of(&caller))))?;
        self.take(&caller, exchanged)
    }

    async fn ask(&self, token: &Secret) -> Result<Exchange, WorkerError> {
        let exchanged = self.client.exchange(&self.worker_key, token.clone()).await;
        let outcome = if exchanged.is_ok() { "granted" } else { "refused" };
        metrics::counter!("brevet_worker_exchanges_total", "outcome" => outcome).increment(1);
        exchanged.map_err(|error| refused(&error))
    }

    /// What an exchange gave, with the caller known to be alive.
    fn take(&self, caller: &Caller, exchanged: Exchange) -> Result<Loaded<Grant>, WorkerError> {
        let recheck_after = exchanged.recheck_after_seconds;
        let grant = self.granted(caller, exchanged)?;
        self.alive.put(&caller.shown, self.alive_for(caller, grant.version, recheck_after));
        let now = self.clock.now();
        Ok(Loaded { value: grant, fresh_until: now + KEPT, last_good_until: now + KEPT + LAST_GOOD })
    }

    /// Takes the answer only if it is about this caller: a mix-up anywhere must not become somebody's session.
    fn granted(&self, caller: &Caller, sent: Exchange) -> Result<Grant, WorkerError> {
        let mixed_up = |what: &str| Err(WorkerError::refused(Refusal::IssuerUnexpected, what));
        if Subject::parse(&sent.subject).as_ref() != Ok(&caller.owner.subject) {
            return mixed_up("the exchange is about another subject");
        }
        if sent.run_id.as_deref() != caller.run.as_ref().map(RunId::as_str) {
            return mixed_up("the exchange is about another run");
        }
        let session_name = SessionName::new(caller.owner.subject.principal(), caller.run.as_ref());
        if sent.session_name != session_name.as_str() {
            return mixed_up("the exchange names another session");
        }
        let Some(stated) = stated_claims(&sent.identity_token.0) else {
            return mixed_up("the identity token is none");
        };
        if stated.sub != sent.subject || !self.mints_for(&stated.iss, &caller.owner.subject) {
            return mixed_up("the identity token is about another subject");
        }
        Ok(Grant {
            settings: Settings::read(&sent.settings, &self.listed)?,
            issuer: stated.iss.into(),
            audience: stated.aud.into(),
            tags: stated.tags.unwrap_or_default(),
            version: sent.settings_version,
            identity_token: sent.identity_token.0,
            identity_token_expires_at: sent.identity_token_expires_at,
            session_name,
        })
    }

    /// Whether `iss` is the issuer's own or that of the private issuer of the subject's team.
    fn mints_for(&self, iss: &str, subject: &Subject) -> bool {
        let shared = self.client.issuer_url();
        iss == shared || issuer_url::shared_of(iss, subject.team()) == Some(shared)
    }

    async fn check(self, caller: Caller) -> Result<Loaded<Alive>, WorkerError> {
        let liveness = self.checks.of(caller.token.clone()).await?;
        let reason = liveness.reason.as_deref().unwrap_or("no reason given");
        match liveness.settings_version {
            Some(version) if liveness.alive => Ok(self.alive_for(&caller, version, RECHECK_AFTER)),
            _ => {
                let error = WorkerError::refused(of_reason(reason), reason);
                self.learn(&caller, &error, None);
                Err(error)
            }
        }
    }

    fn alive_for(&self, caller: &Caller, version: i64, recheck_after: u32) -> Loaded<Alive> {
        let now = self.clock.now();
        let fresh_until = now + Duration::seconds(i64::from(recheck_after.clamp(1, RECHECK_AFTER)));
        let last_good_until = (now + LAST_GOOD).min(caller.expires_at).max(fresh_until);
        Loaded { value: Alive { version }, fresh_until, last_good_until }
    }
}
