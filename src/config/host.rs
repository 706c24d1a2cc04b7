//! The host's own clock and randomness: the one place that asks for them.

use std::sync::LazyLock;
use std::time::Instant;

use time::{Duration, OffsetDateTime};

use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;

/// The host's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam that the rule points to")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        Duration::try_from(BEGAN.elapsed()).unwrap_or(Duration::MAX)
    }
}

/// The operating system's randomness, through aws-lc's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the seam that the rule points to")]
    fn fill(&self, bytes: &mut [u8]) {
        if aws_lc_rs::rand::fill(bytes).is_err() {
            // Every secret made from here on would be guessable, and no caller could do better than stop.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_the_time_and_draws_different_bytes() {
        let (clock, entropy) = (SystemClock, SystemEntropy);
        assert!(clock.now().year() >= 2026);
        let (mut one, mut other) = ([0; 32], [0; 32]);
        entropy.fill(&mut one);
        entropy.fill(&mut other);
        assert_ne!(one, other);
        let now = clock.now();
        assert_eq!(entropy.uuid_v7(now).get_version_num(), 7);
        assert_ne!(entropy.uuid_v7(now), entropy.uuid_v7(now));
    }
}
