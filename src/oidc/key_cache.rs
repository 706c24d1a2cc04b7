//! Keys of foreign issuers, kept for a while and asked for one request at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use super::discovery;
use super::error::KeysError;
use crate::crypto::foreign_keys::ForeignKeys;
use crate::domain::clock::Clock;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::fetch::{self, Limits};

/// How long keys are used without asking again. A key that its issuer takes back is used here for so long at most.
const FRESH_FOR: Duration = Duration::minutes(10);
/// How long keys that have come due serve on while their issuer cannot be read.
const STALE_IF_ERROR: Duration = Duration::hours(1);
/// An issuer is not asked again sooner: neither for a kid that nobody knows, nor after a failure.
const ASK_AGAIN_AFTER: Duration = Duration::seconds(30);
/// Most places that are remembered; the one asked for the longest ago goes first.
const PLACES_MAX: usize = 1000;
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
}

/// The cache. One for the process.
pub struct KeyCache {
    client: fetch::Client,
    clock: Arc<dyn Clock>,
    places: Mutex<HashMap<KeyPlace, Place>>,
}

#[derive(Clone)]
struct Place {
    /// Held while the issuer is asked, so that however many wait, one asks; the others find what it brought.
    state: Arc<tokio::sync::Mutex<State>>,
    used_at: OffsetDateTime,
}

#[derive(Default)]
struct State {
    kept: Option<(Arc<ForeignKeys>, OffsetDateTime)>,
    failed: Option<KeysError>,
    asked_at: Option<OffsetDateTime>,
}

impl KeyCache {
    /// An empty cache that asks through `client`, whose guards decide what may be reached.
    pub fn new(client: &fetch::Client, clock: Arc<dyn Clock>) -> Self {
        let client = client.with_limits(Limits { total: PATIENCE, ..client.limits() });
        Self { client, clock, places: Mutex::default() }
    }

    /// The keys at `place`, asked for if what is kept is due.
    pub async fn keys(&self, place: &KeyPlace) -> Result<Arc<ForeignKeys>, KeysError> {
        let now = self.clock.now();
        let state = self.place(place, now);
        let mut state = state.lock().await;
        match &state.kept {
            Some((keys, read_at)) if now < *read_at + FRESH_FOR => Ok(Arc::clone(keys)),
            _ => self.ask(place, &mut state).await,
        }
    }

    /// Keys that are newer than `seen`, in which a kid was missing; `seen` itself where the issuer was asked a moment
    /// ago. So a flood of invented kids costs an issuer one request in half a minute.
    pub async fn newer(&self, place: &KeyPlace, seen: &Arc<ForeignKeys>) -> Result<Arc<ForeignKeys>, KeysError> {
        let state = self.place(place, self.clock.now());
        let mut state = state.lock().await;
        match &state.kept {
            Some((keys, _)) if !Arc::ptr_eq(keys, seen) => Ok(Arc::clone(keys)),
            _ => self.ask(place, &mut state).await,
        }
    }

    fn place(&self, place: &KeyPlace, now: OffsetDateTime) -> Arc<tokio::sync::Mutex<State>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= PLACES_MAX
            && !places.contains_key(place)
            && let Some(oldest) = places.iter().min_by_key(|(_, kept)| kept.used_at).map(|(place, _)| place.clone())
        {
            places.remove(&oldest);
        }
        let kept = places.entry(place.clone()).or_insert_with(|| Place { state: Arc::default(), used_at: now });
        kept.used_at = now;
        Arc::clone(&kept.state)
    }

    /// Asks, unless that was done a moment ago, and answers with the best there is.
    async fn ask(&self, place: &KeyPlace, state: &mut State) -> Result<Arc<ForeignKeys>, KeysError> {
        let now = self.clock.now();
        if state.asked_at.is_none_or(|asked_at| now >= asked_at + ASK_AGAIN_AFTER) {
            // Noted first: dropped half-way, a request counts as asked.
            state.asked_at = Some(now);
            match self.fetch(place).await {
                Ok(keys) => {
                    metrics::counter!("brevet_foreign_keys_total", "outcome" => "read").increment(1);
                    (state.kept, state.failed) = (Some((Arc::new(keys), now)), None);
                }
                Err(error) => {
                    metrics::counter!("brevet_foreign_keys_total", "outcome" => "failed").increment(1);
                    tracing::warn!(cause = %error, place = %place, "the keys of a foreign issuer were not read");
                    state.failed = Some(error);
                }
            }
        }
        match (&state.kept, state.failed) {
            (Some((keys, read_at)), _) if now < *read_at + FRESH_FOR + STALE_IF_ERROR => Ok(Arc::clone(keys)),
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
