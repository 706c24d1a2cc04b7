//! Turns at something of which only so much is done at once. They go line by line: however many of one key wait, the
//! first of another comes before the second of them.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::lines::Lines;

/// After how many that came into one line it is looked through for those who have left it.
const LOOK_AFTER: usize = 128;

/// Who does it now, and who waits for it. Cheap to clone.
#[derive(Debug)]
pub struct Turns<K: Eq + Hash + Clone>(Arc<Mutex<State<K>>>);

#[derive(Debug)]
struct State<K: Eq + Hash + Clone> {
    /// Turns that nobody has; none while somebody waits.
    free: usize,
    lines: Lines<K, oneshot::Sender<Turn<K>>>,
}

/// A turn, given on when dropped.
#[derive(Debug)]
pub struct Turn<K: Eq + Hash + Clone>(Turns<K>);

impl<K: Eq + Hash + Clone> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// So many at once, and at least one.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: at_once.max(1), lines: Lines::default() })))
    }

    /// Waits for the turn of `key`. Dropped meanwhile, it has none. How many wait is for whoever lets in to bound.
    pub async fn take(&self, key: &K) -> Turn<K> {
        loop {
            let comes = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return Turn(self.clone());
                }
                let (turn, comes) = oneshot::channel();
                if (state.lines.waiting_of(key) + 1).is_multiple_of(LOOK_AFTER) {
                    state.lines.retain(key, |turn| !turn.is_closed());
                }
                state.lines.push(key, turn);
                comes
            };
            // Nobody takes one that waits out of its line, but to give it its turn.
            if let Ok(turn) = comes.await {
                return turn;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing in there panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let Some((_, next)) = state.lines.next(|_| true, |next| !next.is_closed()) else {
            state.free += 1;
            return;
        };
        drop(state);
        // Outside the lock, because one whose taker has left at this very moment is dropped here, and goes on.
        drop(next.send(Self(self.0.clone())));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;

    fn waits(turns: &Turns<&'static str>, key: &'static str) -> BoxFuture<'static, Turn<&'static str>> {
        let turns = turns.clone();
        let mut taking = async move { turns.take(&key).await }.boxed();
        assert!(taking.as_mut().now_or_never().is_none(), "{key} does not wait");
        taking
    }

    fn free(turns: &Turns<&'static str>) -> (usize, usize) {
        let state = turns.state();
        (state.free, state.lines.waiting())
    }

    #[tokio::test]
    async fn threat_24_so_many_at_once_and_the_lines_take_turns() {
        let turns = Turns::new(2);
        let mut had = [turns.take(&"red").await, turns.take(&"red").await];
        let mut lines: Vec<_> = ["red", "red", "red", "blue", "blue", "green"]
            .map(|key| waits(&turns, key))
            .into_iter()
            .enumerate()
            .collect();
        let mut order = Vec::new();
        while !lines.is_empty() {
            let (other, done) = had.into();
            drop(done);
            let come = lines.iter_mut().enumerate().find_map(|(at, (_, taking))| Some((at, taking.now_or_never()?)));
            let (at, turn) = come.unwrap();
            order.push(lines.remove(at).0);
            had = [turn, other];
        }
        assert_eq!(order, [0, 3, 5, 1, 4, 2]);
        drop(had);
        assert_eq!(free(&turns), (2, 0));
    }

    #[tokio::test]
    async fn who_has_left_does_not_make_the_line_longer_for_ever() {
        let turns = Turns::new(1);
        let first = turns.take(&"red").await;
        let stays = waits(&turns, "red");
        (0..10 * LOOK_AFTER).for_each(|_| drop(waits(&turns, "red")));
        assert!(free(&turns).1 < LOOK_AFTER);
        drop(first);
        drop(stays.now_or_never().unwrap());
        assert_eq!(free(&turns), (1, 0));
    }

    #[tokio::test]
    async fn who_has_left_takes_no_turn_and_none_is_lost() {
        let turns = Turns::new(1);
        let first = turns.take(&"red").await;
        drop(waits(&turns, "red"));
        let (given, mut next) = (waits(&turns, "red"), waits(&turns, "red"));
        drop(first);
        // It has its turn, and has gone before it knows.
        drop(given);
        assert!(next.as_mut().now_or_never().is_some());
        drop(next);
        assert_eq!(free(&turns), (1, 0));
    }
}
