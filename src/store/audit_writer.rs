//! Group commit: one task writes all audit rows; a batch forms while the one before it commits, and may wait a moment for
//! more (`audit_queue`).
//!
//! A batch is bounded, because whoever comes next waits for all of it, and teams take turns in it: however many rows of
//! one team wait, the first of another goes before its second. Rows of no team stand in one line.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Store;
use super::audit_batch::{self, Verdict};
use super::audit_counted::Counted;
use super::audit_entry::{Entry, Release};
use super::audit_queue::{Queue, QueueFull};
use super::autocommit::Kept;
use super::db::Db;
use super::error::StoreError;
use crate::domain::audit::Event;
use crate::domain::id::TeamUid;

/// Most rows of one commit on PostgreSQL, which may wait for other hosts and takes as long for one row as for many. On
/// SQLite it is one statement's: there each row adds to how long it takes.
const POSTGRES_BATCH_MAX: usize = 64;
/// Most rows that wait; beyond it the queue says so at once.
pub const QUEUE_MAX: usize = 4096;
/// How often counted refusals are looked at while nothing else is written.
const SWEEP: Duration = Duration::from_secs(10);

/// Where audit rows go. Cheap to clone; all clones share one writer.
#[derive(Debug, Clone)]
pub struct AuditWriter {
    shared: Arc<Shared>,
    /// The writer ends with the last clone.
    _stop: Arc<DropGuard>,
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

#[derive(Debug)]
struct Shared {
    /// Rows of no team stand in one line.
    queue: Queue<Option<TeamUid>, Job>,
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

/// A row that is on the way.
#[derive(Debug)]
#[must_use = "a row is announced for as long as this is kept"]
pub struct Announced(Arc<Shared>);

impl Drop for Announced {
    fn drop(&mut self) {
        self.0.queue.settled();
    }
}

impl AuditWriter {
    /// Starts the writer on the current runtime.
    pub fn start(store: Store) -> Self {
        Self::with_capacity(store, QUEUE_MAX)
    }

    /// The same with another bound than [`QUEUE_MAX`].
    pub fn with_capacity(store: Store, capacity: usize) -> Self {
        let (writer, work) = Self::new(store, capacity);
        tokio::spawn(work);
        writer
    }

    /// Starts it on a thread and a runtime of its own, the only one of its store: between the steps of a batch it would
    /// else wait each time behind all that the requests have to do, and everybody who waits for the batch with it.
    ///
    /// It has begun a first transaction when this returns; an error is the database's, or the system's where it gives no
    /// thread.
    pub async fn start_apart(store: Store) -> Result<Self, StoreError> {
        let refused = |error: io::Error| StoreError::Unavailable(format!("no thread for the audit log: {error}"));
        let (writer, work) = Self::new(store.clone(), QUEUE_MAX);
        let (tell, told) = oneshot::channel();
        let run = move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(refused(error)))),
            };
            runtime.block_on(async {
                let tried = async { store.db.begin_batch().await?.roll_back().await };
                if tell.send(tried.await).is_ok() {
                    work.await;
                }
            });
        };
        thread::Builder::new().name("audit".to_owned()).spawn(run).map_err(refused)?;
        let stopped = || StoreError::Unavailable("the audit writer did not start".to_owned());
        told.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(writer)
    }

    fn new(store: Store, capacity: usize) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::new(Shared {
            queue: Queue::new(capacity, batch_max(&store.db)),
            counted: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            last_batch: AtomicUsize::default(),
            batches: AtomicU64::default(),
            committed: AtomicU64::default(),
            not_alive: AtomicU64::default(),
            failed: AtomicU64::default(),
        });
        let work = shared.tasks.track_future(run(store, Writing(Arc::clone(&shared))));
        shared.tasks.close();
        let stop = Arc::new(shared.stop.clone().drop_guard());
        (Self { shared, _stop: stop }, work)
    }

    /// Says that a row of a token is on the way, for as long as what this returns is kept: a batch that is about to be
    /// written may wait for it, a millisecond or two.
    pub fn announce(&self) -> Announced {
        self.shared.queue.announce();
        Announced(Arc::clone(&self.shared))
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
        let team = entry.event.team.clone();
        self.shared.queue.push(&team, Job { entry, answer })?;
        Ok(Ticket(ticket))
    }

    /// How the writer does.
    pub fn stats(&self) -> AuditStats {
        let Shared { last_batch, batches, committed, not_alive, failed, .. } = &*self.shared;
        AuditStats {
            queued: self.shared.queue.len(),
            last_batch: last_batch.load(Ordering::Relaxed),
            batches: batches.load(Ordering::Relaxed),
            committed: committed.load(Ordering::Relaxed),
            not_alive: not_alive.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    }

    /// Returns when the writer has ended, which it only does drained, or by a fault of ours.
    pub async fn ended(&self) {
        self.shared.tasks.wait().await;
    }

    /// Takes no more rows, writes what waits (counted refusals too) and returns when all is committed.
    pub async fn drain(&self) {
        self.shared.stop.cancel();
        self.ended().await;
    }
}

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Counts stay whole across a panic elsewhere.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn batch_max(db: &Db) -> usize {
    match db {
        Db::Sqlite { .. } => audit_batch::SQLITE_ROWS_MAX,
        Db::Postgres { .. } => POSTGRES_BATCH_MAX,
    }
}

/// With it the writer has ended, however it did: nobody waits for a row that will not be written.
struct Writing(Arc<Shared>);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}

async fn run(store: Store, writing: Writing) {
    let shared = &*writing.0;
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (most, mut counted) = (batch_max(&store.db), Instant::now());
    let mut kept = Kept::default();
    loop {
        let stopping = shared.stop.is_cancelled();
        if stopping {
            // From here on nobody gets in, and what waits is written.
            shared.queue.close();
        }
        let batch = shared.queue.batch().await;
        if !batch.is_empty() {
            write_jobs(&store, &mut kept, shared, batch).await;
            if counted.elapsed() < SWEEP {
                continue;
            }
        }
        write_counted(&store, &mut kept, shared, most, stopping).await;
        counted = Instant::now();
        if shared.queue.len() > 0 {
            continue;
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = shared.queue.queued() => {}
            () = shared.stop.cancelled() => {}
            () = kept.give_back_when_unused() => {}
            _ = sweep.tick() => {}
        }
    }
}

async fn write_jobs(store: &Store, kept: &mut Kept, shared: &Shared, jobs: Vec<Job>) {
    let (entries, answers): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.entry, job.answer)).unzip();
    shared.last_batch.store(entries.len(), Ordering::Relaxed);
    for (verdict, answer) in store.write_audit(kept, &entries, shared).await.into_iter().zip(answers) {
        // Whoever asked may have gone; the row stands.
        let _ = answer.send(verdict);
    }
}

async fn write_counted(store: &Store, kept: &mut Kept, shared: &Shared, most: usize, all: bool) {
    let due = shared.counted().take(Instant::now(), all);
    let entries: Vec<_> = due.into_iter().map(|event| Entry { event, proof: None }).collect();
    for chunk in entries.chunks(most) {
        let verdicts = store.write_audit(kept, chunk, shared).await;
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
    async fn write_audit(
        &self,
        kept: &mut Kept,
        entries: &[Entry],
        shared: &Shared,
    ) -> Vec<Result<Verdict, StoreError>> {
        let mut verdicts = audit_batch::commit(&self.db, kept, entries).await;
        if entries.len() > 1 && matches!(verdicts, Err(StoreError::Refused(_))) {
            let mut alone = Vec::with_capacity(entries.len());
            for entry in entries {
                let entry = std::slice::from_ref(entry);
                alone.push(audit_batch::commit(&self.db, kept, entry).await.map(|verdicts| verdicts[0]));
            }
            return count(shared, alone);
        }
        let verdicts = match &mut verdicts {
            Ok(verdicts) => verdicts.drain(..).map(Ok).collect(),
            Err(error) => entries.iter().map(|_| Err(error.clone())).collect(),
        };
        count(shared, verdicts)
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
