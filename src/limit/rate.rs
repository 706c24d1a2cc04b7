//! How often: a rate and a burst for each of many keys.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock, QuantaInstant, Reference as _};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Slots that keys are spread over. Two keys in one slot share its rate, which happens to one pair in 262144;
/// in return no flood of new keys can fill the memory, and nothing needs to be swept.
const SLOTS: u64 = 1 << 18;

/// So many a minute, and so many at once before that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
}

/// A text that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be <per minute> or <per minute>/<burst>, whole numbers of at least 1, such as 600 or 600/100")]
pub struct RateError;

impl Rate {
    /// Puts the two numbers together; none of them may be zero.
    pub fn new(per_minute: u32, burst: u32) -> Result<Self, RateError> {
        let number = |n| NonZeroU32::new(n).ok_or(RateError);
        Ok(Self { per_minute: number(per_minute)?, burst: number(burst)? })
    }

    /// The same of numbers that stand in the code: a zero counts as one.
    pub const fn at_least_one(per_minute: u32, burst: u32) -> Self {
        const fn number(n: u32) -> NonZeroU32 {
            match NonZeroU32::new(n) {
                Some(n) => n,
                None => NonZeroU32::MIN,
            }
        }
        Self { per_minute: number(per_minute), burst: number(burst) }
    }

    /// Parses `600` (the burst is the same) or `600/100`.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let number = |text: &str| text.parse().map_err(|_| RateError);
        let (rate, burst) = text.split_once('/').unwrap_or((text, text));
        Self::new(number(rate)?, number(burst)?)
    }

    /// This rate, but no more than `most` a minute and at once.
    #[must_use]
    pub fn at_most(self, most: u32) -> Self {
        let least = |n: NonZeroU32| NonZeroU32::new(most).map_or(n, |most| n.min(most));
        Self { per_minute: least(self.per_minute), burst: least(self.burst) }
    }

    const fn quota(self) -> Quota {
        Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_minute, self.burst)
    }
}

/// Too often; in so many whole seconds there is room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {retry_after} s")]
pub struct Limited {
    /// Whole seconds, at least 1.
    pub retry_after: u64,
}

/// One rate for each key. It measures with the monotonic clock, which nobody can set back.
pub struct KeyedRate {
    limiter: DefaultKeyedRateLimiter<u32>,
    clock: DefaultClock,
    hasher: RandomState,
}

impl KeyedRate {
    /// Every key may do `rate`.
    pub fn new(rate: Rate) -> Self {
        Self {
            limiter: RateLimiter::keyed(rate.quota()),
            clock: DefaultClock::default(),
            // Keyed at random, so that nobody can choose to share another's slot.
            hasher: RandomState::new(),
        }
    }

    fn slot(&self, key: &impl Hash) -> u32 {
        u32::try_from(self.hasher.hash_one(key) % SLOTS).unwrap_or_default()
    }

    /// Counts one for `key`, where there is room.
    pub fn take(&self, key: &impl Hash) -> Result<(), Limited> {
        self.limiter.check_key(&self.slot(key)).map_err(|until| {
            let wait: Duration = until.wait_time_from(self.clock.now());
            Limited { retry_after: (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1) }
        })
    }
}

/// A [`KeyedRate`] that can be looked at before there is anything to count: who was refused stays refused until there is
/// room again, so that what would find out whether to count is not even begun.
pub struct GuardedRate {
    rate: KeyedRate,
    start: QuantaInstant,
    /// For each slot, until when it is refused, in milliseconds since `start`.
    until: Box<[AtomicU64]>,
}

impl GuardedRate {
    /// Every key may do `rate`.
    pub fn new(rate: Rate) -> Self {
        let rate = KeyedRate::new(rate);
        let start = rate.clock.now();
        Self { rate, start, until: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Counts one for `key`, where there is room.
    pub fn take(&self, key: &impl Hash) -> Result<(), Limited> {
        self.rate.take(key).inspect_err(|limited| {
            if let Some(until) = self.until.get(self.rate.slot(key) as usize) {
                until.fetch_max(self.now() + limited.retry_after * 1000, Ordering::Relaxed);
            }
        })
    }

    /// Whether `key` was refused and there is no room yet. Counts nothing.
    pub fn peek(&self, key: &impl Hash) -> Result<(), Limited> {
        let until = self.until.get(self.rate.slot(key) as usize).map_or(0, |until| until.load(Ordering::Relaxed));
        match until.saturating_sub(self.now()) {
            0 => Ok(()),
            left => Err(Limited { retry_after: left.div_ceil(1000) }),
        }
    }

    fn now(&self) -> u64 {
        self.rate.clock.now().duration_since(self.start).as_u64() / 1_000_000
    }
}

impl fmt::Debug for GuardedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardedRate")
    }
}

impl fmt::Debug for KeyedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedRate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_24_each_key_has_its_own_burst_and_is_told_when_to_come_back() {
        let rate = KeyedRate::new(Rate::new(1, 2).unwrap());
        assert_eq!(rate.take(&"a"), Ok(()));
        assert_eq!(rate.take(&"a"), Ok(()));
        let limited = rate.take(&"a").unwrap_err();
        assert!((1..=60).contains(&limited.retry_after), "{limited:?}");
        assert_eq!(rate.take(&"b"), Ok(()));
    }

    #[test]
    fn threat_41_who_was_refused_is_refused_at_a_look_and_a_look_counts_nothing() {
        let rate = GuardedRate::new(Rate::new(1, 2).unwrap());
        for _ in 0..10 {
            assert_eq!(rate.peek(&"a"), Ok(()));
        }
        assert_eq!((rate.take(&"a"), rate.take(&"a"), rate.peek(&"a")), (Ok(()), Ok(()), Ok(())));
        assert!(rate.take(&"a").is_err());
        assert!((1..=60).contains(&rate.peek(&"a").unwrap_err().retry_after));
        assert_eq!(rate.peek(&"b"), Ok(()));
    }

    #[test]
    fn a_flood_of_keys_is_bounded_in_memory() {
        let rate = KeyedRate::new(Rate::new(1, 1).unwrap());
        for key in 0..600_000_u32 {
            let _ = rate.take(&key);
        }
        assert!(u64::try_from(rate.limiter.len()).unwrap() <= SLOTS);
    }

    #[test]
    fn a_rate_is_written_as_it_is_read() {
        assert_eq!(Rate::parse("600").map(|rate| rate.to_string()).as_deref(), Ok("600/600"));
        assert_eq!(Rate::parse("600/50").map(|rate| rate.to_string()).as_deref(), Ok("600/50"));
        assert_eq!(Rate::at_least_one(600, 0).to_string(), "600/1");
        for bad in ["", "0", "5/0", "-1", "1.5", "1/2/3", "many", "99999999999"] {
            assert_eq!(Rate::parse(bad), Err(RateError), "{bad}");
        }
    }
}
