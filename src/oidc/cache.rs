//! What sign-in providers publish, kept for a while and asked for one request at a time.
//!
//! Operators name the providers, so that unlike in `key_cache` nobody can push out what others need.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use crate::domain::clock::Clock;

/// How long a document is used without asking again. What its issuer takes back is used here for so long at most.
const FRESH_FOR: Duration = Duration::minutes(10);
/// How long a document that has come due serves on while its issuer cannot be read.
const STALE_IF_ERROR: Duration = Duration::hours(1);
/// An issuer is not asked again sooner: neither for what nobody knows, nor after a failure.
const ASK_AGAIN_AFTER: Duration = Duration::seconds(30);
/// Most places that are remembered; the one asked for the longest ago goes first.
const PLACES_MAX: usize = 1000;

/// Values of `V` by the place they come from.
pub(super) struct Cache<K, V, E> {
    clock: Arc<dyn Clock>,
    places: Mutex<HashMap<K, Place<V, E>>>,
    /// What is said of a place whose last request was dropped before it had an answer.
    unanswered: E,
}

struct Place<V, E> {
    /// Held while the issuer is asked, so that however many wait, one asks; the others find what it brought.
    state: Arc<tokio::sync::Mutex<State<V, E>>>,
    used_at: OffsetDateTime,
}

struct State<V, E> {
    kept: Option<(Arc<V>, OffsetDateTime)>,
    failed: Option<E>,
    asked_at: Option<OffsetDateTime>,
}

impl<V, E> Default for State<V, E> {
    fn default() -> Self {
        Self { kept: None, failed: None, asked_at: None }
    }
}

impl<K: Clone + Eq + Hash, V, E: Copy> Cache<K, V, E> {
    pub(super) fn new(clock: Arc<dyn Clock>, unanswered: E) -> Self {
        Self { clock, places: Mutex::default(), unanswered }
    }

    /// What is at `place`, asked for if what is kept is due.
    pub(super) async fn at(&self, place: &K, ask: impl AsyncFnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let now = self.clock.now();
        let state = self.place(place, now);
        let mut state = state.lock().await;
        match &state.kept {
            Some((value, read_at)) if now < *read_at + FRESH_FOR => Ok(Arc::clone(value)),
            _ => self.ask(&mut state, ask).await,
        }
    }

    /// What is newer than `seen`, in which something was missing; `seen` itself where the issuer was asked a moment
    /// ago. So a flood of invented names costs an issuer one request in half a minute.
    pub(super) async fn newer(
        &self,
        place: &K,
        seen: &Arc<V>,
        ask: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Arc<V>, E> {
        let state = self.place(place, self.clock.now());
        let mut state = state.lock().await;
        match &state.kept {
            Some((value, _)) if !Arc::ptr_eq(value, seen) => Ok(Arc::clone(value)),
            _ => self.ask(&mut state, ask).await,
        }
    }

    fn place(&self, place: &K, now: OffsetDateTime) -> Arc<tokio::sync::Mutex<State<V, E>>> {
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
    async fn ask(&self, state: &mut State<V, E>, ask: impl AsyncFnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let now = self.clock.now();
        if state.asked_at.is_none_or(|asked_at| now >= asked_at + ASK_AGAIN_AFTER) {
            // Noted first: dropped half-way, a request counts as asked.
            state.asked_at = Some(now);
            match ask().await {
                Ok(value) => (state.kept, state.failed) = (Some((Arc::new(value), now)), None),
                Err(error) => state.failed = Some(error),
            }
        }
        match (&state.kept, state.failed) {
            (Some((value, read_at)), _) if now < *read_at + FRESH_FOR + STALE_IF_ERROR => Ok(Arc::clone(value)),
            (_, Some(error)) => Err(error),
            (_, None) => Err(self.unanswered),
        }
    }
}
