//! A small memory of what was lately read from the store.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Remembers values for a short while, at most so many. Only for what something later proves again: whoever
/// reads from here must not rely on it.
pub(super) struct Recent<K, V> {
    entries: Mutex<HashMap<K, (V, Instant)>>,
    keep: Duration,
    most: usize,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) fn new(keep: Duration, most: usize) -> Self {
        Self { entries: Mutex::default(), keep, most }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let entries = self.entries();
        let (value, since) = entries.get(key)?;
        (since.elapsed() < self.keep).then(|| value.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut entries = self.entries();
        if entries.len() >= self.most {
            entries.retain(|_, (_, since)| since.elapsed() < self.keep);
        }
        // All of them fresh: start over rather than grow. The next requests read the store once each.
        if entries.len() >= self.most {
            entries.clear();
        }
        entries.insert(key, (value, Instant::now()));
    }

    pub(super) fn forget(&self, key: &K) {
        self.entries().remove(key);
    }

    pub(super) fn forget_where(&self, is_meant: impl Fn(&V) -> bool) {
        self.entries().retain(|_, (value, _)| !is_meant(value));
    }

    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_in_time_on_demand_and_when_full() {
        let long = Recent::new(Duration::from_hours(1), 3);
        for key in 0..3 {
            long.put(key, key);
        }
        assert_eq!((long.get(&0), long.get(&2), long.get(&9)), (Some(0), Some(2), None));
        long.forget(&0);
        assert_eq!(long.get(&0), None);
        long.put(3, 3);
        long.put(4, 4);
        assert!(long.entries().len() <= 3);
        assert_eq!(long.get(&4), Some(4));
        long.clear();
        assert_eq!(long.get(&4), None);
        let short = Recent::new(Duration::ZERO, 3);
        short.put(1, 1);
        assert_eq!(short.get(&1), None);
    }
}
