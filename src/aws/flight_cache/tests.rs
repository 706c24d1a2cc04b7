use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use time::macros::datetime;
use tokio::sync::Semaphore;

use super::*;
use crate::domain::clock::ManualClock;
use crate::domain::entropy::seeded::SeededEntropy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum No {
    Refused,
    Down,
}

impl Failure for No {
    fn is_outage(&self) -> bool {
        *self == Self::Down
    }

    fn remember_for(&self) -> Duration {
        Duration::seconds(5)
    }
}

const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

struct House {
    clock: Arc<ManualClock>,
    cache: Cache<u32, u32, No>,
    loads: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

impl House {
    fn new(capacity: usize) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let cache = Cache::new("test", capacity, clock.clone(), Arc::new(SeededEntropy::new(1)));
        Self { clock, cache, loads: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn open(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// A load that waits for the gate, and then brings the number of loads so far, for an hour.
    fn load(&self, result: Result<(), No>) -> impl Future<Output = Result<Loaded<u32>, No>> + Send + 'static {
        let (loads, gate, clock) = (self.loads.clone(), self.gate.clone(), self.clock.clone());
        async move {
            let _open = gate.acquire().await.unwrap();
            let value = loads.fetch_add(1, Ordering::SeqCst) + 1;
            let ends = clock.now() + Duration::HOUR;
            result.map(|()| Loaded { value, fresh_until: ends - Duration::MINUTE, last_good_until: ends })
        }
    }

    async fn get(&self, result: Result<(), No>) -> Result<u32, CacheError<No>> {
        self.cache.get(&7, || self.load(result)).await.map(|value| *value)
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    /// Lets loads under way end.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn threat_28_a_hundred_at_once_are_one_load() {
    let house = House::new(10);
    let all = futures_util::future::join_all((0..100).map(|_| house.get(Ok(()))));
    let (answers, ()) = tokio::join!(all, async {
        house.settle().await;
        house.open();
    });
    assert!(answers.into_iter().all(|answer| answer == Ok(1)));
    assert_eq!(house.loads(), 1);
}

#[tokio::test]
async fn threat_28_the_load_outlives_whoever_began_it() {
    let house = House::new(10);
    let mut first = Box::pin(house.get(Ok(())));
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut second = Box::pin(house.get(Ok(())));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    house.open();
    assert_eq!(second.await, Ok(1));
    assert_eq!((house.get(Ok(())).await, house.loads()), (Ok(1), 1));
}

#[tokio::test]
async fn threat_28_a_value_is_renewed_ahead_without_anyone_waiting() {
    let house = House::new(10);
    house.open();
    assert_eq!(house.get(Ok(())).await, Ok(1));
    // 59 minutes fresh: 65 % is 38:21, 75 % is 44:15.
    house.clock.set(START + Duration::seconds(38 * 60));
    assert_eq!(house.get(Ok(())).await, Ok(1));
    house.settle().await;
    assert_eq!(house.loads(), 1);
    house.clock.set(START + Duration::seconds(44 * 60 + 20));
    for _ in 0..100 {
        assert_eq!(house.get(Ok(())).await, Ok(1));
    }
    house.settle().await;
    assert_eq!((house.get(Ok(())).await, house.loads()), (Ok(2), 2));
}

#[tokio::test]
async fn threat_28_entries_made_together_are_not_renewed_together() {
    let house = House::new(1000);
    house.open();
    for key in 0..100 {
        house.cache.get(&key, || house.load(Ok(()))).await.unwrap();
    }
    house.clock.set(START + Duration::seconds(41 * 60 + 18));
    for key in 0..100 {
        house.cache.get(&key, || house.load(Ok(()))).await.unwrap();
    }
    house.settle().await;
    assert!((130..=170).contains(&house.loads()), "at the middle of the spread half are due: {}", house.loads());
}

#[tokio::test]
async fn a_value_is_gone_when_its_time_is_not_when_its_age_is() {
    let house = House::new(10);
    house.open();
    assert_eq!(house.get(Ok(())).await, Ok(1));
    house.clock.set(START + Duration::minutes(59));
    assert_eq!(house.get(Ok(())).await, Ok(2));
}

#[tokio::test]
async fn a_refusal_drops_the_value_at_once_and_is_remembered_for_seconds() {
    let house = House::new(10);
    house.open();
    assert_eq!(house.get(Ok(())).await, Ok(1));
    house.clock.set(START + Duration::minutes(50));
    // The renewal in the background is refused: the value, though unexpired, is not served again.
    assert_eq!(house.get(Err(No::Refused)).await, Ok(1));
    house.settle().await;
    for _ in 0..100 {
        assert_eq!(house.get(Ok(())).await, Err(CacheError::Load(No::Refused)));
    }
    assert_eq!(house.loads(), 2);
    house.clock.advance(Duration::seconds(5));
    assert_eq!(house.get(Ok(())).await, Ok(3));
}

#[tokio::test]
async fn in_an_outage_the_last_good_value_serves_until_its_end_and_few_ask() {
    let house = House::new(10);
    house.open();
    assert_eq!(house.get(Ok(())).await, Ok(1));
    for second in 0..(14 * 60) {
        house.clock.set(START + Duration::seconds(45 * 60 + second));
        assert_eq!(house.get(Err(No::Down)).await, Ok(1));
        house.settle().await;
    }
    assert!((5..=60).contains(&house.loads()), "{}", house.loads());
    // Past fresh_until and within last_good_until.
    house.clock.set(START + Duration::seconds(59 * 60 + 30));
    assert_eq!(house.get(Err(No::Down)).await, Ok(1));
    house.clock.set(START + Duration::seconds(60 * 60));
    assert_eq!(house.get(Err(No::Down)).await, Err(CacheError::Load(No::Down)));
}

#[tokio::test]
async fn threat_28_ten_thousand_requests_in_an_outage_without_a_value_are_one_load_each_five_seconds() {
    let house = House::new(10);
    house.open();
    for request in 0..10_000 {
        house.clock.set(START + Duration::milliseconds(request));
        assert_eq!(house.get(Err(No::Down)).await, Err(CacheError::Load(No::Down)));
    }
    assert_eq!(house.loads(), 2);
}

#[tokio::test]
async fn of_many_that_find_a_value_bad_one_brings_about_the_next() {
    let house = House::new(10);
    house.open();
    let seen = house.cache.get(&7, || house.load(Ok(()))).await.unwrap();
    for _ in 0..100 {
        house.cache.discard(&7, &seen);
        house.get(Ok(())).await.unwrap();
    }
    assert_eq!(house.loads(), 2);
}

#[tokio::test]
async fn what_was_dropped_while_it_was_loaded_is_not_kept() {
    let house = House::new(10);
    let mut first = Box::pin(house.get(Ok(())));
    assert!(futures_util::poll!(&mut first).is_pending());
    house.settle().await;
    house.cache.discard_all(|key| *key == 7);
    house.open();
    assert_eq!(first.await, Ok(1));
    assert!(house.cache.is_empty());
    assert_eq!(house.get(Ok(())).await, Ok(2));
}

#[tokio::test]
async fn a_load_that_panics_is_abandoned_and_the_next_one_runs() {
    let house = House::new(10);
    house.open();
    let broken = house.cache.get(&7, || async { panic!("a load that panics") }).await;
    assert_eq!(broken.map(|value| *value), Err(CacheError::Abandoned));
    assert_eq!(house.get(Ok(())).await, Ok(1));
}

#[tokio::test]
async fn it_is_bounded() {
    let house = House::new(100);
    house.open();
    for key in 0..1000 {
        house.cache.get(&key, || house.load(Ok(()))).await.unwrap();
    }
    assert_eq!(house.cache.len(), 100);
}

#[derive(Debug, Clone)]
enum Step {
    Get(u32, Result<(), No>),
    Discard(u32),
    Wait(i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0u32..12;
    let result = prop_oneof![6 => Just(Ok(())), 1 => Just(Err(No::Refused)), 1 => Just(Err(No::Down))];
    prop_oneof![
        12 => (key.clone(), result).prop_map(|(key, result)| Step::Get(key, result)),
        1 => key.prop_map(Step::Discard),
        2 => (1i64..2400).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, in whatever order and however many at a time: a key never gets another key's value, and
    /// no value after its time.
    #[test]
    fn threat_25_no_key_ever_gets_another_keys_value(steps in proptest::collection::vec(any_step(), 1..120), seed: u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let outcome: Result<(), TestCaseError> = runtime.block_on(async {
            let clock = Arc::new(ManualClock::new(START));
            let cache: Cache<u32, (u32, OffsetDateTime), No> =
                Cache::new("test", 5, clock.clone(), Arc::new(SeededEntropy::new(seed)));
            let mut running = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Get(key, result) => {
                        let (cache, clock) = (cache.clone(), clock.clone());
                        running.insert(number, tokio::spawn(async move {
                            let asked = clock.now();
                            let load_clock = clock.clone();
                            let got = cache.get(&key, || async move {
                                tokio::task::yield_now().await;
                                let ends = load_clock.now() + Duration::HOUR;
                                result.map(|()| Loaded { value: (key, ends), fresh_until: ends, last_good_until: ends })
                            }).await;
                            (key, asked, got.map(|value| *value))
                        }));
                    }
                    Step::Discard(key) => cache.discard_all(|known| *known == key),
                    Step::Wait(seconds) => {
                        for (_, task) in running.drain() {
                            let (key, asked, got) = task.await.unwrap();
                            if let Ok((of, ends)) = got {
                                prop_assert_eq!(of, key);
                                prop_assert!(asked < ends);
                            }
                        }
                        clock.advance(Duration::seconds(seconds));
                    }
                }
            }
            for (_, task) in running.drain() {
                let (key, _, got) = task.await.unwrap();
                prop_assert!(got.is_err() || got.is_ok_and(|(of, _)| of == key));
            }
            Ok(())
        });
        outcome?;
    }
}
