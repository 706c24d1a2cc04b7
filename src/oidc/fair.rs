//! A bounded map in which nobody can push out what others use.

use std::collections::HashMap;
use std::hash::Hash;

use crate::domain::id::TeamUid;

/// At most so many entries. Where one more comes, one of the team that has brought the most goes: of those the one used
/// the longest ago. So a team that names thousands of issuers only ever pushes out its own (threat 24).
pub(super) struct Fair<K, V> {
    entries: HashMap<K, Entry<V>>,
    most: usize,
    uses: u64,
}

struct Entry<V> {
    value: V,
    /// Who brought it. Others may use it too; when it goes, whoever needs it next brings it back.
    team: TeamUid,
    used: u64,
}

impl<K: Clone + Eq + Hash, V> Fair<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most, uses: 0 }
    }

    /// What is there, which counts as a use.
    pub(super) fn get(&mut self, key: &K) -> Option<&V> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        entry.used = self.uses;
        Some(&entry.value)
    }

    /// Puts in what `team` brings.
    pub(super) fn put(&mut self, key: K, team: &TeamUid, value: V) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.uses += 1;
        self.entries.insert(key, Entry { value, team: team.clone(), used: self.uses });
    }

    fn make_room(&mut self) {
        let mut held: HashMap<&TeamUid, usize> = HashMap::new();
        for entry in self.entries.values() {
            *held.entry(&entry.team).or_default() += 1;
        }
        let most = held.values().copied().max().unwrap_or_default();
        let greediest = self.entries.iter().filter(|(_, entry)| held.get(&entry.team) == Some(&most));
        if let Some(key) = greediest.min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone()) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(uid: &str) -> TeamUid {
        TeamUid::parse(uid).unwrap()
    }

    #[test]
    fn threat_24_a_team_that_brings_thousands_pushes_out_its_own_alone() {
        let mut fair = Fair::new(10);
        for n in 0..3 {
            fair.put(n, &team("modest"), "kept");
        }
        for n in 100..5000 {
            fair.put(n, &team("greedy"), "floods");
            assert!(fair.entries.len() <= 10);
        }
        assert!((0..3).all(|n| fair.get(&n).copied() == Some("kept")));
        let left: Vec<_> = (100..5000).filter(|n| fair.get(n).is_some()).collect();
        assert_eq!(left, (4993..5000).collect::<Vec<_>>(), "of its own, those used last");
        // A newcomer has room at once, at the cost of whoever has the most.
        fair.put(9000, &team("new"), "new");
        assert!(fair.get(&9000).is_some() && (0..3).all(|n| fair.get(&n).is_some()));
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_a_change_takes_no_room() {
        let mut fair = Fair::new(2);
        fair.put(1, &team("a1"), 1);
        fair.put(2, &team("b1"), 1);
        fair.put(1, &team("a1"), 2);
        let mut get = |key| fair.get(&key).copied();
        assert_eq!((get(2), get(1)), (Some(1), Some(2)));
        fair.put(3, &team("c1"), 1);
        let mut get = |key| fair.get(&key).copied();
        assert_eq!((get(2), get(1), get(3)), (None, Some(2), Some(1)));
    }
}
