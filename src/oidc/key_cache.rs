//! Keys of foreign issuers, kept for a while and asked for one request at a time.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};

use super::discovery;
use super::error::KeysError;
use super::fair::Fair;
use crate::crypto::foreign_keys::ForeignKeys;
use crate::domain::clock::Clock;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::{TeamUid, TrustRuleId};
use crate::fetch::{self, Limits};

/// How long keys are used without asking again. A key that its issuer takes back is used here for so long at most.
const FRESH_FOR: Duration = Duration::minutes(10);
/// How long keys that have come due serve on while their issuer cannot be read.
const STALE_IF_ERROR: Duration = Duration::hours(1);
/// An issuer is not asked again sooner: neither for a kid that nobody knows, nor after a failure.
const ASK_AGAIN_AFTER: Duration = Duration::seconds(30);
/// Most places that are remembered. One more pushes out one of the team that has the most here.
const PLACES_MAX: usize = 1000;
/// Most rules whose own keys are remembered as they were parsed, on the same terms.
const FIXED_MAX: usize = 1000;
/// An issuer has so long for each of its two documents.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Where keys are. It comes from what an administrator wrote, never from a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyPlace {
    /// Where the discovery document of an issuer says.
    Issuer(ForeignIssuer),
    /// At this URL.
    Url(Box<str>),
}

impl KeyPlace {
    /// A JWKS at `url`, which must be https (`http` on loopback only in development).
    pub fn url(url: &str, loopback: bool) -> Result<Self, KeysError> {
        discovery::check_uri(url, loopback).map(|()| Self::Url(url.into()))
    }

    /// Whether it is named on this machine itself, which only development reaches.
    pub fn is_loopback(&self) -> bool {
        let url = match self {
            Self::Issuer(issuer) => issuer.as_str(),
            Self::Url(url) => url,
        };
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
        host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || rest.starts_with("[::1]")
    }
}

/// The cache. One for the process.
pub struct KeyCache {
    client: fetch::Client,
    clock: Arc<dyn Clock>,
    places: Mutex<Fair<KeyPlace, Arc<Place>>>,
    fixed: Mutex<Fair<TrustRuleId, (i64, Arc<ForeignKeys>)>>,
}

#[derive(Default)]
struct Place {
    /// What was read last, and when: for those who need not wait.
    kept: Mutex<Option<Kept>>,
    /// Held while the issuer is asked, so that however many wait, one asks; the others find what it brought.
    asking: tokio::sync::Mutex<Asked>,
}

type Kept = (Arc<ForeignKeys>, OffsetDateTime);

#[derive(Default)]
struct Asked {
    failed: Option<KeysError>,
    asked_at: Option<OffsetDateTime>,
}

impl Place {
    fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is kept, where it is not due.
    fn fresh(&self, now: OffsetDateTime) -> Option<Arc<ForeignKeys>> {
        self.kept().filter(|(_, read_at)| now < *read_at + FRESH_FOR).map(|(keys, _)| keys)
    }

    fn keep(&self, keys: Arc<ForeignKeys>, now: OffsetDateTime) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((keys, now));
    }
}

impl KeyCache {
    /// An empty cache that asks through `client`, whose guards decide what may be reached.
    pub fn new(client: &fetch::Client, clock: Arc<dyn Clock>) -> Self {
        let client = client.with_limits(Limits { total: PATIENCE, ..client.limits() });
        let (places, fixed) = (Mutex::new(Fair::new(PLACES_MAX)), Mutex::new(Fair::new(FIXED_MAX)));
        Self { client, clock, places, fixed }
    }

    /// The keys at `place` where they are at hand, without waiting for anybody.
    pub fn fresh(&self, place: &KeyPlace) -> Option<Arc<ForeignKeys>> {
        let place = lock(&self.places).get(place).cloned()?;
        place.fresh(self.clock.now())
    }

    /// The keys at `place`, which `team` names, asked for if what is kept is due.
    pub async fn keys(&self, place: &KeyPlace, team: &TeamUid) -> Result<Arc<ForeignKeys>, KeysError> {
        let at = self.place(place, team);
        let mut asked = at.asking.lock().await;
        match at.fresh(self.clock.now()) {
            Some(keys) => Ok(keys),
            None => self.ask(place, &at, &mut asked).await,
        }
    }

    /// Keys that are newer than `seen`, in which a kid was missing; `seen` itself where the issuer was asked a moment
    /// ago. So a flood of invented kids costs an issuer one request in half a minute.
    pub async fn newer(
        &self,
        place: &KeyPlace,
        team: &TeamUid,
        seen: &Arc<ForeignKeys>,
    ) -> Result<Arc<ForeignKeys>, KeysError> {
        let at = self.place(place, team);
        let mut asked = at.asking.lock().await;
        match at.kept() {
            Some((keys, _)) if !Arc::ptr_eq(&keys, seen) => Ok(keys),
            _ => self.ask(place, &at, &mut asked).await,
        }
    }

    /// The keys that a rule of `team` holds itself, parsed once for each of its versions.
    pub fn fixed(
        &self,
        rule: TrustRuleId,
        version: i64,
        team: &TeamUid,
        jwks: &str,
    ) -> Result<Arc<ForeignKeys>, KeysError> {
        if let Some((_, keys)) = lock(&self.fixed).get(&rule).filter(|(of, _)| *of == version) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(ForeignKeys::parse(jwks.as_bytes())?);
        lock(&self.fixed).put(rule, team, (version, Arc::clone(&keys)));
        Ok(keys)
    }

    fn place(&self, place: &KeyPlace, team: &TeamUid) -> Arc<Place> {
        let mut places = lock(&self.places);
        if let Some(known) = places.get(place) {
            return Arc::clone(known);
        }
        let new = Arc::<Place>::default();
        places.put(place.clone(), team, Arc::clone(&new));
        new
    }

    /// Asks, unless that was done a moment ago, and answers with the best there is.
    async fn ask(&self, place: &KeyPlace, at: &Place, asked: &mut Asked) -> Result<Arc<ForeignKeys>, KeysError> {
        let now = self.clock.now();
        if asked.asked_at.is_none_or(|asked_at| now >= asked_at + ASK_AGAIN_AFTER) {
            // Noted first: dropped half-way, a request counts as asked.
            asked.asked_at = Some(now);
            match self.fetch(place).await {
                Ok(keys) => {
                    metrics::counter!("brevet_foreign_keys_total", "outcome" => "read").increment(1);
                    at.keep(Arc::new(keys), now);
                    asked.failed = None;
                }
                Err(error) => {
                    metrics::counter!("brevet_foreign_keys_total", "outcome" => "failed").increment(1);
                    tracing::warn!(cause = %error, place = %place, "the keys of a foreign issuer were not read");
                    asked.failed = Some(error);
                }
            }
        }
        match (at.kept(), asked.failed) {
            (Some((keys, read_at)), _) if now < read_at + FRESH_FOR + STALE_IF_ERROR => Ok(keys),
            (_, Some(error)) => Err(error),
            // Asked a moment ago by a request that was dropped before it had an answer.
            (_, None) => Err(KeysError::Jwks(fetch::FetchError::Timeout)),
        }
    }

    async fn fetch(&self, place: &KeyPlace) -> Result<ForeignKeys, KeysError> {
        let uri = match place {
            KeyPlace::Url(url) => url.to_string(),
            KeyPlace::Issuer(issuer) => {
                let document = self.client.document(&issuer.discovery_url()).await.map_err(KeysError::Discovery)?;
                discovery::jwks_uri(issuer, &document)?
            }
        };
        let jwks = self.client.document(&uri).await.map_err(KeysError::Jwks)?;
        Ok(ForeignKeys::parse(&jwks)?)
    }
}

fn lock<K, V>(fair: &Mutex<Fair<K, V>>) -> MutexGuard<'_, Fair<K, V>> {
    fair.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => issuer.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;
    use crate::domain::clock::ManualClock;
    use crate::domain::signing_key::KeyKind;
    use serde_json::json;
    use time::macros::datetime;
    use uuid::Uuid;

    fn jwks() -> String {
        let pair = KeyPair::generate(KeyKind::P256).unwrap();
        let (x, y) = pair.public().members();
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "a", "x": x, "y": y }] }).to_string()
    }

    fn cache() -> (KeyCache, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        (KeyCache::new(&fetch::Client::new(fetch::Settings::default()).unwrap(), clock.clone()), clock)
    }

    #[test]
    fn threat_22_a_place_on_this_machine_is_known_by_its_name() {
        for (url, local) in [
            ("http://127.0.0.1:8080/jwks", true),
            ("https://127.9.9.9/jwks", true),
            ("https://localhost/jwks", true),
            ("https://LOCALHOST:1?x", true),
            ("https://[::1]:8443/jwks", true),
            ("https://keys.example.com/127.0.0.1", false),
            ("https://localhost.example.com/jwks", false),
        ] {
            assert_eq!(KeyPlace::Url(url.into()).is_loopback(), local, "{url}");
        }
    }

    #[test]
    fn threat_24_keys_that_a_rule_holds_are_parsed_once_for_each_of_its_versions() {
        let (cache, _) = cache();
        let (team, text) = (TeamUid::parse("red").unwrap(), jwks());
        let id = |n| TrustRuleId::new(Uuid::from_u128(n));
        let first = cache.fixed(id(1), 1, &team, &text).unwrap();
        // Another text, so that parsing it could not go unseen.
        assert!(Arc::ptr_eq(&first, &cache.fixed(id(1), 1, &team, "no JWKS").unwrap()));
        assert!(cache.fixed(id(1), 2, &team, "no JWKS").is_err());
        let changed = cache.fixed(id(1), 2, &team, &jwks()).unwrap();
        assert!(!Arc::ptr_eq(&first, &changed));
        assert!(Arc::ptr_eq(&changed, &cache.fixed(id(1), 2, &team, &text).unwrap()));
        assert!(!Arc::ptr_eq(&changed, &cache.fixed(id(2), 2, &team, &text).unwrap()));
    }

    #[tokio::test]
    async fn threat_24_keys_at_hand_wait_for_nobody_who_asks_for_newer_ones() {
        let (cache, clock) = cache();
        let team = TeamUid::parse("red").unwrap();
        let place = KeyPlace::url("https://keys.example.com/jwks", false).unwrap();
        assert!(cache.fresh(&place).is_none(), "nobody has asked yet");
        let at = cache.place(&place, &team);
        at.keep(Arc::new(ForeignKeys::parse(jwks().as_bytes()).unwrap()), clock.now());
        // As long as somebody asks, this is held.
        let asking = at.asking.lock().await;
        assert!(cache.fresh(&place).is_some());
        clock.advance(FRESH_FOR);
        assert!(cache.fresh(&place).is_none(), "what is due is asked for");
        drop(asking);
    }
}
