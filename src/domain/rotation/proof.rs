//! Whether a forecast leaves any verifier without the key of a token that it may meet.
//!
//! It knows nothing of the rules by which the forecast was made: it takes tokens and verifiers and looks.

use time::{Duration, OffsetDateTime};

use super::forecast::{KeyRef, Span};
use crate::domain::key_schedule::{KeySchedule, STS_TOLERANCE};
use crate::domain::lifetime::LIFETIME_MAX;

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// How many keys sign in the time that was looked at.
    pub turns: usize,
    /// How old a verifier's copy of the JWKS may be: max-age, and how far an exported copy may lag.
    pub oldest_copy: Duration,
    /// How long after its signature a token may be verified: the longest lifetime, and AWS's tolerance.
    pub longest_life: Duration,
    /// How many pairs of a token and a copy were tried.
    pub tried: u64,
    /// The pairs that fail; none where the forecast is sound.
    pub gaps: Vec<Gap>,
}

/// A verifier that meets a token whose key its copy of the JWKS lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The token's key.
    pub key: KeyRef,
    /// When the token was signed.
    pub signed_at: OffsetDateTime,
    /// As of when the verifier's copy is.
    pub copy_of: OffsetDateTime,
}

/// Tries every token that `spans` will sign from `now` to `until` on every copy of the JWKS that a verifier may hold
/// while the token lives.
///
/// Time is walked in milliseconds, as the database keeps it, and only where anything changes: at the first and the last
/// signature of each turn, also by replicas whose clocks or snapshots are as far off as the schedule allows, on the
/// oldest and the newest copy and on those just before and just after each key comes or goes. Between two of these
/// instants nothing differs, so nothing between them is missed.
pub fn prove(spans: &[Span], schedule: &KeySchedule, now: OffsetDateTime, until: OffsetDateTime) -> Proof {
    let numbers = schedule.numbers();
    let seconds = |number: u32| Duration::seconds(i64::from(number));
    let oldest_copy = seconds(numbers.max_age) + seconds(numbers.export_lag) + seconds(numbers.clock_error);
    let longest_life = seconds(LIFETIME_MAX) + seconds(STS_TOLERANCE);
    let late = seconds(numbers.oldest_snapshot) + schedule.clock_slack();
    let mut proof = Proof { turns: 0, oldest_copy, longest_life, tried: 0, gaps: Vec::new() };
    for span in spans.iter().filter(|span| span.times.revoked_at.is_none() && !span.times.is_withdrawn()) {
        let Some(begins) = span.times.sign_from.filter(|from| *from < until) else { continue };
        let ends = span.times.sign_until.map_or(until, |end| end + late);
        if ends <= now {
            continue;
        }
        proof.turns += 1;
        // A replica whose clock is ahead begins early.
        let begins = (begins - seconds(numbers.clock_error)).max(now);
        for signed_at in [begins, ends.min(until + late)] {
            let (first, last) = (signed_at - oldest_copy, signed_at + longest_life);
            for copy_of in changes(spans).chain([first, last]).filter(|at| (first..=last).contains(at)) {
                proof.tried += 1;
                if !lists(span, copy_of) {
                    proof.gaps.push(Gap { key: span.key.clone(), signed_at, copy_of });
                }
            }
        }
    }
    proof
}

/// The instants at which any key comes or goes, and those just before.
fn changes(spans: &[Span]) -> impl Iterator<Item = OffsetDateTime> {
    let instants = |span: &Span| [Some(span.times.publish_from), span.times.publish_until].into_iter().flatten();
    spans.iter().flat_map(instants).flat_map(|at| [at - Duration::MILLISECOND, at])
}

/// Whether the JWKS lists the key of `span` as of `at`. A key that was made with its issuer is in every JWKS there ever
/// was: nobody holds one from before.
fn lists(span: &Span, at: OffsetDateTime) -> bool {
    (span.first || span.times.publish_from <= at) && span.times.publish_until.is_none_or(|until| at < until)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, EPOCH, House};
    use super::super::{distrust, spans};
    use super::*;
    use crate::domain::issuer_url::Development;
    use crate::domain::key_schedule::ScheduleNumbers;
    use proptest::prelude::*;

    #[test]
    fn threat_16_ten_years_of_the_default_schedule_leave_no_verifier_behind() {
        let house = House::new();
        let until = EPOCH + DAY * 3650;
        let ahead = spans(&house.keys, &house.schedule, EPOCH, until);
        let proof = prove(&ahead, &house.schedule, EPOCH, until);
        assert_eq!((proof.turns, proof.gaps.len()), (122, 0));
        assert!(proof.tried > 4 * 122, "{}", proof.tried);
        assert_eq!(proof.oldest_copy, Duration::seconds(3600 + 3600 + 5));
    }

    #[test]
    fn threat_16_without_either_wait_the_proof_finds_who_fails() {
        let until = EPOCH + DAY * 200;
        for (broken, early) in [
            (ScheduleNumbers { publish_before_sign: 3600, ..ScheduleNumbers::default() }, true),
            (ScheduleNumbers { keep_after_sign: 3600, ..ScheduleNumbers::default() }, false),
        ] {
            let house = House::new();
            let short = KeySchedule::new(broken, Development::On).unwrap();
            let mut ahead = spans(&house.keys, &short, EPOCH, until);
            if early {
                // A standby waits a whole turn; one that must not, because it was asked for late, shows the wait itself.
                for span in ahead.iter_mut().filter(|span| !span.first) {
                    let signs = span.times.sign_from.unwrap_or(until);
                    span.times.publish_from = signs - Duration::seconds(i64::from(broken.publish_before_sign));
                }
            }
            let proof = prove(&ahead, &short, EPOCH, until);
            let gap = proof.gaps.first().unwrap();
            assert_eq!(gap.copy_of < gap.signed_at, early, "{gap:?}");
        }
    }

    #[test]
    fn a_forced_hand_over_is_a_gap_until_the_last_copy_without_the_key_is_too_old() {
        let mut house = House::new();
        house.settle();
        let first = house.signs().kid.clone();
        house.now += DAY;
        let change = distrust(&house.keys, &house.schedule, &first, house.now).unwrap().change;
        house.apply(&change);
        house.settle();
        let second = house.signs().kid.clone();
        house.now += Duration::HOUR;
        let change = distrust(&house.keys, &house.schedule, &second, house.now).unwrap().change;
        house.apply(&change);
        house.settle();
        let gaps = |now| {
            let until = now + DAY * 100;
            prove(&spans(&house.keys, &house.schedule, now, until), &house.schedule, now, until).gaps
        };
        let forced = gaps(house.now);
        assert!(forced.iter().all(|gap| gap.key == KeyRef::Made(house.signs().kid.clone())), "{forced:?}");
        assert!(!forced.is_empty());
        assert_eq!(gaps(house.now + Duration::HOUR * 3), []);
    }

    proptest! {
        #[test]
        fn threat_16_the_walk_misses_nothing_that_every_second_of_every_age_would_show(
            publish in 1u32..40, keep in 1u32..40, period in 30u32..90, max_age in 0u32..12, lag in 0u32..6
        ) {
            // Minutes instead of days, so that every second can be tried; the life of a token cannot be shortened.
            let numbers = ScheduleNumbers {
                max_age: max_age * 60,
                export_lag: lag * 60,
                clock_error: 5,
                oldest_snapshot: 60,
                publish_before_sign: publish * 60,
                keep_after_sign: 3900 + keep * 60,
                rotation_period: period * 60,
            };
            let house = House::new();
            let schedule = KeySchedule::new(numbers, Development::On).unwrap();
            let until = EPOCH + Duration::HOUR * 6;
            let mut ahead = spans(&house.keys, &schedule, EPOCH, until);
            for span in ahead.iter_mut().filter(|span| !span.first) {
                let wait = Duration::minutes(i64::from(publish));
                span.times.publish_from = span.times.sign_from.map_or(until, |signs| signs - wait);
            }
            let proof = prove(&ahead, &schedule, EPOCH, until);
            let seconds = |from: OffsetDateTime, to: OffsetDateTime| {
                (0..=(to - from).whole_seconds().max(0)).map(move |second| from + Duration::seconds(second))
            };
            let mut fails = false;
            for span in ahead.iter().filter(|span| span.times.sign_from.is_some_and(|from| from < until)) {
                let from = (span.times.sign_from.unwrap() - Duration::seconds(5)).max(EPOCH);
                let to = span.times.sign_until.map_or(until, |end| end + Duration::seconds(70)).min(until);
                for signed_at in seconds(from, to).step_by(7).chain([to]) {
                    let ages = [proof.oldest_copy, proof.oldest_copy / 2, Duration::ZERO, -proof.longest_life];
                    fails |= ages.iter().any(|age| !lists(span, signed_at - *age));
                }
            }
            prop_assert!(!fails || !proof.gaps.is_empty(), "the walk missed a gap");
            let rules = publish * 60 >= numbers.max_age + numbers.export_lag + 10 && keep * 60 >= 70;
            prop_assert!(!rules || proof.gaps.is_empty(), "{:?}", proof.gaps);
        }
    }
}
