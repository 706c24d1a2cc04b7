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
