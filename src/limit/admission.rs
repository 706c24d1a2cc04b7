//! How much work is in flight at once: what waits is bounded, and the rest is told to come back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places. Nobody queues for one: a queue in front of a saturated signer only makes everyone late.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Semaphore>);

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// All places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are in flight")]
pub struct Busy;

impl Admission {
    /// As many places as `places`, at least one.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Takes a place or says that there is none.
    pub fn enter(&self) -> Result<Place, Busy> {
        Arc::clone(&self.0).try_acquire_owned().map(Place).map_err(|_| Busy)
    }

    /// Places that are free now.
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_24_a_full_house_refuses_at_once_and_a_place_comes_back() {
        let admission = Admission::new(2);
        let one = admission.enter().unwrap();
        let _two = admission.enter().unwrap();
        assert_eq!(admission.enter().err(), Some(Busy));
        drop(one);
        assert!(admission.enter().is_ok());
    }
}
