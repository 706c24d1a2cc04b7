//! Rotation of signing keys as pure functions: from rows, schedule and `now` to what one transaction changes.
//!
//! Owns the rules by which one key follows another: what the clock asks for ([`plan`]), what an operator asks for
//! ([`command`]), what a look at the public `jwks_uri` means ([`mod@sighting`]), what is to come ([`mod@forecast`]), and whether
//! that leaves any verifier behind ([`proof`]).
//! Does not own the numbers (`key_schedule`) nor the states (`signing_key`); `issuer::rotate` executes.
//! May import: `domain`.

pub mod command;
pub mod forecast;
pub mod proof;
pub mod sighting;

use time::{Duration, OffsetDateTime};

pub use self::command::{
    Distrust, DistrustRefused, Outage, PrepareRefused, ReplaceAll, RotateRefused, distrust, prepare, renumber,
    replace_all, retire_all, rotate_now,
};
pub use self::forecast::{KeyRef, Span, Transition, What, forecast, next_hand_over, spans};
pub use self::proof::{Gap, Proof, prove};
pub use self::sighting::{sighting, sighting_within};
use super::key_schedule::KeySchedule;
use super::signing_key::{self, KEYS_MAX, KeyKind, KeyTimes, Kid, SigningKey};

/// One thing that the clock asks for. Each is one transaction, compare-and-swap, so that any number of replicas may
/// try it at once and after a crash the next attempt goes on from what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is no standby: one is made and published.
    MakeStandby {
        /// Of which kind: that of the signing key.
        kind: KeyKind,
    },
    /// The signing key gets its end, and the standby its beginning at the same instant.
    HandOver {
        /// The key that signs until then.
        from: Kid,
        /// The key that signs from then on.
        to: Kid,
        /// When.
        at: OffsetDateTime,
        /// Their instants as the plan found them.
        expected: (KeyTimes, KeyTimes),
    },
    /// A planned hand-over is called off, because the standby may not sign by then; the old key goes on.
    Postpone {
        /// The key that goes on.
        from: Kid,
        /// The key that waits.
        to: Kid,
        /// Their instants as the plan found them.
        expected: (KeyTimes, KeyTimes),
    },
    /// The private half of a key that is gone or distrusted is destroyed.
    Forget {
        /// Which key.
        kid: Kid,
    },
}

/// What one transaction does to an issuer's keys: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyChange {
    /// Keys whose instants change.
    pub times: Vec<Retimed>,
    /// Keys that are made.
    pub make: Vec<NewKey>,
    /// Keys whose private half is destroyed.
    pub forget: Vec<Kid>,
}

/// A key whose instants change, if they are still those expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retimed {
    /// Which key.
    pub kid: Kid,
    /// What its instants are, [`KeyTimes::seen_until`] apart: another look may have moved it meanwhile.
    pub expected: KeyTimes,
    /// What they become.
    pub times: KeyTimes,
}

/// A key that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewKey {
    /// Of which kind.
    pub kind: KeyKind,
    /// Its instants.
    pub times: KeyTimes,
}

/// A change that no longer fits the keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signing key {0} has changed since")]
pub struct Outdated(pub Kid);

impl Retimed {
    fn new(key: &SigningKey, change: impl FnOnce(&mut KeyTimes)) -> Self {
        let mut times = key.times;
        change(&mut times);
        Self { kid: key.kid.clone(), expected: key.times, times }
    }
}

impl KeyChange {
    /// Whether it does nothing.
    pub const fn is_empty(&self) -> bool {
        self.times.is_empty() && self.make.is_empty() && self.forget.is_empty()
    }

    /// What the keys are after it: the transaction as a pure function. `make` turns what is to be made into a key.
    pub fn apply(
        &self,
        keys: &[SigningKey],
        now: OffsetDateTime,
        make: impl FnMut(&NewKey) -> SigningKey,
    ) -> Result<Vec<SigningKey>, Outdated> {
        let mut after = keys.to_vec();
        for change in &self.times {
            let fits = |key: &&mut SigningKey| key.kid == change.kid && same(&key.times, &change.expected);
            let key = after.iter_mut().find(fits).ok_or_else(|| Outdated(change.kid.clone()))?;
            key.times = change.times;
        }
        for kid in &self.forget {
            let key = after.iter_mut().find(|key| key.kid == *kid).ok_or_else(|| Outdated(kid.clone()))?;
            key.forgotten_at = Some(now);
        }
        after.extend(self.make.iter().map(make));
        Ok(after)
    }
}

/// Whether two readings of a key's instants are the same for compare-and-swap.
fn same(a: &KeyTimes, b: &KeyTimes) -> bool {
    KeyTimes { seen_until: None, ..*a } == KeyTimes { seen_until: None, ..*b }
}

impl Step {
    /// What it does to the keys.
    pub fn change(&self, schedule: &KeySchedule, now: OffsetDateTime) -> KeyChange {
        match self {
            Self::MakeStandby { kind } => {
                let times = KeyTimes::published(whole(now));
                KeyChange { make: vec![NewKey { kind: *kind, times }], ..KeyChange::default() }
            }
            Self::HandOver { from, to, at, expected } => {
                let keep = Some(kept_until(*at, schedule, now));
                let ends = KeyTimes { sign_until: Some(*at), publish_until: keep, ..expected.0 };
                let begins = KeyTimes { sign_from: Some(*at), ..expected.1 };
                pair(from, to, expected, ends, begins)
            }
            Self::Postpone { from, to, expected } => {
                let goes_on = KeyTimes { sign_until: None, publish_until: None, ..expected.0 };
                let waits = KeyTimes { sign_from: None, ..expected.1 };
                pair(from, to, expected, goes_on, waits)
            }
            Self::Forget { kid } => KeyChange { forget: vec![kid.clone()], ..KeyChange::default() },
        }
    }
}

fn pair(from: &Kid, to: &Kid, expected: &(KeyTimes, KeyTimes), first: KeyTimes, second: KeyTimes) -> KeyChange {
    let times = vec![
        Retimed { kid: from.clone(), expected: expected.0, times: first },
        Retimed { kid: to.clone(), expected: expected.1, times: second },
    ];
    KeyChange { times, ..KeyChange::default() }
}

/// What the clock asks for at `now`, the first first; nothing where all is as it should be. Execute one step, read
/// the keys again and plan anew.
///
/// A hand-over is planned as soon as the standby has been seen at the public `jwks_uri` for the lead time, for the
/// instant at which the old key's period is over, and far enough ahead for every replica to learn of it. Once it is
/// less than that lead away it stands, whatever becomes of the standby at the public `jwks_uri`.
pub fn plan(keys: &[SigningKey], schedule: &KeySchedule, now: OffsetDateTime) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Ok(active) = signing_key::signing_key(keys, now) {
        match standby(keys, now) {
            Some(standby) => steps.extend(succession(active, standby, schedule, now)),
            None if has_room(keys, now) => steps.push(Step::MakeStandby { kind: active.kind }),
            None => {}
        }
    }
    let over = keys.iter().filter(|key| !key.times.is_alive(now) && key.forgotten_at.is_none());
    steps.extend(over.map(|key| Step::Forget { kid: key.kid.clone() }));
    steps
}

/// The key that is next: of several the one whose turn comes first, then the one published longest.
pub fn standby(keys: &[SigningKey], now: OffsetDateTime) -> Option<&SigningKey> {
    let waiting = keys.iter().filter(|key| key.times.is_standby(now));
    waiting.min_by_key(|key| {
        let KeyTimes { sign_from, publish_from, .. } = key.times;
        (sign_from.is_none(), sign_from, publish_from, key.kid.clone())
    })
}

fn has_room(keys: &[SigningKey], now: OffsetDateTime) -> bool {
    keys.iter().filter(|key| key.times.is_alive(now)).count() < KEYS_MAX
}

/// The instant of the planned hand-over from `active` to `standby`.
fn pending(active: &SigningKey, standby: &SigningKey) -> Option<OffsetDateTime> {
    active.times.sign_until.filter(|at| standby.times.sign_from == Some(*at))
}

/// Whether `standby`'s turn is so near that a replica whose clock is ahead may sign with it before it learns of anything
/// else, or is planned after `active`'s and followed by another. Such a turn stands: what has signed must not wait or leave
/// again. It may be near without a hand-over from `active`, by a clock that is behind: the key between them was distrusted a
/// moment ago.
fn is_under_way(active: &SigningKey, standby: &SigningKey, schedule: &KeySchedule, now: OffsetDateTime) -> bool {
    let near = standby.times.sign_from.is_some_and(|from| from < now + schedule.handover_lead());
    near || pending(active, standby).is_some() && standby.times.sign_until.is_some()
}

/// Until when a key stays published that is made at `now` to sign until `at`: by a clock that is ahead, another replica
/// may have signed with it a little longer.
fn kept_until(at: OffsetDateTime, schedule: &KeySchedule, now: OffsetDateTime) -> OffsetDateTime {
    schedule.keep_until(at.max(whole(now + schedule.clock_slack())))
}

/// Since when `key` has been seen long enough at the public `jwks_uri` to sign; `None` while it has not.
pub fn seen_enough(key: &SigningKey, schedule: &KeySchedule) -> Option<OffsetDateTime> {
    let enough = schedule.may_sign_from(key.times.seen_from?);
    key.times.seen_until.filter(|until| *until >= enough).map(|_| enough)
}

/// When `key` has been published long enough to sign.
pub fn published_enough(key: &SigningKey, schedule: &KeySchedule) -> OffsetDateTime {
    if key.first { key.times.publish_from } else { schedule.may_sign_from(key.times.publish_from) }
}

fn succession(active: &SigningKey, standby: &SigningKey, schedule: &KeySchedule, now: OffsetDateTime) -> Option<Step> {
    let (from, to) = (active.kid.clone(), standby.kid.clone());
    let expected = (active.times, standby.times);
    let (planned, lead) = (pending(active, standby), schedule.handover_lead());
    if is_under_way(active, standby, schedule, now) {
        return None;
    }
    let Some(seen) = seen_enough(standby, schedule) else {
        return planned.map(|_| Step::Postpone { from, to, expected });
    };
    let turn = schedule.turn_until(active.times.sign_from.unwrap_or(active.times.publish_from));
    let due = turn.max(seen).max(published_enough(standby, schedule));
    let at = whole(due.max(now + lead));
    let stands = match planned {
        None => false,
        // Later than due is right where it was planned late; a shortened period brings it forward.
        Some(planned) => planned >= due && planned <= at + lead,
    };
    (!stands).then_some(Step::HandOver { from, to, at, expected })
}

/// `at` in whole milliseconds, rounded up: what the database keeps of an instant.
fn whole(at: OffsetDateTime) -> OffsetDateTime {
    let below = at - Duration::nanoseconds(i64::from(at.nanosecond() % 1_000_000));
    if below == at { at } else { below + Duration::MILLISECOND }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::IssuerId;
    use crate::domain::issuer_url::Development;
    use crate::domain::key_schedule::ScheduleNumbers;
    use crate::domain::sealed::Sealed;
    use crate::domain::signing_key::{PublicKey, check, published, signing_key};
    use proptest::prelude::*;

    pub(super) const EPOCH: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    pub(super) const DAY: Duration = Duration::DAY;

    pub(super) fn schedule() -> KeySchedule {
        KeySchedule::new(ScheduleNumbers::default(), Development::Off).unwrap()
    }

    pub(super) fn kid(n: u32) -> Kid {
        let mut thumbprint = [7; 32];
        thumbprint[..4].copy_from_slice(&n.to_be_bytes());
        Kid::from_thumbprint(&thumbprint)
    }

    pub(super) fn key(n: u32, kind: KeyKind, times: KeyTimes) -> SigningKey {
        SigningKey {
            issuer: IssuerId::new(uuid::Uuid::from_u128(1)),
            kid: kid(n),
            kind,
            public: PublicKey::new(KeyKind::P256, &"A".repeat(43), &"A".repeat(43)).unwrap(),
            certificate: None,
            private: Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap(),
            times,
            first: false,
            forgotten_at: None,
        }
    }

    pub(super) fn first_pair() -> Vec<SigningKey> {
        let (signs, waits) = KeySchedule::first_pair(EPOCH);
        let first = |n, times| SigningKey { first: true, ..key(n, KeyKind::Rsa2048, times) };
        vec![first(0, signs), first(1, waits)]
    }

    /// An issuer's keys in virtual time.
    pub(super) struct House {
        pub(super) keys: Vec<SigningKey>,
        pub(super) schedule: KeySchedule,
        pub(super) now: OffsetDateTime,
    }

    impl House {
        pub(super) fn new() -> Self {
            Self { keys: first_pair(), schedule: schedule(), now: EPOCH }
        }

        pub(super) fn apply(&mut self, change: &KeyChange) {
            self.apply_unchecked(change);
            check(&self.keys, self.keys[0].issuer, self.now).unwrap();
        }

        /// As the store would, without its look at the whole.
        pub(super) fn apply_unchecked(&mut self, change: &KeyChange) {
            let mut made = u32::try_from(self.keys.len()).unwrap();
            let make = |new: &NewKey| {
                made += 1;
                key(made - 1, new.kind, new.times)
            };
            self.keys = change.apply(&self.keys, self.now, make).unwrap();
        }

        /// A look that sees everything, then every step that the clock asks for.
        pub(super) fn settle(&mut self) -> Vec<Step> {
            let listed: Vec<_> = published(&self.keys, self.now).into_iter().map(|key| key.kid.clone()).collect();
            self.apply(&sighting(&self.keys, &listed, self.now));
            self.steps()
        }

        pub(super) fn steps(&mut self) -> Vec<Step> {
            let mut steps = Vec::new();
            while let Some(step) = plan(&self.keys, &self.schedule, self.now).into_iter().next() {
                assert!(steps.len() < 20, "a plan without end: {steps:?}");
                self.apply(&step.change(&self.schedule, self.now));
                steps.push(step);
            }
            steps
        }

        /// Lets `span` pass, with a look every hour.
        pub(super) fn pass(&mut self, span: Duration) {
            let until = self.now + span;
            while self.now < until {
                self.now = until.min(self.now + Duration::HOUR);
                self.settle();
            }
        }

        pub(super) fn signs(&self) -> &SigningKey {
            signing_key(&self.keys, self.now).unwrap()
        }
    }

    #[test]
    fn a_quiet_year_hands_over_every_period_to_a_key_that_was_seen_all_along() {
        let mut house = House::new();
        let mut turns = vec![house.signs().kid.clone()];
        for _ in 0..365 * 24 {
            house.pass(Duration::HOUR);
            let signs = house.signs().clone();
            if turns.last() != Some(&signs.kid) {
                assert_eq!(house.now - EPOCH, DAY * 30 * i32::try_from(turns.len()).unwrap());
                assert!(signs.first || signs.times.sign_from.unwrap() - signs.times.publish_from >= DAY);
                turns.push(signs.kid);
            }
        }
        assert_eq!(turns.len(), 13);
        let alive = house.keys.iter().filter(|key| key.times.is_alive(house.now)).count();
        assert_eq!((alive, house.keys.len()), (2, 14));
        // What is gone is destroyed, what is not is not.
        assert!(house.keys.iter().all(|key| key.forgotten_at.is_some() != key.times.is_alive(house.now)));
    }

    #[test]
    fn threat_40_a_standby_that_the_public_address_does_not_show_never_signs() {
        let mut house = House::new();
        let only_first = [house.keys[0].kid.clone()];
        for _ in 0..100 {
            house.now += DAY;
            let seen = sighting(&house.keys, &only_first, house.now);
            house.apply(&seen);
            assert_eq!(house.steps(), []);
            assert_eq!(house.signs().kid, only_first[0]);
        }
        // The forgotten copy is mended: a lead time later the hand-over is planned.
        house.settle();
        house.pass(DAY);
        assert_eq!(house.signs().times.sign_until, None);
        house.now += Duration::HOUR;
        let steps = house.settle();
        let at = house.now + house.schedule.handover_lead();
        assert!(matches!(&steps[..], [Step::HandOver { at: planned, .. }] if *planned == at), "{steps:?}");
    }

    #[test]
    fn threat_40_a_look_that_misses_the_standby_calls_the_hand_over_off_until_it_was_seen_anew() {
        let mut house = House::new();
        house.pass(DAY * 2);
        assert_eq!(house.keys[0].times.sign_until, Some(EPOCH + DAY * 30));
        house.now = EPOCH + DAY * 30 - Duration::HOUR;
        let missed = sighting(&house.keys, &[house.keys[0].kid.clone()], house.now);
        house.apply(&missed);
        assert!(matches!(&house.steps()[..], [Step::Postpone { .. }]));
        assert_eq!((house.keys[0].times.sign_until, house.keys[1].times.sign_from), (None, None));
        house.pass(Duration::HOUR * 25);
        assert_eq!(house.signs().kid, kid(0));
        house.pass(Duration::HOUR * 3);
        assert_eq!(house.signs().kid, kid(1));
    }

    #[test]
    fn threat_40_looks_without_answer_count_for_nothing_and_after_a_long_gap_the_wait_begins_anew() {
        let mut house = House::new();
        house.settle();
        // Nobody looks for a month: what was seen once is not seen for the lead time, nor is it when it is seen again.
        house.now += DAY * 31;
        assert_eq!(house.steps(), []);
        assert_eq!(house.settle(), []);
        house.pass(Duration::hours(24));
        assert_eq!(house.signs().times.sign_until, None);
        house.pass(Duration::hours(2));
        assert_eq!(house.signs().kid, kid(1));
    }

    #[test]
    fn threat_16_a_look_that_misses_the_standby_within_the_lead_calls_nothing_off() {
        let mut house = House::new();
        house.pass(DAY * 2);
        let (at, lead) = (house.signs().times.sign_until.unwrap(), house.schedule.handover_lead());
        for now in [at - lead + Duration::MILLISECOND, at - Duration::MILLISECOND] {
            house.now = now;
            let missed = sighting(&house.keys, &[kid(0)], now);
            house.apply(&missed);
            assert_eq!(house.steps(), []);
            let refused = PrepareRefused::HandingOver { until: at };
            assert_eq!(prepare(&house.keys, &house.schedule, KeyKind::P256, now), Err(refused));
        }
        // A replica whose clock is ahead has signed with it by then: it stays, also where another is prepared.
        house.now = at + Duration::minutes(30);
        house.steps();
        let change = prepare(&house.keys, &house.schedule, KeyKind::P256, house.now).unwrap();
        house.apply(&change);
        assert_eq!((house.signs().kid.clone(), house.signs().times.is_published(house.now)), (kid(1), true));
    }

    #[test]
    fn a_pair_planned_by_the_version_before_waits_until_it_was_seen() {
        let mut house = House::new();
        let at = EPOCH + DAY * 30;
        house.keys[0].times.sign_until = Some(at);
        house.keys[0].times.publish_until = Some(at + Duration::HOUR * 3);
        house.keys[1].times.sign_from = Some(at);
        assert!(matches!(&house.steps()[..], [Step::Postpone { .. }]));
        house.pass(DAY * 2);
        assert_eq!((house.keys[0].times.sign_until, house.keys[1].times.sign_from), (Some(at), Some(at)));
    }

    #[test]
    fn of_two_replicas_with_one_plan_the_second_finds_the_keys_changed() {
        let mut house = House::new();
        house.now += DAY * 2;
        for key in &mut house.keys {
            (key.times.seen_from, key.times.seen_until) = (Some(EPOCH), Some(house.now));
        }
        let steps = plan(&house.keys, &house.schedule, house.now);
        let change = steps[0].change(&house.schedule, house.now);
        house.apply(&change);
        let again = change.apply(&house.keys, house.now, |_| unreachable!());
        assert_eq!(again, Err(Outdated(kid(0))));
        assert_eq!(plan(&house.keys, &house.schedule, house.now), []);
    }

    /// What may happen to an issuer.
    #[derive(Debug, Clone)]
    enum Happening {
        Pass { hours: i64 },
        LookMisses { nth: usize },
        Blind { hours: i64 },
        Rotate,
        Prepare(KeyKind),
        Distrust { nth: usize },
        ReplaceAll,
        Renumber { hours: u32 },
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            6 => (1i64..800).prop_map(|hours| Happening::Pass { hours }),
            2 => (0usize..5).prop_map(|nth| Happening::LookMisses { nth }),
            1 => (1i64..800).prop_map(|hours| Happening::Blind { hours }),
            2 => Just(Happening::Rotate),
            2 => prop::sample::select(KeyKind::ALL.to_vec()).prop_map(Happening::Prepare),
            1 => (0usize..5).prop_map(|nth| Happening::Distrust { nth }),
            1 => Just(Happening::ReplaceAll),
            1 => (25u32..100).prop_map(|hours| Happening::Renumber { hours }),
        ]
    }

    fn happen(house: &mut House, happening: &Happening) {
        let now = house.now;
        match happening {
            Happening::Pass { hours } => house.pass(Duration::hours(*hours)),
            Happening::LookMisses { nth } => {
                let mut listed: Vec<_> = published(&house.keys, now).into_iter().map(|key| key.kid.clone()).collect();
                listed.remove(nth % listed.len());
                let seen = sighting(&house.keys, &listed, now);
                house.apply(&seen);
            }
            Happening::Blind { hours } => {
                for _ in 0..*hours {
                    house.now += Duration::HOUR;
                    house.steps();
                }
            }
            Happening::Rotate => {
                if let Ok(step) = rotate_now(&house.keys, &house.schedule, now) {
                    house.apply(&step.change(&house.schedule, now));
                }
            }
            Happening::Prepare(kind) => {
                if let Ok(change) = prepare(&house.keys, &house.schedule, *kind, now) {
                    house.apply(&change);
                    assert_eq!(standby(&house.keys, now).unwrap().kind, *kind);
                }
            }
            Happening::Distrust { nth } => {
                let kid = house.keys[nth % house.keys.len()].kid.clone();
                if let Ok(done) = distrust(&house.keys, &house.schedule, &kid, now) {
                    house.apply(&done.change);
                    assert!(published(&house.keys, now).iter().all(|key| key.kid != kid));
                    assert!(done.successor.is_none_or(|successor| house.signs().kid == successor));
                }
            }
            Happening::ReplaceAll => {
                let before: Vec<_> = house.keys.iter().map(|key| key.kid.clone()).collect();
                let done = replace_all(&house.keys, &house.schedule, KeyKind::Rsa3072, now);
                house.apply(&done.change);
                assert_eq!(published(&house.keys, now).len(), 2);
                assert!(published(&house.keys, now).iter().all(|key| !before.contains(&key.kid)));
            }
            Happening::Renumber { hours } => {
                let numbers = ScheduleNumbers { publish_before_sign: hours * 3600, ..ScheduleNumbers::default() };
                let new = KeySchedule::new(numbers, Development::Off).unwrap();
                let change = renumber(&house.keys, &new, now);
                house.apply(&change);
                house.schedule = new;
            }
        }
        house.steps();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn threat_16_whatever_happens_exactly_one_key_signs_and_no_verifier_lacks_it(
            happenings in prop::collection::vec(happening(), 1..24)
        ) {
            let mut house = House::new();
            house.settle();
            let mut forced = Vec::new();
            for happening in &happenings {
                happen(&mut house, happening);
                let signs = house.signs().clone();
                let alive = house.keys.iter().filter(|key| key.times.is_alive(house.now)).count();
                prop_assert!(alive <= KEYS_MAX);
                if matches!(happening, Happening::Distrust { .. } | Happening::ReplaceAll) {
                    forced.push(signs.kid.clone());
                }
                // Whoever signs unforced was published for the wait that every accepted schedule has at least.
                let waited = signs.times.sign_from.unwrap() - signs.times.publish_from;
                prop_assert!(signs.first || forced.contains(&signs.kid) || waited >= Duration::hours(25), "{signs:?}");
                // What signed before stays while its tokens may live.
                for key in house.keys.iter().filter(|key| key.times.revoked_at.is_none() && !key.times.is_withdrawn()) {
                    if let (Some(until), Some(gone)) = (key.times.sign_until, key.times.publish_until) {
                        prop_assert!(gone - until >= Duration::seconds(7570));
                    }
                }
            }
        }
    }
}
