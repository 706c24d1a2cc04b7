//! How long a signing key waits before it signs and stays after it has: the arithmetic of rotation.
//!
//! A verifier that fetched the JWKS just before a key was published may use that copy for a whole max-age,
//! and an exported copy may lag behind; a token signed at a key's last instant lives on. The rules make sure
//! that no verifier ever meets a token whose key it cannot have. Numbers that break one are refused with the
//! arithmetic, so that an operator sees what to raise.

use std::fmt;

use time::{Duration, OffsetDateTime};

use super::issuer_url::Development;
use super::lifetime::LIFETIME_MAX;
use super::signing_key::KeyTimes;

/// How long AWS STS still takes a token after its `exp`, in seconds.
pub const STS_TOLERANCE: u32 = 300;
const DAY: u32 = 86_400;

/// The numbers of a schedule, in seconds. They live in the issuer's row, not in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleNumbers {
    /// `max-age` of the public documents.
    pub max_age: u32,
    /// How far a statically exported JWKS may lag behind.
    pub export_lag: u32,
    /// How far a replica's clock may be off the database's.
    pub clock_error: u32,
    /// The oldest snapshot of the keys a replica may sign with.
    pub oldest_snapshot: u32,
    /// From publication to the first signature.
    pub publish_before_sign: u32,
    /// From the last signature to the end of publication.
    pub keep_after_sign: u32,
    /// From one first signature to the next.
    pub rotation_period: u32,
}

impl Default for ScheduleNumbers {
    fn default() -> Self {
        Self {
            max_age: 3600,
            export_lag: 3600,
            clock_error: 5,
            oldest_snapshot: 60,
            publish_before_sign: 25 * 3600,
            keep_after_sign: 3 * 3600,
            rotation_period: 30 * DAY,
        }
    }
}

impl ScheduleNumbers {
    /// The version of these numbers: the same numbers have the same, wherever and whenever they are read.
    ///
    /// Other things change an issuer's row too, so a count of its changes would refuse a change of the numbers that
    /// nobody has touched. FNV-1a over the numbers in order, without the sign: versions count from 0.
    pub fn version(&self) -> i64 {
        let Self {
            max_age,
            export_lag,
            clock_error,
            oldest_snapshot,
            publish_before_sign,
            keep_after_sign,
            rotation_period,
        } = *self;
        let numbers =
            [max_age, export_lag, clock_error, oldest_snapshot, publish_before_sign, keep_after_sign, rotation_period];
        let bytes = numbers.into_iter().flat_map(u32::to_be_bytes);
        let hash = bytes.fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        (hash >> 1).cast_signed()
    }

    /// Whether an issuer keeps working with them, which has nothing to do with verifiers: documents that are asked for
    /// a hundred times an hour, and clocks and readings that replicas can be held to.
    pub fn within_bounds(&self, development: Development) -> Result<(), OutOfBounds> {
        let strict = development == Development::Off;
        let (age, snapshot) = if strict { (60, 10) } else { (1, 1) };
        for (number, given, least, most) in [
            (ScheduleNumber::MaxAge, self.max_age, age, DAY),
            (ScheduleNumber::ClockError, self.clock_error, 1, 60),
            (ScheduleNumber::OldestSnapshot, self.oldest_snapshot, snapshot, 3600),
        ] {
            if !(least..=most).contains(&given) {
                return Err(OutOfBounds { number, least, most });
            }
        }
        Ok(())
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A schedule whose numbers keep every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySchedule(ScheduleNumbers);

/// A number that breaks a rule, with the arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{number}_seconds is {given} and must be at least {needed}: {sum}")]
pub struct ScheduleError {
    /// Which number.
    pub number: ScheduleNumber,
    /// What it is.
    pub given: u32,
    /// What it must be at least.
    pub needed: u64,
    /// Where that comes from.
    pub sum: String,
}

/// A number with which the issuer would not keep working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number}_seconds must be from {least} to {most}")]
pub struct OutOfBounds {
    /// Which number.
    pub number: ScheduleNumber,
    /// The least it may be.
    pub least: u32,
    /// The most it may be.
    pub most: u32,
}

/// The numbers that rules bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleNumber {
    /// `max-age` of the public documents.
    MaxAge,
    /// How far a replica's clock may be off the database's.
    ClockError,
    /// The oldest snapshot of the keys a replica may sign with.
    OldestSnapshot,
    /// From publication to the first signature.
    PublishBeforeSign,
    /// From the last signature to the end of publication.
    KeepAfterSign,
    /// From one first signature to the next.
    RotationPeriod,
}

impl fmt::Display for ScheduleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxAge => "max_age",
            Self::ClockError => "clock_error",
            Self::OldestSnapshot => "oldest_snapshot",
            Self::PublishBeforeSign => "publish_before_sign",
            Self::KeepAfterSign => "keep_after_sign",
            Self::RotationPeriod => "rotation_period",
        })
    }
}

impl KeySchedule {
    /// Checks the rules. Only development may shorten the waits: there every verifier is ours, and restarts.
    pub fn new(numbers: ScheduleNumbers, development: Development) -> Result<Self, ScheduleError> {
        if development == Development::Off {
            let n = &numbers;
            let wide = |number: u32| u64::from(number);
            let (age, lag, clock) = (wide(n.max_age), wide(n.export_lag), wide(n.clock_error));
            at_least(
                ScheduleNumber::PublishBeforeSign,
                n.publish_before_sign,
                wide(DAY).max(2 * (age + lag)) + clock,
                || format!("max({DAY}, 2 x ({age} max-age + {lag} export lag)) + {clock} clock error"),
            )?;
            at_least(
                ScheduleNumber::KeepAfterSign,
                n.keep_after_sign,
                wide(LIFETIME_MAX) + wide(STS_TOLERANCE) + age + wide(n.oldest_snapshot) + 2 * clock,
                || {
                    let snapshot = n.oldest_snapshot;
                    format!(
                        "{LIFETIME_MAX} longest token + {STS_TOLERANCE} AWS tolerance + {age} max-age + {snapshot} oldest snapshot + 2 x {clock} clock error"
                    )
                },
            )?;
            let (publish, keep) = (wide(n.publish_before_sign), wide(n.keep_after_sign));
            at_least(ScheduleNumber::RotationPeriod, n.rotation_period, publish + keep, || {
                format!("{publish} published before signing + {keep} kept after it")
            })?;
        }
        Ok(Self(numbers))
    }

    /// The schedule of numbers as a row tells them: they were checked when they were written.
    pub const fn stored(numbers: ScheduleNumbers) -> Self {
        Self(numbers)
    }

    /// How often the public `jwks_uri` is looked at: often enough for the lead time to be told with some precision,
    /// once a minute in production.
    pub fn look_every(&self) -> Duration {
        (seconds(self.0.publish_before_sign) / 8_i32).clamp(Duration::milliseconds(250), Duration::MINUTE)
    }

    /// The numbers.
    pub const fn numbers(&self) -> &ScheduleNumbers {
        &self.0
    }

    /// The instants of an issuer's first key and first standby, made in one transaction at `now`. The first
    /// signs at once, because no verifier can hold an older JWKS, and until a hand-over is planned.
    pub const fn first_pair(now: OffsetDateTime) -> (KeyTimes, KeyTimes) {
        let standby = KeyTimes::published(now);
        (KeyTimes { sign_from: Some(now), ..standby }, standby)
    }

    /// How far ahead a hand-over is planned at least: every replica that signs has read of it by then.
    pub fn handover_lead(&self) -> Duration {
        seconds(self.0.oldest_snapshot) + self.clock_slack()
    }

    /// How far two replicas' clocks may be apart.
    pub fn clock_slack(&self) -> Duration {
        seconds(self.0.clock_error) * 2
    }

    /// The earliest end of a key's turn that began at `sign_from`.
    pub fn turn_until(&self, sign_from: OffsetDateTime) -> OffsetDateTime {
        sign_from + seconds(self.0.rotation_period)
    }

    /// Until when a verifier that honours max-age may go on with a JWKS that it fetched before `now`, from the
    /// issuer itself.
    pub fn cached_until(&self, now: OffsetDateTime) -> OffsetDateTime {
        now + seconds(self.0.max_age)
    }

    /// The same of a verifier that fetched from an exported copy.
    pub fn exported_until(&self, now: OffsetDateTime) -> OffsetDateTime {
        self.cached_until(now) + seconds(self.0.export_lag) + seconds(self.0.clock_error)
    }

    /// The earliest instant at which a later key, published from `publish_from`, may sign.
    pub fn may_sign_from(&self, publish_from: OffsetDateTime) -> OffsetDateTime {
        publish_from + seconds(self.0.publish_before_sign)
    }

    /// The earliest instant at which a key that signs until `sign_until` may leave the JWKS.
    pub fn keep_until(&self, sign_until: OffsetDateTime) -> OffsetDateTime {
        sign_until + seconds(self.0.keep_after_sign)
    }
}

fn at_least(
    number: ScheduleNumber,
    given: u32,
    needed: u64,
    sum: impl FnOnce() -> String,
) -> Result<(), ScheduleError> {
    if u64::from(given) >= needed { Ok(()) } else { Err(ScheduleError { number, given, needed, sum: sum() }) }
}

fn seconds(number: u32) -> Duration {
    Duration::seconds(i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(change: impl FnOnce(&mut ScheduleNumbers)) -> Result<KeySchedule, ScheduleError> {
        let mut numbers = ScheduleNumbers::default();
        change(&mut numbers);
        KeySchedule::new(numbers, Development::Off)
    }

    #[test]
    fn the_defaults_keep_every_rule() {
        assert!(schedule(|_| ()).is_ok());
    }

    #[test]
    fn a_number_is_refused_one_second_short_of_its_rule_with_the_arithmetic() {
        assert!(schedule(|n| n.publish_before_sign = 86_405).is_ok());
        assert_eq!(
            schedule(|n| n.publish_before_sign = 86_404).unwrap_err().to_string(),
            "publish_before_sign_seconds is 86404 and must be at least 86405: \
             max(86400, 2 x (3600 max-age + 3600 export lag)) + 5 clock error"
        );
        assert!(schedule(|n| n.keep_after_sign = 7570).is_ok());
        assert_eq!(
            schedule(|n| n.keep_after_sign = 7569).unwrap_err().to_string(),
            "keep_after_sign_seconds is 7569 and must be at least 7570: 3600 longest token + 300 AWS tolerance + \
             3600 max-age + 60 oldest snapshot + 2 x 5 clock error"
        );
        assert!(schedule(|n| n.rotation_period = 100_800).is_ok());
        assert_eq!(
            schedule(|n| n.rotation_period = 100_799).unwrap_err().to_string(),
            "rotation_period_seconds is 100799 and must be at least 100800: \
             90000 published before signing + 10800 kept after it"
        );
        // A long max-age overtakes the day, and needs nothing of 32 bits to hold.
        let long = schedule(|n| n.max_age = u32::MAX).unwrap_err();
        assert_eq!((long.number, long.needed), (ScheduleNumber::PublishBeforeSign, 8_589_941_795));
    }

    #[test]
    fn only_development_shortens_the_waits() {
        let short =
            ScheduleNumbers { publish_before_sign: 1, keep_after_sign: 1, rotation_period: 2, ..Default::default() };
        assert!(KeySchedule::new(short, Development::Off).is_err());
        assert!(KeySchedule::new(short, Development::On).is_ok());
    }

    #[test]
    fn a_version_is_that_of_the_numbers_and_any_other_number_has_another() {
        let default = ScheduleNumbers::default();
        assert_eq!(default.version(), ScheduleNumbers::default().version());
        let mut versions = vec![default.version()];
        let changes: [fn(&mut ScheduleNumbers); 7] = [
            |n| n.max_age += 1,
            |n| n.export_lag += 1,
            |n| n.clock_error += 1,
            |n| n.oldest_snapshot += 1,
            |n| n.publish_before_sign += 1,
            |n| n.keep_after_sign += 1,
            |n| n.rotation_period += 1,
        ];
        for change in changes {
            let mut numbers = default;
            change(&mut numbers);
            versions.push(numbers.version());
        }
        // Max-age and export lag are alike: which of them a number is counts too.
        versions.push(ScheduleNumbers { max_age: 3601, export_lag: 3599, ..default }.version());
        assert!(versions.iter().all(|version| *version >= 0));
        versions.sort_unstable();
        versions.dedup();
        assert_eq!(versions.len(), 9);
    }

    #[test]
    fn an_issuer_keeps_working_within_bounds_that_development_widens() {
        let bounds = |change: fn(&mut ScheduleNumbers), development| {
            let mut numbers = ScheduleNumbers::default();
            change(&mut numbers);
            numbers.within_bounds(development).map_err(|refused| refused.to_string())
        };
        for development in [Development::Off, Development::On] {
            assert_eq!(bounds(|_| (), development), Ok(()));
            assert!(bounds(|n| n.max_age = 86_401, development).is_err());
            assert!(bounds(|n| n.clock_error = 0, development).is_err());
            assert!(bounds(|n| n.oldest_snapshot = 3_601, development).is_err());
        }
        let short: fn(&mut ScheduleNumbers) = |n| (n.max_age, n.oldest_snapshot) = (2, 2);
        assert_eq!(bounds(short, Development::On), Ok(()));
        assert_eq!(bounds(short, Development::Off), Err("max_age_seconds must be from 60 to 86400".to_owned()));
    }

    proptest! {
        /// Any verifier: it fetched the JWKS of an export at some instant and keeps it for max-age, its clock
        /// and the replicas' somewhat off. Whatever key signs, in any schedule that is accepted, it knows it.
        #[test]
        fn threat_16_no_verifier_meets_a_token_whose_key_its_copy_lacks(
            max_age in 0u32..200_000, export_lag in 0u32..200_000, clock_error in 0u32..300, oldest_snapshot in 0u32..3_600,
            extra in 0u32..10_000, used in 0.0f64..1.0, skew in -1.0f64..1.0, lifetime in 60u32..=3600,
        ) {
            let publish_before_sign = DAY.max(2 * (max_age + export_lag)) + clock_error + extra;
            let keep_after_sign = 3600 + 300 + max_age + oldest_snapshot + 2 * clock_error + extra;
            let numbers = ScheduleNumbers {
                max_age, export_lag, clock_error, oldest_snapshot, publish_before_sign, keep_after_sign,
                rotation_period: publish_before_sign + keep_after_sign,
            };
            let schedule = KeySchedule::new(numbers, Development::Off).unwrap();
            let published = OffsetDateTime::UNIX_EPOCH;
            let off = seconds(clock_error) * skew;
            // The first token, by a replica whose clock runs ahead, against the stalest copy there can be.
            let signed = schedule.may_sign_from(published) + off;
            let fetched = signed - seconds(max_age) * used;
            prop_assert!(fetched - seconds(export_lag) >= published);
            // The last token, signed on the oldest snapshot, shown at its last instant to a fresh fetch.
            let last = OffsetDateTime::UNIX_EPOCH + seconds(oldest_snapshot) + off;
            let shown = last + seconds(lifetime) + seconds(STS_TOLERANCE) + off;
            prop_assert!(shown <= schedule.keep_until(OffsetDateTime::UNIX_EPOCH));
        }

        #[test]
        fn of_the_first_pair_one_signs_and_both_are_published_until_a_hand_over_is_planned(after in 0i64..200 * 86_400) {
            use crate::domain::signing_key::KeyState::{Active, Next};
            let now = OffsetDateTime::UNIX_EPOCH;
            let (first, standby) = KeySchedule::first_pair(now);
            let then = now + Duration::seconds(after);
            prop_assert_eq!((first.state(then), standby.state(then)), (Active, Next));
            prop_assert!(first.is_published(then) && standby.is_published(then));
        }
    }
}
