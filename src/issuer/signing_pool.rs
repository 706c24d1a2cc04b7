//! Where signatures are made, and in whose turn: of each kind no more at once than there are cores, one of each party before
//! the second of any. Those of P-256 take less than a turn is worth, and are made at once.
//!
//! RSA keys of 2,048 bits sign on the threads of the requests, and between two signatures such a thread looks what else
//! has become ready: a light request waits for one or two of them. Large keys sign on threads of their own. What a crowd
//! has signed is made on threads that the system lets run while no other thread of ours wants to: it takes whatever the
//! cores have left.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::keys::OpenKey;
use super::limits::Party;
use crate::crypto::signer::{SignerError, SigningInput};
use crate::domain::secret::Secret;
use crate::domain::signing_key::KeyKind;
use crate::limit::admission::Busy;
use crate::limit::turns::{Turn, Turns};

/// How long a crowd's signature waits for one of its threads, and how long for it to begin. Then it is made like any
/// other, because it holds a place of the mint, and the cores may be busy for long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where signatures are made: of each kind there are as many at once as cores, because more would be no faster.
#[derive(Debug)]
pub(super) struct SigningPool {
    /// How long anyone waits for a turn among others.
    patience: Duration,
    /// Where the request is.
    here: Turns<Party>,
    /// For large keys.
    beside: Threads,
    /// For crowds.
    behind: Threads,
}

impl SigningPool {
    /// One for this host, in which nobody waits for a turn for longer than `patience`.
    pub(super) fn of_host(patience: Duration) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let here = Turns::new(cores);
        Self { patience, here, beside: Threads::start(cores, || ()), behind: Threads::start(cores, stand_back) }
    }

    /// Waits for the turn of `party` to sign with a key of `kind`. A third of a millisecond is spent where it stands,
    /// because another thread would cost more than it saves; RSA keys of more than 2,048 bits take several times as long,
    /// and a signature of P-256 less than a turn is worth. A `crowd` makes way for everybody else.
    pub(super) async fn turn<'p>(
        &'p self,
        kind: KeyKind,
        party: &'p Party,
        crowd: bool,
    ) -> Result<SigningTurn<'p>, Busy> {
        let began = Instant::now();
        let behind = if crowd { timeout(PATIENCE, self.behind.free(party)).await.ok() } else { None };
        let place = match behind {
            Some(thread) => Place::Behind(thread),
            None => timeout(self.patience, self.among_others(kind, party)).await.map_err(|_| Busy)?,
        };
        Ok(SigningTurn { pool: self, party, began, place })
    }

    async fn among_others(&self, kind: KeyKind, party: &Party) -> Place {
        match kind {
            KeyKind::P256 => Place::Here(None),
            KeyKind::Rsa2048 => {
                let turn = self.here.take(party).await;
                // Whatever became ready during the signature before goes first.
                yield_now().await;
                Place::Here(Some(turn))
            }
            KeyKind::Rsa3072 | KeyKind::Rsa4096 => Place::Beside(self.beside.free(party).await),
        }
    }
}

/// A turn to sign, given on when dropped.
pub(super) struct SigningTurn<'p> {
    pool: &'p SigningPool,
    party: &'p Party,
    began: Instant,
    place: Place,
}

/// Where it is.
enum Place {
    Here(Option<Turn<Party>>),
    Beside(Free),
    Behind(Free),
}

impl SigningTurn<'_> {
    /// Signs.
    pub(super) async fn sign(self, key: Arc<OpenKey>, input: SigningInput) -> Result<Secret, SignerError> {
        let signed = match self.place {
            Place::Behind(thread) => match thread.begins_to_sign(&key, input).await {
                Ok(signed) => signed,
                Err(input) => self.pool.among_others(key.kind, self.party).await.sign(key, input).await,
            },
            place => place.sign(key, input).await,
        };
        metrics::histogram!("brevet_signing_seconds").record(self.began.elapsed().as_secs_f64());
        signed
    }
}

impl Place {
    async fn sign(self, key: Arc<OpenKey>, input: SigningInput) -> Result<Secret, SignerError> {
        match self {
            Self::Here(turn) => {
                let signed = key.set.sign(input);
                drop(turn);
                signed
            }
            Self::Beside(thread) | Self::Behind(thread) => {
                thread.does(move || key.set.sign(input)).await.unwrap_or(Err(SignerError::Sign))
            }
        }
    }
}

fn taken(unsigned: &Mutex<Option<SigningInput>>) -> Option<SigningInput> {
    unsigned.lock().unwrap_or_else(PoisonError::into_inner).take()
}

type Work = Box<dyn FnOnce() + Send>;

/// Threads that work. They end with it.
#[derive(Debug)]
struct Threads {
    work: mpsc::Sender<Work>,
    turns: Turns<Party>,
}

/// One of them that has nothing to do.
struct Free {
    work: mpsc::Sender<Work>,
    held: Turn<Party>,
}

impl Threads {
    fn start(count: usize, begin: fn()) -> Self {
        let (work, waiting) = mpsc::channel::<Work>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..count {
            let waiting = Arc::clone(&waiting);
            let run = move || {
                begin();
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(work) = next else { return };
                    // Whoever waits for it hears that it is gone; the hook has told the log.
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            };
            if let Err(error) = thread::Builder::new().name("signer".to_owned()).spawn(run) {
                // Without any of them nothing is signed aside, and each such request says so.
                tracing::error!(%error, "a thread that signs was not started");
            }
        }
        Self { work, turns: Turns::new(count) }
    }

    /// Waits for the turn of `party`.
    async fn free(&self, party: &Party) -> Free {
        Free { work: self.work.clone(), held: self.turns.take(party).await }
    }
}

impl Free {
    /// Signs there; the input comes back where the thread has not begun in time: a free one is not yet one that the system
    /// lets run.
    async fn begins_to_sign(
        self,
        key: &Arc<OpenKey>,
        input: SigningInput,
    ) -> Result<Result<Secret, SignerError>, SigningInput> {
        let (unsigned, key) = (Arc::new(Mutex::new(Some(input))), Arc::clone(key));
        let theirs = Arc::clone(&unsigned);
        let mut signing = pin!(self.does(move || taken(&theirs).map(|input| key.set.sign(input))));
        let signed = match timeout(PATIENCE, signing.as_mut()).await {
            Ok(signed) => signed,
            Err(_) => match taken(&unsigned) {
                Some(input) => return Err(input),
                None => signing.await,
            },
        };
        Ok(signed.flatten().unwrap_or(Err(SignerError::Sign)))
    }

    /// Does `work` there; nothing where it panicked. It is finished, whether anybody waits for it or not, and the thread
    /// is not free until then.
    async fn does<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Self { work: threads, held } = self;
        let (tell, told) = oneshot::channel();
        let work = move || {
            let done = work();
            drop(held);
            let _ = tell.send(done);
        };
        threads.send(Box::new(work)).ok()?;
        told.await.ok()
    }
}

/// Lets every other thread of this process go before this one, at once (`SCHED_IDLE`, sched(7); a nice value alone would
/// let a short request wait for some milliseconds). Where the system refuses, this one takes its share as they do.
fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
            tracing::info!(%error, "the system refuses: what a crowd has signed takes its share of the cores as all else");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::crypto::keypair::KeyPair;
    use crate::crypto::signer::KeySet;
    use crate::domain::entropy::seeded::SeededEntropy;
    use crate::domain::id::TeamUid;

    fn party(team: &str) -> Party {
        Party::Team(TeamUid::parse(team).unwrap())
    }

    fn pool() -> SigningPool {
        SigningPool {
            patience: Duration::from_mins(1),
            here: Turns::new(1),
            beside: Threads::start(1, || ()),
            behind: Threads::start(1, || ()),
        }
    }

    async fn sign(pool: &SigningPool, key: &Arc<OpenKey>, party: &Party, crowd: bool) -> Result<Secret, SignerError> {
        let input = key.set.prepare(&json!({})).unwrap();
        pool.turn(key.kind, party, crowd).await.unwrap().sign(Arc::clone(key), input).await
    }

    async fn aside<T: Send + 'static>(threads: &Threads, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        threads.free(&party("red")).await.does(work).await
    }

    #[tokio::test]
    async fn threat_24_long_signatures_are_so_many_at_once_and_hold_up_nobody_else() {
        let threads = Threads::start(2, || ());
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (released, blocked): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<()>()).unzip();
        let work = blocked.into_iter().map(|gate| {
            let (working, most) = (Arc::clone(&working), Arc::clone(&most));
            aside(&threads, move || {
                most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.recv().unwrap();
                working.fetch_sub(1, Ordering::SeqCst);
            })
        });
        let lighter = async {
            // On the one thread of this runtime, beside all of them.
            while most.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            for gate in released {
                gate.send(()).unwrap();
            }
        };
        let (done, ()) =
            timeout(Duration::from_mins(1), async { tokio::join!(join_all(work), lighter) }).await.unwrap();
        assert!(done.iter().all(Option::is_some));
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_that_panics_or_is_given_up_leaves_its_thread_to_the_next() {
        let threads = Threads::start(1, || ());
        assert_eq!(aside(&threads, || -> u8 { std::panic::resume_unwind(Box::new(())) }).await, None);
        let (begun, begins) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        {
            let given_up = aside(&threads, move || {
                begun.send(()).unwrap();
                gate.recv().unwrap();
            });
            let seen = tokio::task::spawn_blocking(move || begins.recv().unwrap());
            tokio::select! {
                _ = given_up => panic!("it waits"),
                begun = seen => begun.unwrap(),
            }
        }
        let done = Arc::new(AtomicUsize::new(0));
        let never = {
            let done = Arc::clone(&done);
            aside(&threads, move || done.fetch_add(1, Ordering::SeqCst))
        };
        assert!(timeout(Duration::from_millis(20), never).await.is_err(), "the thread is still at it");
        go.send(()).unwrap();
        assert_eq!(aside(&threads, || 7).await, Some(7));
        assert_eq!(done.load(Ordering::SeqCst), 0, "what nobody waits for is not begun");
    }

    fn key(kind: KeyKind) -> Arc<OpenKey> {
        let pair = KeyPair::generate(kind).unwrap();
        Arc::new(OpenKey { set: KeySet::new(pair, &SeededEntropy::new(7)).unwrap(), kind })
    }

    #[tokio::test]
    async fn threat_24_a_crowd_waits_for_its_own_threads_and_no_longer_than_a_second() {
        let (pool, red) = (pool(), party("red"));
        let busy = pool.behind.free(&red).await;
        let key = key(KeyKind::P256);
        assert!(sign(&pool, &key, &red, false).now_or_never().unwrap().is_ok(), "nobody else waits");
        let began = Instant::now();
        let mut crowd = Box::pin(sign(&pool, &key, &red, true));
        assert!(crowd.as_mut().now_or_never().is_none(), "a crowd takes its turn");
        assert!(timeout(Duration::from_mins(1), crowd).await.unwrap().is_ok(), "it holds its place no longer");
        assert!(began.elapsed() >= PATIENCE);
        drop(busy);
        assert!(sign(&pool, &key, &red, true).await.is_ok());
    }

    #[tokio::test]
    async fn threat_24_large_keys_wait_for_their_own_threads_and_nobody_else_does() {
        let (pool, red) = (pool(), party("red"));
        let busy = pool.beside.free(&red).await;
        let (large, small) = (key(KeyKind::Rsa3072), key(KeyKind::P256));
        let mut signing = Box::pin(sign(&pool, &large, &red, false));
        assert!(timeout(Duration::from_millis(20), signing.as_mut()).await.is_err(), "it signs elsewhere");
        assert!(sign(&pool, &small, &red, false).now_or_never().unwrap().is_ok());
        drop(busy);
        assert!(timeout(Duration::from_mins(1), signing).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn threat_24_between_two_signatures_whatever_else_is_ready_goes_first() {
        let (pool, red, blue) = (pool(), party("red"), party("blue"));
        let key = key(KeyKind::Rsa2048);
        let order = Mutex::new(Vec::new());
        let note = |what: &'static str| order.lock().unwrap().push(what);
        // All on one thread, as a burst and what came with it.
        let reds = (0..4).map(|_| async {
            sign(&pool, &key, &red, false).await.unwrap();
            note("red");
        });
        let blues = async {
            sign(&pool, &key, &blue, false).await.unwrap();
            note("blue");
        };
        let light = async {
            for _ in 0..3 {
                yield_now().await;
                note("light");
            }
        };
        tokio::join!(biased; light, join_all(reds), blues);
        let order = order.into_inner().unwrap();
        let place = |what, nth| order.iter().enumerate().filter(|(_, other)| **other == what).nth(nth).unwrap().0;
        assert!(place("blue", 0) < place("red", 2), "blue waits for one of red at most that came before it: {order:?}");
        assert!(place("light", 1) < place("red", 1), "what is light waits for one signature at a time: {order:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threat_24_the_threads_of_crowds_stand_back_and_no_others_do() {
        let policy = || thread_priority::unix::thread_schedule_policy().unwrap();
        let (own, idle) = (policy(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        assert_ne!(own, idle);
        let pool = SigningPool::of_host(PATIENCE);
        assert_eq!(aside(&pool.behind, policy).await, Some(idle));
        assert_eq!(aside(&pool.beside, policy).await, Some(own));
        assert_eq!(policy(), own);
    }
}
