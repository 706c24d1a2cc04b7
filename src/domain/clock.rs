//! The seam through which time comes in.

use time::OffsetDateTime;

/// Tells the time. Handed in at construction; domain functions take a plain `now` instead.
pub trait Clock: Send + Sync {
    /// The current instant, in UTC.
    fn now(&self) -> OffsetDateTime;
}
