//! A predictable source of randomness, the twin of the one that unit tests use.

use std::sync::atomic::{AtomicU64, Ordering};

use brevet::domain::entropy::Entropy;

/// SplitMix64 from a seed: the same bytes in every run, so that snapshots need no redaction.
pub(crate) struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The source that `seed` determines.
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
