//! Audit rows that wait to be written: which of them are the next batch, and for how long it waits for more.
//!
//! A commit costs nearly as much for one row as for many. So a batch waits a moment while many are on the way with
//! another row, and never for long; it goes at once where few are, where it is full, and where a team waits that had none
//! of the last rows: those that mint without end delay nobody who does not.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::limit::lines::Lines;

/// How long a batch waits for company.
const COMPANY: Duration = Duration::from_millis(1);
/// Rows on the way that are worth the wait: fewer come from a house in which nobody waits long to sign, and where a
/// larger batch would only be one more thing to wait for.
const MANY: usize = 16;
/// A team that had none of so many last rows waits for nobody's company. Counted in rows and not in batches: after a small
/// batch most teams would be new, and the next one small again.
const RECENT: usize = 64;

/// Too many audit rows wait: answer 503 and let the caller come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit queue is full")]
pub struct QueueFull;

/// Rows that wait, in a line for each team (`K`).
#[derive(Debug)]
pub(super) struct Queue<K, T> {
    waiting: Mutex<Waiting<K, T>>,
    /// Rows that somebody has said to be on the way.
    announced: AtomicUsize,
    /// Told with each row.
    queued: Notify,
    /// Told with whatever ends the wait for company.
    enough: Notify,
    /// Most rows of one batch.
    batch_max: usize,
    company: Duration,
}

#[derive(Debug)]
struct Waiting<K, T> {
    lines: Lines<K, T>,
    capacity: usize,
    served: Served<K>,
}

/// Whose the last rows were, the oldest first, and how many of them each has.
#[derive(Debug)]
struct Served<K> {
    rows: VecDeque<K>,
    of: HashMap<K, usize>,
    most: usize,
}

impl<K: Eq + Hash + Clone, T> Queue<K, T> {
    /// With room for `capacity` rows, to be written up to `batch_max` at once.
    pub(super) fn new(capacity: usize, batch_max: usize) -> Self {
        let served = Served { rows: VecDeque::new(), of: HashMap::new(), most: RECENT };
        let waiting = Waiting { lines: Lines::default(), capacity, served };
        Self {
            waiting: Mutex::new(waiting),
            announced: AtomicUsize::new(0),
            queued: Notify::new(),
            enough: Notify::new(),
            batch_max,
            company: COMPANY,
        }
    }

    /// Puts a row of `team` at the end of its line.
    pub(super) fn push(&self, team: &K, row: T) -> Result<(), QueueFull> {
        let enough = {
            let mut waiting = self.waiting();
            // No team has all of it: rows of refusals come without a place at the door.
            let most = waiting.capacity - waiting.capacity / 4;
            if waiting.lines.waiting() >= waiting.capacity || waiting.lines.waiting_of(team) >= most {
                return Err(QueueFull);
            }
            waiting.lines.push(team, row);
            waiting.served.is_new(team) || waiting.lines.waiting() >= self.batch_max
        };
        if enough {
            self.enough.notify_one();
        }
        self.queued.notify_one();
        Ok(())
    }

    /// Says that a row is on the way.
    pub(super) fn announce(&self) {
        self.announced.fetch_add(1, Ordering::Relaxed);
    }

    /// Says of one that was announced that it has come, or will not.
    pub(super) fn settled(&self) {
        if self.announced.fetch_sub(1, Ordering::Relaxed) == MANY {
            self.enough.notify_one();
        }
    }

    /// Returns when there may be a row.
    pub(super) async fn queued(&self) {
        self.queued.notified().await;
    }

    /// The next batch: of each line the first before the second of any. Empty where nothing waits.
    pub(super) async fn batch(&self) -> Vec<T> {
        let mut over = pin!(sleep(self.company));
        while self.is_worth_waiting() {
            tokio::select! {
                () = self.enough.notified() => {}
                () = &mut over => break,
            }
        }
        let mut waiting = self.waiting();
        let mut batch = Vec::new();
        while batch.len() < self.batch_max
            && let Some((team, row)) = waiting.lines.next(|_| true, |_| true)
        {
            waiting.served.note(team);
            batch.push(row);
        }
        batch
    }

    fn is_worth_waiting(&self) -> bool {
        let waiting = self.waiting();
        let rows = waiting.lines.waiting();
        (1..self.batch_max).contains(&rows)
            && waiting.capacity > 0
            && self.announced.load(Ordering::Relaxed) >= MANY
            && !waiting.lines.keys().any(|team| waiting.served.is_new(team))
    }

    /// Rows that wait now.
    pub(super) fn len(&self) -> usize {
        self.waiting().lines.waiting()
    }

    /// Lets no more in; no later batch waits for company.
    pub(super) fn close(&self) {
        self.waiting().capacity = 0;
    }

    /// The same, and drops what waits.
    pub(super) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut self.waiting().lines);
        drop(left);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K, T>> {
        // Nothing in there panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Served<K> {
    fn is_new(&self, team: &K) -> bool {
        !self.of.contains_key(team)
    }

    fn note(&mut self, team: K) {
        *self.of.entry(team.clone()).or_default() += 1;
        self.rows.push_back(team);
        while self.rows.len() > self.most
            && let Some(oldest) = self.rows.pop_front()
        {
            match self.of.get_mut(&oldest) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.of.remove(&oldest)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// It waits for company until somebody ends that, and has served `red` just before.
    fn queue() -> Queue<&'static str, u32> {
        let mut queue = Queue::new(100, 4);
        queue.company = Duration::from_hours(1);
        queue.push(&"red", 0).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![0]));
        queue
    }

    fn announce_many(queue: &Queue<&'static str, u32>) {
        (0..MANY).for_each(|_| queue.announce());
    }

    #[tokio::test]
    async fn a_batch_waits_for_no_company_where_few_are_on_the_way() {
        let queue = queue();
        assert_eq!(queue.batch().now_or_never(), Some(vec![]));
        announce_many(&queue);
        assert_eq!(queue.batch().now_or_never(), Some(vec![]));
        queue.settled();
        queue.push(&"red", 1).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![1]));
    }

    #[tokio::test]
    async fn a_batch_waits_for_many_that_are_on_the_way_until_they_have_come_or_gone_or_it_is_full() {
        let queue = queue();
        queue.push(&"red", 1).unwrap();
        announce_many(&queue);
        queue.announce();
        let mut batch = Box::pin(queue.batch());
        assert_eq!((&mut batch).now_or_never(), None);
        queue.push(&"red", 2).unwrap();
        queue.settled();
        assert_eq!((&mut batch).now_or_never(), None, "many are still on the way");
        queue.settled();
        assert_eq!(batch.now_or_never(), Some(vec![1, 2]));

        queue.announce();
        queue.push(&"red", 3).unwrap();
        let mut batch = Box::pin(queue.batch());
        for row in 4..6 {
            queue.push(&"red", row).unwrap();
            assert_eq!((&mut batch).now_or_never(), None);
        }
        queue.push(&"red", 6).unwrap();
        queue.push(&"red", 7).unwrap();
        assert_eq!(batch.now_or_never(), Some(vec![3, 4, 5, 6]));
        assert_eq!(queue.batch().now_or_never(), None, "one is left, and waits for company");
    }

    #[tokio::test]
    async fn threat_24_a_team_that_comes_anew_waits_for_nobodys_company() {
        let queue = queue();
        queue.waiting().served.most = 4;
        announce_many(&queue);
        queue.push(&"red", 1).unwrap();
        let mut batch = Box::pin(queue.batch());
        assert_eq!((&mut batch).now_or_never(), None);
        queue.push(&"blue", 10).unwrap();
        assert_eq!(batch.now_or_never(), Some(vec![1, 10]));
        // Whoever had one of the last four rows waits with the others.
        queue.push(&"green", 20).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![20]));
        queue.push(&"red", 2).unwrap();
        assert_eq!(queue.batch().now_or_never(), None);
        queue.push(&"black", 30).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![2, 30]));
        queue.push(&"pink", 60).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![60]));
        queue.push(&"blue", 11).unwrap();
        assert_eq!(queue.batch().now_or_never(), Some(vec![11]), "its last was five rows ago");
        // Whoever found no room in a batch is as new as before.
        for (name, row) in [("red", 3), ("blue", 12), ("black", 31), ("red", 4), ("white", 40)] {
            queue.push(&name, row).unwrap();
        }
        assert_eq!(queue.batch().now_or_never(), Some(vec![3, 12, 31, 40]));
        for (name, row) in [("red", 5), ("blue", 13), ("black", 32), ("white", 41), ("grey", 50)] {
            queue.push(&name, row).unwrap();
        }
        assert_eq!(queue.batch().now_or_never(), Some(vec![4, 13, 32, 41]));
        assert_eq!(queue.batch().now_or_never(), Some(vec![50, 5]), "red alone would have waited");
    }

    #[tokio::test]
    async fn nobody_waits_long_for_company() {
        let mut queue = queue();
        queue.company = COMPANY;
        announce_many(&queue);
        queue.push(&"red", 1).unwrap();
        assert_eq!(queue.batch().now_or_never(), None);
        assert_eq!(queue.batch().await, [1], "after a moment");
    }

    #[tokio::test]
    async fn who_is_let_in_no_more_waits_for_no_company() {
        let queue = queue();
        announce_many(&queue);
        queue.push(&"red", 1).unwrap();
        queue.close();
        assert_eq!(queue.batch().now_or_never(), Some(vec![1]));
        assert_eq!(queue.push(&"red", 2), Err(QueueFull));
    }
}
