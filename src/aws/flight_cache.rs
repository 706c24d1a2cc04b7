//! The cache behind everything the worker keeps: bounded, one load per key at a time, refreshed ahead, with a
//! memory for failures.
//!
//! - However many ask for a key at once, one load runs; it belongs to nobody, so it outlives whoever began it.
//! - From 70 % of its life on (± 5 %, so that entries made together are not renewed together) a value is renewed in
//!   the background, by the load of whoever asks then, while everyone still gets the old one.
//! - A refusal drops the value at once and is answered from memory for a few seconds. An outage is too, but a
//!   value that may still serve as last good is served instead.
//! - There are no timers: all time is the clock's, and nothing happens while nobody asks.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use super::slots::Slots;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;

/// A share of a value's life, in 1/1000, after which it is renewed in the background; and how far that is spread.
const REFRESH_AT: i32 = 650;
const REFRESH_SPREAD: i32 = 100;

/// What failures tell the cache.
pub trait Failure: Clone + Send + Sync + 'static {
    /// Whether nobody refused: the other side was unreachable, throttling or broken.
    fn is_outage(&self) -> bool;

    /// How long the failure is answered from memory; 2 to 10 seconds, by its class.
    fn remember_for(&self) -> Duration;
}

/// A value and how long it holds.
#[derive(Debug)]
pub struct Loaded<V> {
    /// The value.
    pub value: V,
    /// Until when it is served without asking.
    pub fresh_until: OffsetDateTime,
    /// Until when it is served where asking met an outage; not before `fresh_until`.
    pub last_good_until: OffsetDateTime,
}

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError<E> {
    /// The load failed, now or a few seconds ago.
    #[error(transparent)]
    Load(E),
    /// The load ended without a result: it panicked, or the process is going down.
    #[error("the load was abandoned")]
    Abandoned,
}

type Outcome<V, E> = Result<Arc<V>, E>;

struct Kept<V> {
    value: Arc<V>,
    refresh_at: OffsetDateTime,
    fresh_until: OffsetDateTime,
    last_good_until: OffsetDateTime,
}

impl<V> Kept<V> {
    fn last_good(&self, now: OffsetDateTime) -> Option<Arc<V>> {
        (now < self.last_good_until).then(|| self.value.clone())
    }
}

struct Flight<V, E> {
    number: u64,
    landed: watch::Receiver<Option<Outcome<V, E>>>,
}

struct Slot<V, E> {
    kept: Option<Kept<V>>,
    failed: Option<(E, OffsetDateTime)>,
    flight: Option<Flight<V, E>>,
}

impl<V, E> Default for Slot<V, E> {
    fn default() -> Self {
        Self { kept: None, failed: None, flight: None }
    }
}

/// What is known of each key, and how many loads there have been.
struct Book<K, V, E> {
    slots: Slots<K, Slot<V, E>>,
    flights: u64,
}

struct Shared<K, V, E> {
    name: &'static str,
    book: Mutex<Book<K, V, E>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The cache. Clones share it.
pub struct Cache<K, V, E>(Arc<Shared<K, V, E>>);

impl<K, V, E> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V, E> Cache<K, V, E>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    E: Failure,
{
    /// An empty cache of at most `capacity` keys (loads under way are never forgotten, whatever their number).
    /// `name` stands in its metrics.
    pub fn new(name: &'static str, capacity: usize, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let book = Mutex::new(Book { slots: Slots::new(capacity), flights: 0 });
        Self(Arc::new(Shared { name, book, clock, entropy }))
    }

    /// The value of `key`, loaded by `load` where there is none or it is due. `load` must bring what belongs to
    /// `key`, whoever asks for it.
    pub async fn get<F>(&self, key: &K, load: impl FnOnce() -> F) -> Result<Arc<V>, CacheError<E>>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        let now = self.0.clock.now();
        let mut landed = {
            let mut guard = self.0.lock();
            let Book { slots, flights } = &mut *guard;
            let slot = slots.using(key, |slot| slot.flight.is_none());
            if let Some(kept) = &slot.kept
                && now < kept.fresh_until
            {
                let value = kept.value.clone();
                if now >= kept.refresh_at && slot.flight.is_none() {
                    slot.flight = Some(self.launch(key, flights, load()));
                }
                drop(guard);
                self.0.count("hit");
                return Ok(value);
            }
            if let Some((failure, until)) = &slot.failed
                && now < *until
            {
                let failure = failure.clone();
                let last_good = slot.kept.as_ref().and_then(|kept| kept.last_good(now));
                drop(guard);
                return self.failed(failure, last_good);
            }
            if let Some(flight) = &slot.flight {
                self.0.count("joined");
                flight.landed.clone()
            } else {
                self.0.count("miss");
                slot.flight.insert(self.launch(key, flights, load())).landed.clone()
            }
        };
        let outcome = landed.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(failure)) => {
                let now = self.0.clock.now();
                let last_good = self
                    .0
                    .lock()
                    .slots
                    .get(key)
                    .and_then(|slot| slot.kept.as_ref().and_then(|kept| kept.last_good(now)));
                self.failed(failure, last_good)
            }
            None => Err(CacheError::Abandoned),
        }
    }

    /// Drops the value of `key` if it is still `seen`: of any number that find the same value bad, one brings about
    /// the load of another.
    pub fn discard(&self, key: &K, seen: &Arc<V>) {
        let mut guard = self.0.lock();
        if let Some(slot) = guard.slots.get(key)
            && slot.kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.value, seen))
        {
            slot.kept = None;
        }
    }

    /// Takes `seen`, if it is still the value of `key`, for due: the next to ask loads, and has it back as last good
    /// if that meets an outage.
    pub fn expire(&self, key: &K, seen: &Arc<V>) {
        let now = self.0.clock.now();
        let mut guard = self.0.lock();
        if let Some(kept) = guard.slots.get(key).and_then(|slot| slot.kept.as_mut())
            && Arc::ptr_eq(&kept.value, seen)
        {
            kept.fresh_until = now;
        }
    }

    /// Keeps a value that was learned on another way.
    pub fn put(&self, key: &K, loaded: Loaded<V>) {
        let now = self.0.clock.now();
        let kept = self.0.keep(loaded, now);
        let mut guard = self.0.lock();
        let slot = guard.slots.using(key, |slot| slot.flight.is_none());
        slot.failed = None;
        slot.kept = Some(kept);
    }

    /// Drops the values of every key that `goes`, and the results of loads under way. Failures stay remembered.
    pub fn discard_all(&self, goes: impl Fn(&K) -> bool) {
        self.0.lock().slots.retain(|key, slot| {
            if goes(key) {
                (slot.kept, slot.flight) = (None, None);
            }
            slot.kept.is_some() || slot.flight.is_some() || slot.failed.is_some()
        });
    }

    /// Remembers a failure that was learned on another way; the value goes unless it was an outage.
    pub fn remember(&self, key: &K, failure: E) {
        let until = self.0.clock.now() + failure.remember_for();
        let mut guard = self.0.lock();
        let slot = guard.slots.using(key, |slot| slot.flight.is_none());
        if !failure.is_outage() {
            slot.kept = None;
        }
        slot.failed = Some((failure, until));
    }

    /// The failure that is remembered of `key` now.
    pub fn remembered(&self, key: &K) -> Option<E> {
        let now = self.0.clock.now();
        let mut guard = self.0.lock();
        let (failure, until) = guard.slots.get(key)?.failed.as_ref()?;
        (now < *until).then(|| failure.clone())
    }

    /// Forgets the failure of `key`: it was somebody else's.
    pub fn forgive(&self, key: &K) {
        if let Some(slot) = self.0.lock().slots.get(key) {
            slot.failed = None;
        }
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.0.lock().slots.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn failed(&self, failure: E, last_good: Option<Arc<V>>) -> Result<Arc<V>, CacheError<E>> {
        match last_good {
            Some(value) if failure.is_outage() => {
                self.0.count("last_good");
                Ok(value)
            }
            _ => {
                self.0.count("failed");
                Err(CacheError::Load(failure))
            }
        }
    }

    /// Starts `load` as a task of its own and books it under the next number.
    fn launch<F>(&self, key: &K, flights: &mut u64, load: F) -> Flight<V, E>
    where
        F: Future<Output = Result<Loaded<V>, E>> + Send + 'static,
    {
        *flights += 1;
        let (tell, landed) = watch::channel(None);
        let landing = Landing { shared: self.0.clone(), key: key.clone(), number: *flights };
        tokio::spawn(async move {
            let outcome = landing.land(load.await);
            drop(landing);
            let _ = tell.send(Some(outcome));
        });
        Flight { number: *flights, landed }
    }
}

impl<K: Eq + Hash + Clone, V, E> Shared<K, V, E> {
    fn lock(&self) -> MutexGuard<'_, Book<K, V, E>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        metrics::counter!("brevet_worker_cache_requests_total", "cache" => self.name, "outcome" => outcome)
            .increment(1);
    }

    fn keep(&self, Loaded { value, fresh_until, last_good_until }: Loaded<V>, now: OffsetDateTime) -> Kept<V> {
        let refresh_at = now + self.share_of(fresh_until - now);
        Kept { value: Arc::new(value), refresh_at, fresh_until, last_good_until }
    }

    /// `span` cut to 65 to 75 %.
    fn share_of(&self, span: Duration) -> Duration {
        let mut random = [0; 2];
        self.entropy.fill(&mut random);
        let spread = i32::from(u16::from_le_bytes(random)) * REFRESH_SPREAD / i32::from(u16::MAX);
        span * (REFRESH_AT + spread) / 1000
    }
}

/// A load under way; clears its flight however it ends.
struct Landing<K: Eq + Hash + Clone, V, E> {
    shared: Arc<Shared<K, V, E>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash + Clone, V, E: Failure> Landing<K, V, E> {
    /// Books the result, unless the key was dropped meanwhile: then whoever waits gets it and nobody after.
    fn land(&self, result: Result<Loaded<V>, E>) -> Outcome<V, E> {
        let now = self.shared.clock.now();
        let mut guard = self.shared.lock();
        let slot: Option<&mut Slot<V, E>> = guard.slots.get(&self.key).filter(|slot| self.is_of(slot));
        match result {
            Ok(loaded) => {
                let kept = self.shared.keep(loaded, now);
                let value = kept.value.clone();
                if let Some(slot) = slot {
                    slot.failed = None;
                    slot.kept = Some(kept);
                }
                Ok(value)
            }
            Err(failure) => {
                if let Some(slot) = slot {
                    slot.failed = Some((failure.clone(), now + failure.remember_for()));
                    if let Some(kept) = slot.kept.as_mut().filter(|_| failure.is_outage()) {
                        // The other side is in trouble and there is time: ask a few times more, not with every request.
                        let left: Duration = (kept.fresh_until - now) / 10;
                        kept.refresh_at =
                            now + self.shared.share_of(left.clamp(Duration::seconds(5), Duration::MINUTE));
                    } else {
                        slot.kept = None;
                    }
                }
                Err(failure)
            }
        }
    }
}

impl<K: Eq + Hash + Clone, V, E> Landing<K, V, E> {
    fn is_of(&self, slot: &Slot<V, E>) -> bool {
        slot.flight.as_ref().is_some_and(|flight| flight.number == self.number)
    }
}

impl<K: Eq + Hash + Clone, V, E> Drop for Landing<K, V, E> {
    fn drop(&mut self) {
        let shared = self.shared.clone();
        let mut guard = shared.lock();
        if let Some(slot) = guard.slots.get(&self.key)
            && self.is_of(slot)
        {
            slot.flight = None;
        }
    }
}

#[cfg(test)]
mod tests;
