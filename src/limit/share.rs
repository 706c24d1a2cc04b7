//! How much of something one of many may hold at once, so that nobody takes all of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admission::Busy;

/// A bounded whole, of which each key holds a bounded part. Its memory is bounded by what is held.
#[derive(Debug)]
pub struct Shares<K: Eq + Hash> {
    most: usize,
    each: usize,
    held: Arc<Mutex<Held<K>>>,
}

#[derive(Debug)]
struct Held<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// What one holds, given back when dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash + Clone> {
    shares: Shares<K>,
    key: K,
    amount: usize,
}

impl<K: Eq + Hash> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { most: self.most, each: self.each, held: Arc::clone(&self.held) }
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// `most` in all, and `each` for one key.
    pub fn new(most: usize, each: usize) -> Self {
        Self { most, each, held: Arc::new(Mutex::new(Held { total: 0, by_key: HashMap::new() })) }
    }

    /// Takes `amount` for `key`, or says that it is not there. Nobody waits for it.
    pub fn take(&self, key: &K, amount: usize) -> Result<Share<K>, Busy> {
        let mut share = Share { shares: self.clone(), key: key.clone(), amount: 0 };
        share.more(amount)?;
        Ok(share)
    }

    fn held(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Share<K> {
    /// Takes `amount` more; where it is not there, what is held stays held.
    pub fn more(&mut self, amount: usize) -> Result<(), Busy> {
        let mut held = self.shares.held();
        let own = held.by_key.get(&self.key).copied().unwrap_or_default();
        if held.total.saturating_add(amount) > self.shares.most || own.saturating_add(amount) > self.shares.each {
            return Err(Busy);
        }
        held.total += amount;
        if own + amount > 0 {
            held.by_key.insert(self.key.clone(), own + amount);
        }
        drop(held);
        self.amount += amount;
        Ok(())
    }
}

impl<K: Eq + Hash + Clone> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        held.total -= self.amount;
        if let Some(own) = held.by_key.get_mut(&self.key) {
            *own -= self.amount;
            if *own == 0 {
                held.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_24_one_key_leaves_the_others_their_share_and_nothing_is_kept_of_whoever_left() {
        let shares = Shares::new(10, 6);
        let mut red = shares.take(&"red", 4).unwrap();
        red.more(2).unwrap();
        assert!(red.more(1).is_err() && shares.take(&"red", 1).is_err());
        let blue = shares.take(&"blue", 4).unwrap();
        assert!(shares.take(&"green", 1).is_err());
        drop(red);
        let held = || {
            let held = shares.held();
            (held.total, held.by_key.len())
        };
        assert_eq!(held(), (4, 1));
        assert!(shares.take(&"green", 6).is_ok());
        drop(blue);
        assert_eq!(held(), (0, 0));
    }
}
