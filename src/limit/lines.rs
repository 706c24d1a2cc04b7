//! Lines that take turns: however long one of them is, the first of another comes before its second.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What waits, in a line for each key. Keeps nothing of a key whose line is empty.
#[derive(Debug)]
pub struct Lines<K, T> {
    by_key: HashMap<K, VecDeque<T>>,
    /// The keys that have a line, the next one first.
    turns: VecDeque<K>,
    waiting: usize,
}

impl<K, T> Default for Lines<K, T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<K: Eq + Hash + Clone, T> Lines<K, T> {
    /// How many wait, in all lines.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The keys that have a line, the next one first.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.turns.iter()
    }

    /// How many wait in the line of `key`.
    pub fn waiting_of(&self, key: &K) -> usize {
        self.by_key.get(key).map_or(0, VecDeque::len)
    }

    /// Puts `item` at the end of the line of `key`. A new line has its turn after all others.
    pub fn push(&mut self, key: &K, item: T) {
        self.waiting += 1;
        if let Some(line) = self.by_key.get_mut(key) {
            line.push_back(item);
        } else {
            self.by_key.insert(key.clone(), VecDeque::from([item]));
            self.turns.push_back(key.clone());
        }
    }

    /// The first of the next line that `may` go on; its other ones wait for their line's next turn, and a line that may
    /// not goes behind all others. Whoever does not
    /// `stand` any more is left out, and costs its line no turn.
    pub fn next(&mut self, may: impl Fn(&K) -> bool, stands: impl Fn(&T) -> bool) -> Option<(K, T)> {
        for _ in 0..self.turns.len() {
            let key = self.turns.pop_front()?;
            if !may(&key) {
                self.turns.push_back(key);
                continue;
            }
            let Some(line) = self.by_key.get_mut(&key) else { continue };
            let before = line.len();
            let first = std::iter::from_fn(|| line.pop_front()).find(|item| stands(item));
            self.waiting -= before - line.len();
            if line.is_empty() {
                self.by_key.remove(&key);
            } else {
                self.turns.push_back(key.clone());
            }
            if let Some(first) = first {
                return Some((key, first));
            }
        }
        None
    }

    /// Takes whatever does not `stay` out of the line of `key`.
    pub fn retain(&mut self, key: &K, stay: impl Fn(&T) -> bool) {
        let Some(line) = self.by_key.get_mut(key) else { return };
        let before = line.len();
        line.retain(stay);
        self.waiting -= before - line.len();
        if line.is_empty() {
            self.by_key.remove(key);
            self.turns.retain(|turn| turn != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sound<K: Eq + Hash + Ord + Copy + std::fmt::Debug, T>(lines: &Lines<K, T>) {
        assert_eq!(lines.by_key.values().map(VecDeque::len).sum::<usize>(), lines.waiting);
        let mut turns: Vec<_> = lines.turns.iter().copied().collect();
        turns.sort_unstable();
        let mut keys: Vec<_> = lines.by_key.keys().copied().collect();
        keys.sort_unstable();
        assert_eq!(turns, keys);
        assert!(lines.by_key.values().all(|line| !line.is_empty()));
    }

    #[test]
    fn threat_24_the_first_of_a_line_comes_before_the_second_of_another() {
        let mut lines = Lines::default();
        for item in 0..5 {
            lines.push(&"red", item);
        }
        lines.push(&"blue", 10);
        lines.push(&"green", 20);
        lines.push(&"blue", 11);
        let order: Vec<_> = std::iter::from_fn(|| lines.next(|_| true, |_| true)).map(|(_, item)| item).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3, 4]);
        assert_eq!(lines.waiting(), 0);
    }

    #[test]
    fn who_may_not_go_on_stays_in_line_and_holds_nobody_up() {
        let mut lines = Lines::default();
        for (key, item) in [("red", 0), ("red", 1), ("blue", 10), ("blue", 11)] {
            lines.push(&key, item);
        }
        let not_red = |key: &&str| *key != "red";
        assert_eq!(lines.next(not_red, |_| true), Some(("blue", 10)));
        assert_eq!(lines.next(not_red, |_| true), Some(("blue", 11)));
        assert_eq!(lines.next(not_red, |_| true), None);
        assert_eq!((lines.next(|_| true, |_| true), lines.waiting_of(&"red")), (Some(("red", 0)), 1));
    }

    #[test]
    fn whoever_has_left_costs_its_line_no_turn() {
        let mut lines = Lines::default();
        for (key, item) in [("red", 0), ("red", 1), ("red", 2), ("blue", 10), ("green", 20)] {
            lines.push(&key, item);
        }
        let next = |lines: &mut Lines<_, _>, gone: &[i32]| lines.next(|_| true, |item| !gone.contains(item));
        assert_eq!(next(&mut lines, &[0, 1]), Some(("red", 2)));
        assert_eq!(lines.waiting(), 2);
        assert_eq!(next(&mut lines, &[10]), Some(("green", 20)));
        assert_eq!((next(&mut lines, &[]), lines.waiting()), (None, 0));
        sound(&lines);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_kept_or_out_of_order(steps in prop::collection::vec((0_u8..4, 0_u8..4), 0..200)) {
            let (mut lines, mut next) = (Lines::default(), 0_u32);
            let (mut pushed, mut came) = (Vec::<(u8, u32)>::new(), Vec::<(u8, u32)>::new());
            for (step, key) in steps {
                match step {
                    0 | 1 => {
                        lines.push(&key, next);
                        pushed.push((key, next));
                        next += 1;
                    }
                    2 => came.extend(lines.next(|other| *other != key, |_| true)),
                    _ => {
                        lines.retain(&key, |item| item % 2 == 0);
                        pushed.retain(|(of, item)| *of != key || item % 2 == 0 || came.contains(&(*of, *item)));
                    }
                }
                sound(&lines);
            }
            came.extend(std::iter::from_fn(|| lines.next(|_| true, |_| true)));
            sound(&lines);
            for key in 0..4 {
                let of = |all: &[(u8, u32)]| all.iter().filter(|(of, _)| *of == key).copied().collect::<Vec<_>>();
                prop_assert_eq!(of(&pushed), of(&came));
            }
        }
    }
}
