//! The issuer's use cases: who calls, what is granted, how it is minted, audited and published.
//!
//! Does not own HTTP (`http::issuer`, `http::admin`) nor SQL (`store`).
//! May import: domain, crypto, store, iam, oidc, fetch, limit.

pub mod admin;
pub mod bootstrap;
pub mod callers;
pub mod exchange;
pub mod kek;
pub mod keys;
pub mod limits;
pub mod liveness;
pub mod mint;
pub mod oauth;
mod platform;
mod presented;
mod private_issuers;
pub mod probe;
pub mod publications;
pub mod publish;
pub mod readiness;
mod recent;
pub mod refusals;
pub mod release;
pub mod reseal;
pub mod restored;
pub mod retention;
mod rings;
pub mod rotate;
pub mod runs;
pub mod sessions;
pub mod sign_in;
mod signing_pool;
pub mod standing;
pub mod upkeep;
pub mod whoami;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};

use self::callers::Known;
use self::keys::KeyRing;
use self::limits::{Limits, Party, Stranger};
use self::publications::TeamPublications;
use self::publish::Publication;
use self::readiness::Unwritten;
use self::recent::Recent;
use self::rings::Rings;
use self::signing_pool::SigningPool;
use self::upkeep::Serving;
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::clock::Clock;
use crate::domain::credential::SecretHash;
use crate::domain::entropy::Entropy;
use crate::domain::id::{CredentialId, EventId, IssuerId, ReplicaId, RunId, TeamUid, UserUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::run::Run;
use crate::domain::secret::SecretBytes;
use crate::limit::admission::Admission;
use crate::oidc::{KeyCache, RelyingParty};
use crate::store::{AuditWriter, Store, TeamFacts};

/// How long what the audit statement proves anyway is remembered between requests.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Most credentials remembered.
const CREDENTIALS_MAX: usize = 20_000;
/// Most teams, people and runs remembered.
const TEAMS_MAX: usize = 5_000;

/// What an issuer is made of; the composition root puts it together.
pub struct Parts {
    /// The shared issuer's URL, byte for byte the `iss` of its tokens; private ones lie below it.
    pub url: IssuerUrl,
    /// Its id in the store.
    pub id: IssuerId,
    /// The database.
    pub store: Store,
    /// The one writer of audit rows.
    pub audit: AuditWriter,
    /// The signing keys of the shared issuer.
    pub keys: Arc<KeyRing>,
    /// What the shared issuer publishes.
    pub publication: Arc<Publication>,
    /// What teams' private issuers publish.
    pub teams: Arc<TeamPublications>,
    /// The keys of foreign issuers.
    pub foreign_keys: KeyCache,
    /// What we are at the providers where people sign in.
    pub upstream: RelyingParty,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// How often and how much at once.
    pub limits: limits::LimitNumbers,
    /// This process among the replicas.
    pub serving: Serving,
}

/// The issuer. Cheap to clone.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    url: IssuerUrl,
    id: IssuerId,
    store: Store,
    audit: AuditWriter,
    rings: Rings,
    publication: Arc<Publication>,
    teams: Arc<TeamPublications>,
    foreign_keys: KeyCache,
    upstream: RelyingParty,
    refreshing: Arc<tokio::sync::Mutex<()>>,
    published: Notify,
    saving: Arc<tokio::sync::Mutex<()>>,
    serving: Serving,
    looked: Mutex<Option<time::Duration>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    limits: Limits,
    admission: Admission<Party>,
    signing: SigningPool,
    look_ups: Admission<Stranger>,
    callers: Recent<SecretHash, Arc<Known>>,
    facts: Recent<TeamUid, Arc<TeamFacts>>,
    teams_of: Recent<UserUid, Arc<[TeamUid]>>,
    runs: Recent<RunId, Arc<Run>>,
    used: Mutex<HashMap<CredentialId, OffsetDateTime>>,
    user_code_key: OnceCell<SecretBytes>,
    unwritten: Mutex<Option<Unwritten>>,
}

impl Issuer {
    /// Puts an issuer together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            url: parts.url,
            id: parts.id,
            store: parts.store,
            audit: parts.audit,
            rings: Rings::new(parts.keys),
            publication: parts.publication,
            teams: parts.teams,
            foreign_keys: parts.foreign_keys,
            upstream: parts.upstream,
            refreshing: Arc::default(),
            published: Notify::new(),
            saving: Arc::default(),
            serving: parts.serving,
            looked: Mutex::default(),
            clock: parts.clock,
            entropy: parts.entropy,
            admission: Admission::new(parts.limits.mints()),
            signing: SigningPool::of_host(parts.limits.patience),
            look_ups: Admission::new(parts.limits.look_ups()),
            limits: Limits::new(&parts.limits),
            callers: Recent::new(REMEMBERED, CREDENTIALS_MAX),
            facts: Recent::new(REMEMBERED, TEAMS_MAX),
            teams_of: Recent::new(REMEMBERED, TEAMS_MAX),
            runs: Recent::new(REMEMBERED, TEAMS_MAX),
            used: Mutex::default(),
            user_code_key: OnceCell::new(),
            unwritten: Mutex::default(),
        }))
    }

    /// Its URL.
    pub fn url(&self) -> &IssuerUrl {
        &self.0.url
    }

    /// Its id in the store.
    pub fn id(&self) -> IssuerId {
        self.0.id
    }

    /// This process among the replicas.
    pub fn replica(&self) -> ReplicaId {
        self.0.serving.id
    }

    /// The database, for the use cases of the admin API.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The one writer of audit rows.
    pub fn audit(&self) -> &AuditWriter {
        &self.0.audit
    }

    /// How many requests wait for a place among the mints now.
    pub fn mints_waiting(&self) -> usize {
        self.0.admission.waiting()
    }

    /// The signing keys of the shared issuer.
    pub fn keys(&self) -> &Arc<KeyRing> {
        self.0.rings.shared()
    }

    fn rings(&self) -> &Rings {
        &self.0.rings
    }

    /// The keys of foreign issuers, and of clients that serve their own.
    fn foreign_keys(&self) -> &KeyCache {
        &self.0.foreign_keys
    }

    /// What we are at the providers where people sign in.
    fn upstream(&self) -> &RelyingParty {
        &self.0.upstream
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.0.clock.now()
    }

    /// Randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// Forgets what is remembered of credentials, teams and people. The admin API calls it after every change,
    /// so that on this replica a change shows at the next request; on others the audit statement and the ten
    /// seconds of `REMEMBERED` see to it.
    pub fn forget(&self) {
        self.0.callers.clear();
        self.0.facts.clear();
        self.0.teams_of.clear();
        self.0.runs.clear();
    }

    /// A row about `action`, now, with nothing in it yet but who we are and where the request came from.
    pub fn event(&self, action: Action, decision: Decision, origin: &Origin) -> Event {
        let at = self.now();
        let id = EventId::new(self.entropy().uuid_v7(at));
        Event { origin: origin.clone(), ..Event::new(id, at, self.id(), action, decision) }
    }

    /// Writes the row of a refusal and waits for it. The refusal stands whether or not the row can be written:
    /// nothing was released.
    pub(crate) async fn record_refusal(&self, event: Event) {
        let (action, reason) = (event.action.as_str(), event.reason.unwrap_or("none"));
        metrics::counter!("brevet_refusals_total", "action" => action, "reason" => reason).increment(1);
        let committed = match self.audit().append(event) {
            Ok(ticket) => self.committed(ticket).await.map(|_| ()).map_err(|error| error.to_string()),
            Err(full) => Err(full.to_string()),
        };
        if let Err(cause) = committed {
            tracing::warn!(action, reason, cause, "the audit row of a refusal was not written");
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issuer {}", self.0.url)
    }
}
