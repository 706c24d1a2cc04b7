//! Whose the bearers of runs are, as the issuer told, and how often it is asked about those that nobody knows yet.
//!
//! Anybody can write a well-formed bearer: its checksum needs no secret. Only the issuer can tell a real one, and it is
//! asked under the worker's own key, whose rate all teams share. So what is asked about strangers is a small part of
//! that rate, and neither bearers that are known nor tokens, which the worker verifies itself, wait for it (threat 24).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use time::OffsetDateTime;

use super::error::WorkerError;
use super::refusal::Refusal;
use super::token_source::caller::{Caller, Shown};
use crate::aws::credential::Owner;
use crate::aws::flight_cache::{Cache, Loaded};
use crate::domain::clock::Clock;
use crate::domain::credential::SecretHash;
use crate::domain::entropy::Entropy;
use crate::domain::id::RunId;
use crate::domain::secret::Secret;
use crate::limit::network::network;
use crate::limit::rate::{GuardedRate, KeyedRate, Rate};
use crate::limit::share::{Share, Shares};

/// How often the issuer is asked about bearers that are not known: a tenth of what it grants one worker key by default.
const STRANGERS: Rate = Rate::at_least_one(600, 100);
/// How many bearers that the issuer does not know one address may show, before none of it that are not known are asked
/// about: it would take the others' share of these questions.
const FAILURES: Rate = Rate::at_least_one(60, 20);
/// Most of these questions under way at once, also while the issuer is slow to answer.
const UNDER_WAY: usize = 64;

/// Whose a bearer is, which never changes; whether it is alive, is asked like of a token.
pub(super) struct Whose {
    pub(super) owner: Owner,
    pub(super) run: RunId,
    pub(super) ends_at: OffsetDateTime,
}

impl Whose {
    pub(super) fn caller(&self, hash: SecretHash, token: Secret) -> Caller {
        Caller {
            owner: self.owner.clone(),
            run: Some(self.run.clone()),
            shown: Shown::Bearer(hash),
            expires_at: self.ends_at,
            token,
        }
    }
}

/// What is kept of bearers. Clones share it.
#[derive(Clone)]
pub(super) struct Bearers {
    kept: Cache<SecretHash, Whose, WorkerError>,
    door: Arc<Door>,
    clock: Arc<dyn Clock>,
}

impl Bearers {
    /// Knows at most `capacity` bearers.
    pub(super) fn new(capacity: usize, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self::with(STRANGERS, FAILURES, capacity, clock, entropy)
    }

    fn with(
        strangers: Rate,
        failures: Rate,
        capacity: usize,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let door = Door {
            rate: KeyedRate::new(strangers),
            failures: GuardedRate::new(failures),
            places: Shares::new(UNDER_WAY, UNDER_WAY),
            capacity,
            book: Mutex::default(),
        };
        Self { kept: Cache::new("bearers", capacity, clock.clone(), entropy), door: Arc::new(door), clock }
    }

    /// Whose the bearer of `hash` is, asked by `load` where that is not known, and not at all where too many others
    /// that are not known are asked about, or too many from `address` were nobody's. A refused stranger leaves nothing behind, so that no flood of them pushes
    /// out what is known.
    pub(super) async fn get<F>(
        &self,
        hash: SecretHash,
        address: Option<IpAddr>,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<Whose>, WorkerError>
    where
        F: Future<Output = Result<Loaded<Whose>, WorkerError>> + Send + 'static,
    {
        let from = address.map(network);
        let asking = if self.door.knows(&hash, self.clock.now()) {
            None
        } else if let Some(error) = self.kept.remembered(&hash) {
            return Err(error);
        } else {
            Some(self.door.enter(hash, from)?)
        };
        let (door, clock) = (Arc::clone(&self.door), Arc::clone(&self.clock));
        let ask = || {
            let load = load();
            async move {
                let outcome = load.await;
                door.learn(hash, from, &outcome, clock.now());
                // The load outlives whoever began it, and its place with it.
                drop(asking);
                outcome
            }
        };
        Ok(self.kept.get(&hash, ask).await?)
    }
}

/// Who is let through to the issuer.
struct Door {
    rate: KeyedRate,
    failures: GuardedRate,
    places: Shares<()>,
    capacity: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Bearers that the issuer knew, with the ends of their runs. Kept apart from the cache, in which strangers that
    /// were asked about take room too.
    known: HashMap<SecretHash, OffsetDateTime>,
    /// Strangers that are being asked about: whoever shows the same one meanwhile joins.
    asked: HashMap<SecretHash, Weak<Asking>>,
}

/// A question about a stranger, for as long as it is under way.
struct Asking {
    door: Arc<Door>,
    hash: SecretHash,
    _place: Share<()>,
}

impl Door {
    fn knows(&self, hash: &SecretHash, now: OffsetDateTime) -> bool {
        self.book().known.get(hash).is_some_and(|ends_at| now < *ends_at)
    }

    fn enter(self: &Arc<Self>, hash: SecretHash, from: Option<IpAddr>) -> Result<Arc<Asking>, WorkerError> {
        self.failures.peek(&from).map_err(|limited| too_many(&limited.to_string()))?;
        let mut book = self.book();
        if let Some(asking) = book.asked.get(&hash).and_then(Weak::upgrade) {
            return Ok(asking);
        }
        let place = self.places.take(&(), 1).map_err(|_| too_many("too many of these questions are under way"))?;
        self.rate.take(&()).map_err(|limited| too_many(&limited.to_string()))?;
        let asking = Arc::new(Asking { door: Arc::clone(self), hash, _place: place });
        book.asked.insert(hash, Arc::downgrade(&asking));
        drop(book);
        Ok(asking)
    }

    /// What an answer says of a bearer. One that is refused for itself is a stranger again.
    fn learn(
        &self,
        hash: SecretHash,
        from: Option<IpAddr>,
        outcome: &Result<Loaded<Whose>, WorkerError>,
        now: OffsetDateTime,
    ) {
        let mut book = self.book();
        match outcome {
            Ok(loaded) => {
                let known = &mut book.known;
                if known.len() >= self.capacity && !known.contains_key(&hash) {
                    known.retain(|_, ends_at| now < *ends_at);
                    // Any of them: it is asked about anew, within the rate of strangers.
                    if known.len() >= self.capacity
                        && let Some(any) = known.keys().next().copied()
                    {
                        known.remove(&any);
                    }
                }
                known.insert(hash, loaded.value.ends_at);
            }
            Err(error) if error.is_of_the_token() => {
                book.known.remove(&hash);
                // Whether this one was too many shows at the next.
                let _ = self.failures.take(&from);
            }
            Err(_) => {}
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut book = self.door.book();
        // Another question about the same bearer may have begun since.
        if book.asked.get(&self.hash).is_some_and(|asking| asking.strong_count() == 0) {
            book.asked.remove(&self.hash);
        }
    }
}

fn too_many(detail: &str) -> WorkerError {
    metrics::counter!("brevet_worker_strangers_refused_total").increment(1);
    WorkerError::refused(Refusal::StrangersLimited, detail)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use time::Duration;
    use time::macros::datetime;

    use super::*;
    use crate::domain::clock::ManualClock;
    use crate::domain::entropy::seeded::SeededEntropy;
    use crate::domain::subject::Subject;

    struct House {
        bearers: Bearers,
        clock: Arc<ManualClock>,
        calls: Arc<AtomicUsize>,
    }

    /// Two a minute and fifty at once: while a test runs, hardly any room comes back.
    fn house(capacity: usize) -> House {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let rate = Rate::new(2, 50).unwrap();
        let failures = Rate::new(600_000, 100_000).unwrap();
        let bearers = Bearers::with(rate, failures, capacity, clock.clone(), Arc::new(SeededEntropy::new(1)));
        House { bearers, clock, calls: Arc::default() }
    }

    fn hash(number: usize) -> SecretHash {
        SecretHash::of(&number.to_string())
    }

    impl House {
        /// One request; the issuer knows the bearer where `real`.
        async fn show(&self, bearer: SecretHash, real: bool) -> Result<(), Refusal> {
            self.show_from(None, bearer, real).await
        }

        async fn show_from(&self, from: Option<&str>, bearer: SecretHash, real: bool) -> Result<(), Refusal> {
            let from = from.map(|text| text.parse().unwrap());
            let (calls, now) = (self.calls.clone(), self.clock.now());
            let ask = || async move {
                calls.fetch_add(1, Ordering::SeqCst);
                if !real {
                    return Err(WorkerError::refused(Refusal::TokenNotAccepted, "token_unknown_bearer"));
                }
                let subject = Subject::parse("scoped_principal:team-1/service_account:agent-1").unwrap();
                let owner = Owner { issuer: "https://issuer.example.com".into(), subject };
                let run = RunId::parse("0123456789abcdefABCD").unwrap();
                let value = Whose { owner, run, ends_at: now + Duration::DAY };
                let fresh_until = now + Duration::HOUR;
                Ok(Loaded { value, fresh_until, last_good_until: fresh_until })
            };
            match self.bearers.get(bearer, from, ask).await {
                Ok(_) => Ok(()),
                Err(WorkerError::Refused { why, .. }) => Err(why),
                Err(error) => panic!("{error}"),
            }
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn threat_24_a_thousand_made_up_bearers_cause_few_calls_and_a_known_one_still_passes() {
        // Fewer are kept than strangers are asked about: not even that makes the known one a stranger.
        let house = house(20);
        let known = hash(1_000_000);
        assert_eq!(house.show(known, true).await, Ok(()));
        let mut limited = 0;
        for fake in 0..1000 {
            match house.show(hash(fake), false).await {
                Err(Refusal::StrangersLimited) => limited += 1,
                refused => assert_eq!(refused, Err(Refusal::TokenNotAccepted)),
            }
        }
        // The fifty at once, and what a slow host gets of two a minute.
        assert!((50..=60).contains(&house.calls()), "{}", house.calls());
        assert_eq!(limited + house.calls() - 1, 1000);
        assert!(house.bearers.kept.len() <= 20);
        let before = house.calls();
        assert_eq!(house.show(known, true).await, Ok(()));
        house.clock.advance(Duration::HOUR * 2);
        assert_eq!(house.show(known, true).await, Ok(()), "also where it must be asked about again");
        assert_eq!(house.calls(), before + 2);
        assert!(house.bearers.door.book().asked.is_empty());
        assert!(house.bearers.door.places.take(&(), UNDER_WAY).is_ok(), "every place came back");
    }

    #[tokio::test]
    async fn threat_24_a_known_bearer_that_is_refused_is_a_stranger_again() {
        let house = house(20);
        assert_eq!(house.show(hash(1), true).await, Ok(()));
        assert!(house.bearers.door.knows(&hash(1), house.clock.now()));
        house.clock.advance(Duration::HOUR * 2);
        assert_eq!(house.show(hash(1), false).await, Err(Refusal::TokenNotAccepted));
        assert!(!house.bearers.door.knows(&hash(1), house.clock.now()));
        assert_eq!((house.show(hash(1), false).await, house.calls()), (Err(Refusal::TokenNotAccepted), 2));
    }

    #[test]
    fn threat_24_questions_under_way_are_bounded_and_the_same_bearer_is_one_question() {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let entropy = Arc::new(SeededEntropy::new(1));
        let bearers = Bearers::with(Rate::new(2, 1000).unwrap(), FAILURES, 20, clock, entropy);
        let enter = |number| bearers.door.enter(hash(number), None);
        let mut held: Vec<_> = (0..UNDER_WAY).map(|number| enter(number).unwrap()).collect();
        held.push(enter(0).unwrap());
        assert!(enter(UNDER_WAY).is_err());
        held.clear();
        assert!(bearers.door.book().asked.is_empty());
        assert!(enter(UNDER_WAY).is_ok());
    }

    #[tokio::test]
    async fn threat_24_an_address_that_shows_nobodys_bearers_is_asked_about_no_more_and_others_are() {
        let clock = Arc::new(ManualClock::new(datetime!(2026-01-01 00:00 UTC)));
        let (rate, failures) = (Rate::new(1000, 1000).unwrap(), Rate::new(1, 5).unwrap());
        let bearers = Bearers::with(rate, failures, 100, clock.clone(), Arc::new(SeededEntropy::new(1)));
        let house = House { bearers, clock, calls: Arc::default() };
        let (flood, other) = (Some("2001:db8::1"), Some("192.0.2.1"));
        assert_eq!(house.show_from(flood, hash(1_000_000), true).await, Ok(()));
        for fake in 0..6 {
            assert_eq!(house.show_from(flood, hash(fake), false).await, Err(Refusal::TokenNotAccepted));
        }
        let calls = house.calls();
        for (from, bearer) in [("2001:db8::1", 6), ("2001:db8::2", 7), ("2001:db8::ffff:1", 8)] {
            let limited = house.show_from(Some(from), hash(bearer), true).await;
            assert_eq!(limited, Err(Refusal::StrangersLimited), "{from}: the /64 is one address");
        }
        assert_eq!(house.calls(), calls, "nobody was asked");
        // Who is known goes on, wherever from; and elsewhere strangers are asked about.
        assert_eq!(house.show_from(flood, hash(1_000_000), true).await, Ok(()));
        assert_eq!(house.show_from(other, hash(6), true).await, Ok(()));
        assert_eq!(house.show_from(None, hash(7), true).await, Ok(()));
    }

    #[tokio::test]
    async fn no_more_bearers_are_known_than_may_be() {
        let house = house(3);
        for real in 0..10 {
            assert_eq!(house.show(hash(real), true).await, Ok(()));
        }
        assert_eq!(house.bearers.door.book().known.len(), 3);
        assert!(house.bearers.door.knows(&hash(9), house.clock.now()));
    }
}
