//! The clock of tests, standing at one instant until moved.

use brevet::domain::clock::ManualClock;
use time::OffsetDateTime;
use time::macros::datetime;

/// Where every test's clock stands at first, so that snapshots need no redaction.
pub(crate) const START: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

/// A clock that stands at [`START`].
pub(crate) fn clock() -> ManualClock {
    ManualClock::new(START)
}
