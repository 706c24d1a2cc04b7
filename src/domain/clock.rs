//! The seam through which time comes in.

use std::sync::{Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

/// Tells the time. Handed in at construction; domain functions take a plain `now` instead.
pub trait Clock: Send + Sync {
    /// The current instant, in UTC.
    fn now(&self) -> OffsetDateTime;

    /// How long this clock has run, as the host's monotonic clock has it: nobody sets that one, so the two part where
    /// somebody sets the first. Only differences mean anything.
    fn elapsed(&self) -> Duration;
}

/// A clock that stands until it is moved: for tests, which must not wait.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

#[derive(Debug, Clone, Copy)]
struct Hands {
    now: OffsetDateTime,
    elapsed: Duration,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub const fn new(now: OffsetDateTime) -> Self {
        Self(Mutex::new(Hands { now, elapsed: Duration::ZERO }))
    }

    /// Sets it to `now`, back as well as forth, as somebody sets a host's clock: no time passes.
    pub fn set(&self, now: OffsetDateTime) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now = now;
    }

    /// Lets `duration` pass; sets it back where that is negative.
    pub fn advance(&self, duration: Duration) {
        let mut hands = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hands.now += duration;
        hands.elapsed += duration.max(Duration::ZERO);
    }

    fn hands(&self) -> Hands {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        self.hands().now
    }

    fn elapsed(&self) -> Duration {
        self.hands().elapsed
    }
}
