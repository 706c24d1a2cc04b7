//! The seam through which randomness comes in.

use time::OffsetDateTime;
use uuid::Uuid;

/// A source of random bytes. Handed in at construction; in production the operating system's.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with unpredictable bytes. Never fails: a host without randomness must stop.
    fn fill(&self, bytes: &mut [u8]);

    /// A UUIDv7 of the millisecond of `now` (RFC 9562, section 5.7), the rest random.
    fn uuid_v7(&self, now: OffsetDateTime) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// A predictable source for unit tests. It is not compiled into the product, so that nothing there can be
/// handed it by mistake; `tests/support/entropy.rs` is its twin for integration tests.
#[cfg(test)]
pub(crate) mod seeded {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Entropy;

    /// SplitMix64 from a seed: the same bytes in every run.
    pub(crate) struct SeededEntropy(AtomicU64);

    impl SeededEntropy {
        pub(crate) const fn new(seed: u64) -> Self {
            Self(AtomicU64::new(seed))
        }
    }

    impl Entropy for SeededEntropy {
        fn fill(&self, bytes: &mut [u8]) {
            const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
            for chunk in bytes.chunks_mut(8) {
                let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
            }
        }
    }
}
