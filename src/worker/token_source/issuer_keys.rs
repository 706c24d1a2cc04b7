//! The issuer's published keys, kept as long as it says: the shared issuer's, and those of the private issuers of teams
//! that this worker serves.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::aws::flight_cache::{Cache, Loaded};
use crate::client::Client;
use crate::crypto::jwk::Jwks;
use crate::crypto::verify::{Claimed, TokenRefused, VerifiedToken, Verifier};
use crate::domain::audience::Audience;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// A token with an unknown kid has the keys read again, and one of a team that is not served the list of those that are,
/// but not sooner after the last time than this.
const REFETCH_AFTER: Duration = Duration::seconds(10);
/// How long keys that have come due serve on while the issuer cannot be read. Retired keys stay published for at
/// least as long as tokens live, so a key of yesterday verifies no token that it should not.
const STALE_IF_ERROR: Duration = Duration::hours(24);
/// How long the list of served teams holds. It decides only whose keys are fetched; whom the worker serves, the issuer
/// says at the exchange.
const SERVED_FOR: Duration = Duration::minutes(5);
/// Most issuers whose keys are kept.
const ISSUERS_MAX: usize = 1 + 256;

struct Keys {
    verifier: Verifier,
    read_at: OffsetDateTime,
}

/// The teams of the worker's own key.
struct Served {
    teams: Vec<TeamUid>,
    read_at: OffsetDateTime,
}

/// Verifies tokens of one installation: of its shared issuer and of its teams' private ones.
pub struct IssuerKeys {
    issuer: IssuerUrl,
    client: Client,
    worker_key: Secret,
    clock: Arc<dyn Clock>,
    /// By the team whose private issuer it is; `None` is the shared one.
    kept: Cache<Option<TeamUid>, Keys, WorkerError>,
    served: Cache<(), Served, WorkerError>,
}

/// Why a token was not verified.
pub enum NotVerified {
    /// It does not hold.
    Refused(TokenRefused),
    /// Nobody can tell.
    Unknown(WorkerError),
}

impl IssuerKeys {
    /// The keys of the issuer that `client` talks to, which must be `issuer`.
    pub fn new(
        issuer: IssuerUrl,
        client: Client,
        worker_key: Secret,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let kept = Cache::new("issuer_keys", ISSUERS_MAX, clock.clone(), entropy.clone());
        let served = Cache::new("served_teams", 1, clock.clone(), entropy);
        Self { issuer, client, worker_key, clock, kept, served }
    }

    /// Verifies `token` for `audience`, and tells its issuer. A kid that is not known yet may be new: the keys are then
    /// read once more.
    pub async fn verify(&self, token: &Secret, audience: &Audience) -> Result<(IssuerUrl, VerifiedToken), NotVerified> {
        let whose = self.whose(token).await?;
        let keys = self.keys(whose.clone()).await?;
        let (keys, verified) = match keys.verifier.verify(token, audience, self.clock.now()) {
            Err(TokenRefused::UnknownKid(_)) if self.clock.now() >= keys.read_at + REFETCH_AFTER => {
                self.kept.expire(&whose, &keys);
                let keys = self.keys(whose).await?;
                let verified = keys.verifier.verify(token, audience, self.clock.now());
                (keys, verified)
            }
            verified => (keys, verified),
        };
        let verified = verified.map_err(NotVerified::Refused)?;
        Ok((keys.verifier.issuer().clone(), verified))
    }

    /// Whether the shared issuer's keys are at hand, read now if there are none.
    pub async fn ready(&self) -> bool {
        self.keys(None).await.is_ok()
    }

    /// Whose keys a token is to be shown to: those of the private issuer that it names, if that is its own team's and
    /// the team is served here. All else is for the shared issuer's keys to refuse.
    ///
    /// Anybody can write a token that names a team. So what one can make us fetch is bounded by the teams of our own
    /// key, and that list is asked for at a bounded rate.
    async fn whose(&self, token: &Secret) -> Result<Option<TeamUid>, NotVerified> {
        let Ok(claimed) = Claimed::of(token) else { return Ok(None) };
        if self.issuer.team_of(&claimed.issuer).as_ref() != Some(&claimed.team) {
            return Ok(None);
        }
        let served = self.served().await?;
        if served.teams.contains(&claimed.team) {
            return Ok(Some(claimed.team));
        }
        if self.clock.now() < served.read_at + REFETCH_AFTER {
            return Ok(None);
        }
        self.served.expire(&(), &served);
        Ok(self.served().await?.teams.contains(&claimed.team).then_some(claimed.team))
    }

    async fn served(&self) -> Result<Arc<Served>, NotVerified> {
        let (client, worker_key, clock) = (self.client.clone(), self.worker_key.clone(), self.clock.clone());
        let read = || async move {
            let whoami = client.whoami(&worker_key).await.map_err(|error| unavailable(&error))?;
            let teams = whoami.teams.iter().filter_map(|team| TeamUid::parse(&team.team_uid).ok()).collect();
            let read_at = clock.now();
            let fresh_until = read_at + SERVED_FOR;
            Ok(Loaded { value: Served { teams, read_at }, fresh_until, last_good_until: fresh_until + STALE_IF_ERROR })
        };
        self.served.get(&(), read).await.map_err(|error| NotVerified::Unknown(error.into()))
    }

    async fn keys(&self, whose: Option<TeamUid>) -> Result<Arc<Keys>, NotVerified> {
        let team = whose.clone();
        let issuer = match &team {
            None => self.issuer.clone(),
            Some(team) => self.issuer.of_team(team).map_err(|_| NotVerified::Unknown(gone("its URL is too long")))?,
        };
        let (client, clock) = (self.client.of_issuer(issuer.as_str()), self.clock.clone());
        let read = || async move {
            let published = client.published_keys().await.map_err(|error| match error.status() {
                // Of a private issuer that is its end, which no kept keys may outlive.
                Some(404) if team.is_some() => gone("it has no such private issuer (any more)"),
                _ => unavailable(&error),
            })?;
            let jwks = Jwks::parse(&published.jwks).map_err(|error| unavailable(&error))?;
            let verifier = Verifier::new(issuer, &jwks).map_err(|error| unavailable(&error))?.for_team(team);
            let read_at = clock.now();
            let fresh_until = read_at + published.max_age;
            Ok(Loaded { value: Keys { verifier, read_at }, fresh_until, last_good_until: fresh_until + STALE_IF_ERROR })
        };
        self.kept.get(&whose, read).await.map_err(|error| NotVerified::Unknown(error.into()))
    }
}

fn gone(what: &'static str) -> WorkerError {
    WorkerError::refused(Refusal::TokenUnknownKey, what)
}

fn unavailable(error: &dyn std::error::Error) -> WorkerError {
    tracing::warn!(target: "brevet::worker", %error, "the issuer's keys could not be read");
    WorkerError::refused(Refusal::IssuerKeysUnavailable, error.to_string())
}
