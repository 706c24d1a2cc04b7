//! The inference gateway's use cases: caller, exchange, credentials, signing, streaming.
//!
//! Does not own HTTP surfaces (`http::worker`) nor the AWS protocols (`aws`).
//! May import: domain, aws, client, wire, iam, limit, and `crypto`'s verifying half.

mod bearers;
mod body;
mod credentials;
pub mod error;
mod exchange;
mod identity_token;
pub mod invoke;
mod liveness;
pub mod refusal;
mod settings;
pub mod token_source;

use std::sync::Arc;

use crate::aws::bedrock_client::Bedrock;
use crate::aws::credential_cache;
use crate::aws::sts::Sts;
use crate::client::Client;
use crate::domain::audience::Audience;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::domain::subject::Subject;
use crate::limit::share::Shares;

use credentials::Sessions;
use exchange::Exchanges;
use token_source::issuer_keys::IssuerKeys;

/// Most requests that wait for the head of an answer at once. A team has half of them at most, a principal an eighth,
/// so that no token alone keeps everyone else out (threat 24).
pub const PLACES: usize = 1024;
/// Most bytes of bodies that these requests hold at once, of which a team has half at most.
const BODIES: usize = 1 << 30;

/// What a worker is made of.
pub struct Parts {
    /// Whose callers it serves, byte for byte.
    pub issuer: IssuerUrl,
    /// The client of that issuer.
    pub client: Client,
    /// For whom tokens must be minted to be taken here.
    pub audience: Audience,
    /// The worker's own key (`bvt_wk_…`).
    pub worker_key: Secret,
    /// Endpoints that settings may name beside AWS's own (`BREVET_ALLOWED_ENDPOINTS`), without trailing slashes.
    pub allowed_endpoints: Vec<String>,
    /// STS, over connections that nothing else uses.
    pub sts: Sts,
    /// Bedrock, over connections whose idle limit fits a model that thinks.
    pub bedrock: Bedrock,
    /// How many principals' sessions are kept; [`credential_cache::CAPACITY`] where the operator says nothing.
    pub capacity: usize,
    /// How many requests may wait for Bedrock at once; [`PLACES`] where the operator says nothing.
    pub places: usize,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Spreads renewals.
    pub entropy: Arc<dyn Entropy>,
}

/// The gateway. It mints nothing and holds no AWS keys of its own: what it can reach are callers whose unexpired
/// tokens it has seen (threat 34).
pub struct Worker {
    keys: IssuerKeys,
    audience: Audience,
    exchanges: Exchanges,
    sessions: Sessions,
    bedrock: Bedrock,
    places: Shares<TeamUid>,
    own_places: Shares<Subject>,
    bodies: Shares<TeamUid>,
}

impl Worker {
    /// Puts the parts together; connects to nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { issuer, client, audience, worker_key, allowed_endpoints, .. } = parts;
        let (capacity, clock, entropy) = (parts.capacity, parts.clock, parts.entropy);
        let kept = credential_cache::new(capacity, clock.clone(), entropy.clone());
        let exchanges = Exchanges::new(
            client.clone(),
            worker_key.clone(),
            allowed_endpoints,
            kept.clone(),
            capacity,
            clock.clone(),
            entropy.clone(),
        );
        Self {
            keys: IssuerKeys::new(issuer, client, worker_key, clock, entropy),
            audience,
            sessions: Sessions::new(parts.sts, exchanges.clone(), kept),
            exchanges,
            bedrock: parts.bedrock,
            places: Shares::new(parts.places, parts.places.div_ceil(2)),
            own_places: Shares::new(parts.places, parts.places.div_ceil(8)),
            bodies: Shares::new(BODIES, BODIES / 2),
        }
    }

    /// For whom tokens must be minted to be taken here.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Whether a request could be served now: the issuer's keys are at hand. What only single teams need (their
    /// role, their STS) is told to their callers, not here.
    pub async fn is_ready(&self) -> bool {
        self.keys.ready().await
    }
}
