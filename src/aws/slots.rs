//! A bounded map that forgets what was used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// Keys and slots, with the order in which they were used.
pub(super) struct Slots<K, S> {
    by_key: HashMap<Arc<K>, (u64, S)>,
    order: BTreeMap<u64, Arc<K>>,
    used: u64,
    capacity: usize,
}

impl<K: Eq + Hash, S: Default> Slots<K, S> {
    /// A map of at most `capacity` slots.
    pub(super) fn new(capacity: usize) -> Self {
        Self { by_key: HashMap::new(), order: BTreeMap::new(), used: 0, capacity }
    }

    /// The slot of `key`, made where there is none, and now the one used last. Where that makes one too many, the
    /// longest unused of those that `may_go` is forgotten.
    pub(super) fn using(&mut self, key: &K, may_go: impl Fn(&S) -> bool) -> &mut S
    where
        K: Clone,
    {
        self.used += 1;
        let used = self.used;
        let known = self.by_key.get_key_value(key).map(|(key, (last, _))| (key.clone(), *last));
        let key = if let Some((key, last)) = known {
            self.order.remove(&last);
            key
        } else {
            if self.by_key.len() >= self.capacity {
                self.forget_one(may_go);
            }
            Arc::new(key.clone())
        };
        self.order.insert(used, key.clone());
        let (last, slot) = self.by_key.entry(key).or_default();
        *last = used;
        slot
    }

    /// The slot of `key`, without using it.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut S> {
        self.by_key.get_mut(key).map(|(_, slot)| slot)
    }

    /// Forgets every slot that `keep` does not keep.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K, &mut S) -> bool) {
        let order = &mut self.order;
        self.by_key.retain(|key, (last, slot)| {
            let stays = keep(key, slot);
            if !stays {
                order.remove(last);
            }
            stays
        });
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn forget_one(&mut self, may_go: impl Fn(&S) -> bool) {
        let goes = |key: &Arc<K>| self.by_key.get(key).is_some_and(|(_, slot)| may_go(slot));
        if let Some(oldest) = self.order.iter().find(|(_, key)| goes(key)).map(|(last, _)| *last)
            && let Some(key) = self.order.remove(&oldest)
        {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_unused_that_may_go_is_forgotten() {
        let mut slots: Slots<u8, bool> = Slots::new(3);
        for key in [1, 2, 3] {
            slots.using(&key, |pinned| !pinned);
        }
        *slots.get(&2).unwrap() = true;
        slots.using(&1, |pinned| !pinned);
        // Used in the order 2, 3, 1; 2 may not go.
        slots.using(&4, |pinned| !pinned);
        assert!(slots.get(&3).is_none() && slots.get(&2).is_some() && slots.get(&1).is_some());
        slots.retain(|key, _| *key != 2);
        assert_eq!((slots.len(), slots.order.len()), (2, 2));
    }

    proptest! {
        #[test]
        fn it_is_bounded_and_its_order_names_each_slot_once(keys in proptest::collection::vec(0u8..20, 0..200)) {
            let mut slots: Slots<u8, ()> = Slots::new(7);
            for key in keys {
                slots.using(&key, |()| true);
                prop_assert!(slots.get(&key).is_some());
                prop_assert!(slots.len() <= 7);
                prop_assert_eq!(slots.len(), slots.order.len());
            }
        }
    }
}
