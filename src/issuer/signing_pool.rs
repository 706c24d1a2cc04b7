//! Where signatures are made: at once where that is short and nobody is crowded by it, else aside.
//!
//! Large keys sign on threads of their own, so that lighter requests are not held up. What a crowd has signed is made on
//! threads that the system lets run while no other thread of ours wants to: it takes whatever the cores have left.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::keys::OpenKey;
use crate::crypto::signer::{SignerError, SigningInput};
use crate::domain::secret::Secret;
use crate::domain::signing_key::KeyKind;

/// How long a crowd's signature waits for one of its threads, and how long for it to begin. Then it is made like any other, because it holds a place
/// of the mint, and the cores may be busy for long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where signatures are made: of each kind of thread there are as many as cores, because more would be no faster.
#[derive(Debug)]
pub(super) struct SigningPool {
    /// For large keys.
    beside: Threads,
    /// For crowds.
    behind: Threads,
}

impl SigningPool {
    /// One for this host.
    pub(super) fn of_host() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { beside: Threads::start(cores, || ()), behind: Threads::start(cores, stand_back) }
    }

    /// Signs. A third of a millisecond is spent where it stands, because another thread would cost more than it saves;
    /// RSA keys of more than 2,048 bits take several times as long. A `crowd` makes way for everybody else.
    pub(super) async fn sign(
        &self,
        key: Arc<OpenKey>,
        input: SigningInput,
        crowd: bool,
    ) -> Result<Secret, SignerError> {
        let began = Instant::now();
        let behind = if crowd { self.behind(&key, input).await } else { Err(input) };
        let signed = match (behind, key.kind) {
            (Ok(signed), _) => signed,
            (Err(input), KeyKind::Rsa2048 | KeyKind::P256) => key.set.sign(input),
            (Err(input), KeyKind::Rsa3072 | KeyKind::Rsa4096) => {
                let thread = self.beside.free().await.ok_or(SignerError::Sign)?;
                thread.does(move || key.set.sign(input)).await.unwrap_or(Err(SignerError::Sign))
            }
        };
        metrics::histogram!("brevet_signing_seconds").record(began.elapsed().as_secs_f64());
        signed
    }

    /// Signs behind everybody else; the input comes back where none of the threads has begun in time.
    async fn behind(
        &self,
        key: &Arc<OpenKey>,
        input: SigningInput,
    ) -> Result<Result<Secret, SignerError>, SigningInput> {
        let Ok(Some(thread)) = timeout(PATIENCE, self.behind.free()).await else { return Err(input) };
        let (unsigned, key) = (Arc::new(Mutex::new(Some(input))), Arc::clone(key));
        let theirs = Arc::clone(&unsigned);
        let mut signing = pin!(thread.does(move || taken(&theirs).map(|input| key.set.sign(input))));
        let signed = match timeout(PATIENCE, signing.as_mut()).await {
            Ok(signed) => signed,
            // A free thread is not yet one that the system lets run.
            Err(_) => match taken(&unsigned) {
                Some(input) => return Err(input),
                None => signing.await,
            },
        };
        Ok(signed.flatten().unwrap_or(Err(SignerError::Sign)))
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
    free: Arc<Semaphore>,
}

/// One of them that has nothing to do.
struct Free {
    work: mpsc::Sender<Work>,
    held: OwnedSemaphorePermit,
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
        Self { work, free: Arc::new(Semaphore::new(count)) }
    }

    /// Waits for its turn. Given up, it leaves nothing behind.
    async fn free(&self) -> Option<Free> {
        let held = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Free { work: self.work.clone(), held })
    }
}

impl Free {
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

    async fn aside<T: Send + 'static>(threads: &Threads, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        threads.free().await?.does(work).await
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
        let pool = SigningPool { beside: Threads::start(1, || ()), behind: Threads::start(1, || ()) };
        let busy = pool.behind.free().await.unwrap();
        let key = key(KeyKind::P256);
        let input = || key.set.prepare(&json!({})).unwrap();
        assert!(pool.sign(Arc::clone(&key), input(), false).now_or_never().unwrap().is_ok(), "nobody else waits");
        let began = Instant::now();
        let mut crowd = Box::pin(pool.sign(Arc::clone(&key), input(), true));
        assert!(crowd.as_mut().now_or_never().is_none(), "a crowd takes its turn");
        assert!(timeout(Duration::from_mins(1), crowd).await.unwrap().is_ok(), "it holds its place no longer");
        assert!(began.elapsed() >= PATIENCE);
        drop(busy);
        assert!(pool.sign(Arc::clone(&key), input(), true).await.is_ok());
    }

    #[tokio::test]
    async fn threat_24_large_keys_wait_for_their_own_threads_and_nobody_else_does() {
        let pool = SigningPool { beside: Threads::start(1, || ()), behind: Threads::start(1, || ()) };
        let busy = pool.beside.free().await.unwrap();
        let (large, small) = (key(KeyKind::Rsa3072), key(KeyKind::P256));
        let input = |key: &OpenKey| key.set.prepare(&json!({})).unwrap();
        let mut signing = Box::pin(pool.sign(Arc::clone(&large), input(&large), false));
        assert!(timeout(Duration::from_millis(20), signing.as_mut()).await.is_err(), "it signs elsewhere");
        assert!(pool.sign(Arc::clone(&small), input(&small), false).now_or_never().unwrap().is_ok());
        drop(busy);
        assert!(timeout(Duration::from_mins(1), signing).await.unwrap().is_ok());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threat_24_the_threads_of_crowds_stand_back_and_no_others_do() {
        let policy = || thread_priority::unix::thread_schedule_policy().unwrap();
        let (own, idle) = (policy(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        assert_ne!(own, idle);
        let pool = SigningPool::of_host();
        assert_eq!(aside(&pool.behind, policy).await, Some(idle));
        assert_eq!(aside(&pool.beside, policy).await, Some(own));
        assert_eq!(policy(), own);
    }
}
