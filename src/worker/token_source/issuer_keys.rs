//! The issuer's published keys, kept as long as it says.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::aws::flight_cache::{Cache, Loaded};
use crate::client::Client;
use crate::crypto::jwk::Jwks;
use crate::crypto::verify::{TokenRefused, VerifiedToken, Verifier};
use crate::domain::audience::Audience;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::secret::Secret;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// A token with an unknown kid has the keys read again, but not sooner after the last time than this.
const REFETCH_AFTER: Duration = Duration::seconds(10);
/// How long keys that have come due serve on while the issuer cannot be read. Retired keys stay published for at
/// least as long as tokens live, so a key of yesterday verifies no token that it should not.
const STALE_IF_ERROR: Duration = Duration::hours(24);

struct Keys {
    verifier: Verifier,
    read_at: OffsetDateTime,
}

/// Verifies tokens of one issuer.
pub struct IssuerKeys {
    issuer: IssuerUrl,
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Cache<(), Keys, WorkerError>,
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
    pub fn new(issuer: IssuerUrl, client: Client, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let kept = Cache::new("issuer_keys", 1, clock.clone(), entropy);
        Self { issuer, client, clock, kept }
    }

    /// Whose tokens are verified.
    pub const fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Verifies `token` for `audience`. A kid that is not known yet may be new: the keys are then read once more.
    pub async fn verify(&self, token: &Secret, audience: &Audience) -> Result<VerifiedToken, NotVerified> {
        let keys = self.keys().await?;
        match keys.verifier.verify(token, audience, self.clock.now()) {
            Err(TokenRefused::UnknownKid(_)) if self.clock.now() >= keys.read_at + REFETCH_AFTER => {
                self.kept.expire(&(), &keys);
                let keys = self.keys().await?;
                keys.verifier.verify(token, audience, self.clock.now())
            }
            verified => verified,
        }
        .map_err(NotVerified::Refused)
    }

    /// Whether keys are at hand, read now if there are none.
    pub async fn ready(&self) -> bool {
        self.keys().await.is_ok()
    }

    async fn keys(&self) -> Result<Arc<Keys>, NotVerified> {
        let (client, issuer, clock) = (self.client.clone(), self.issuer.clone(), self.clock.clone());
        let read = || async move {
            let published = client.published_keys().await.map_err(|error| unavailable(&error))?;
            let jwks = Jwks::parse(&published.jwks).map_err(|error| unavailable(&error))?;
            let verifier = Verifier::new(issuer, &jwks).map_err(|error| unavailable(&error))?;
            let read_at = clock.now();
            let fresh_until = read_at + published.max_age;
            Ok(Loaded { value: Keys { verifier, read_at }, fresh_until, last_good_until: fresh_until + STALE_IF_ERROR })
        };
        self.kept.get(&(), read).await.map_err(|error| NotVerified::Unknown(error.into()))
    }
}

fn unavailable(error: &dyn std::error::Error) -> WorkerError {
    tracing::warn!(target: "brevet::worker", %error, "the issuer's keys could not be read");
    WorkerError::refused(Refusal::IssuerKeysUnavailable, error.to_string())
}
