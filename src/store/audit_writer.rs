//! Group commit: one task writes all audit rows; a batch forms while the one before it commits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Store;
use super::audit_batch::{self, Verdict};
use super::audit_counted::Counted;
use super::audit_entry::{Entry, Release};
use super::error::StoreError;
use crate::domain::audit::Event;

/// Most rows of one commit.
const BATCH_MAX: usize = 256;
/// Most rows that wait; beyond it the queue says so at once.
pub const QUEUE_MAX: usize = 4096;
/// How often counted refusals are looked at while nothing else is written.
const SWEEP: Duration = Duration::from_secs(10);

/// Too many audit rows wait: answer 503 and let the caller come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit queue is full")]
pub struct QueueFull;

/// Where audit rows go. Cheap to clone; all clones share one writer.
#[derive(Debug, Clone)]
pub struct AuditWriter {
    queue: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// How the writer does, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditStats {
    /// Rows that wait now.
    pub queued: usize,
    /// Rows of the newest batch.
    pub last_batch: usize,
    /// Batches tried so far.
    pub batches: u64,
    /// Rows committed so far.
    pub committed: u64,
    /// Releases found not alive, or of an exhausted run, so far.
    pub not_alive: u64,
    /// Rows that could not be written so far.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Shared {
    counted: Mutex<Counted>,
    stop: CancellationToken,
    tasks: TaskTracker,
    last_batch: AtomicUsize,
    batches: AtomicU64,
    committed: AtomicU64,
    not_alive: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Job {
    entry: Entry,
    answer: oneshot::Sender<Result<Verdict, StoreError>>,
}

/// The promise of an answer about one row. Dropping it does not take the row back.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Verdict, StoreError>>);

impl Ticket {
    /// Waits until the row is committed, or is known not to be. After an error the row may or may not be there;
    /// no token may leave.
    pub async fn committed(self) -> Result<Verdict, StoreError> {
        let stopped = StoreError::Unavailable("the audit writer has stopped".to_owned());
        self.0.await.unwrap_or(Err(stopped))
    }
}

impl AuditWriter {
    /// Starts the writer on the current runtime.
    pub fn start(store: Store) -> Self {
        Self::with_capacity(store, QUEUE_MAX)
    }

    /// The same with another bound than [`QUEUE_MAX`].
    pub fn with_capacity(store: Store, capacity: usize) -> Self {
        let (queue, jobs) = mpsc::channel(capacity);
        let shared = Arc::new(Shared::default());
        shared.tasks.spawn(run(store, jobs, Arc::clone(&shared)));
        shared.tasks.close();
        Self { queue, shared }
    }

    /// Queues the row of a token, to be written only if its proof still holds. Call it before signing, and let
    /// nothing out before the ticket says [`Verdict::Released`].
    pub fn release(&self, Release { event, proof }: Release) -> Result<Ticket, QueueFull> {
        self.enqueue(Entry { event, proof: Some(proof) })
    }

    /// Queues any other row of a known caller.
    pub fn append(&self, event: Event) -> Result<Ticket, QueueFull> {
        self.enqueue(Entry { event, proof: None })
    }

    /// Counts a refusal of nobody known: one row per action, reason, address and minute, written when its minute
    /// is over. Never waits.
    pub fn append_counted(&self, event: Event) {
        self.shared.counted().add(event, Instant::now());
    }

    fn enqueue(&self, entry: Entry) -> Result<Ticket, QueueFull> {
        let (answer, ticket) = oneshot::channel();
        self.queue.try_send(Job { entry, answer }).map_err(|_| QueueFull)?;
        Ok(Ticket(ticket))
    }

    /// How the writer does.
    pub fn stats(&self) -> AuditStats {
        let Shared { last_batch, batches, committed, not_alive, failed, .. } = &*self.shared;
        AuditStats {
            queued: self.queue.max_capacity() - self.queue.capacity(),
            last_batch: last_batch.load(Ordering::Relaxed),
            batches: batches.load(Ordering::Relaxed),
            committed: committed.load(Ordering::Relaxed),
            not_alive: not_alive.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// Takes no more rows, writes what waits (counted refusals too) and returns when all is committed.
    pub async fn drain(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        // Counts stay whole across a panic elsewhere.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(store: Store, mut jobs: mpsc::Receiver<Job>, shared: Arc<Shared>) {
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let received = tokio::select! {
            biased;
            () = shared.stop.cancelled(), if !jobs.is_closed() => { jobs.close(); continue }
            received = jobs.recv_many(&mut batch, BATCH_MAX) => received,
            _ = sweep.tick() => { write_counted(&store, &shared, false).await; continue }
        };
        if received == 0 {
            return write_counted(&store, &shared, true).await;
        }
        write_jobs(&store, &shared, batch.drain(..)).await;
        if jobs.is_empty() {
            write_counted(&store, &shared, false).await;
        }
    }
}

async fn write_jobs(store: &Store, shared: &Shared, jobs: impl Iterator<Item = Job>) {
    let (entries, answers): (Vec<_>, Vec<_>) = jobs.map(|job| (job.entry, job.answer)).unzip();
    shared.last_batch.store(entries.len(), Ordering::Relaxed);
    for (verdict, answer) in store.write_audit(&entries, shared).await.into_iter().zip(answers) {
        // Whoever asked may have gone; the row stands.
        let _ = answer.send(verdict);
    }
}

async fn write_counted(store: &Store, shared: &Shared, all: bool) {
    let due = shared.counted().take(Instant::now(), all);
    let entries: Vec<_> = due.into_iter().map(|event| Entry { event, proof: None }).collect();
    for chunk in entries.chunks(BATCH_MAX) {
        let verdicts = store.write_audit(chunk, shared).await;
        let failed = chunk.iter().zip(verdicts).filter(|(_, verdict)| is_worth_another_try(verdict));
        for (entry, _) in failed.filter(|_| !all) {
            shared.counted().add(entry.event.clone(), Instant::now());
        }
    }
}

fn is_worth_another_try(verdict: &Result<Verdict, StoreError>) -> bool {
    verdict.as_ref().is_err_and(StoreError::is_retryable)
}

impl Store {
    /// Writes `entries` in one transaction. If the database refuses the batch, each row is tried alone, so that
    /// a bad one fails nobody but itself; if the database is away, all have failed.
    async fn write_audit(&self, entries: &[Entry], shared: &Shared) -> Vec<Result<Verdict, StoreError>> {
        let mut verdicts = self.write_audit_batch(entries).await;
        if entries.len() > 1 && matches!(verdicts, Err(StoreError::Refused(_))) {
            let mut alone = Vec::with_capacity(entries.len());
            for entry in entries {
                alone.push(self.write_audit_batch(std::slice::from_ref(entry)).await.map(|verdicts| verdicts[0]));
            }
            return count(shared, alone);
        }
        let verdicts = match &mut verdicts {
            Ok(verdicts) => verdicts.drain(..).map(Ok).collect(),
            Err(error) => entries.iter().map(|_| Err(error.clone())).collect(),
        };
        count(shared, verdicts)
    }

    async fn write_audit_batch(&self, entries: &[Entry]) -> Result<Vec<Verdict>, StoreError> {
        let mut tx = self.db.begin_batch().await?;
        let verdicts = audit_batch::write_counted(&mut tx, entries).await?;
        tx.commit().await?;
        Ok(verdicts)
    }
}

fn count(shared: &Shared, verdicts: Vec<Result<Verdict, StoreError>>) -> Vec<Result<Verdict, StoreError>> {
    shared.batches.fetch_add(1, Ordering::Relaxed);
    for verdict in &verdicts {
        let counter = match verdict {
            Ok(Verdict::Released) => &shared.committed,
            Ok(Verdict::NotAlive | Verdict::RunExhausted) => &shared.not_alive,
            Err(_) => &shared.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    verdicts
}
