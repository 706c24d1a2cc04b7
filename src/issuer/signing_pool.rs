//! Where signatures are made: at once where that is short, else aside, no more at a time than there are cores.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::keys::OpenKey;
use crate::crypto::signer::{SignerError, SigningInput};
use crate::domain::secret::Secret;
use crate::domain::signing_key::KeyKind;

/// Threads that may sign: more than there are cores would be no faster, and take the cores away from lighter requests.
#[derive(Debug)]
pub(super) struct SigningPool(Arc<Semaphore>);

impl SigningPool {
    /// As many at a time as there are cores.
    pub(super) fn of_host() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    fn new(threads: usize) -> Self {
        Self(Arc::new(Semaphore::new(threads)))
    }

    /// Signs. A third of a millisecond is spent where it stands, because another thread would cost more than it saves;
    /// larger RSA keys take several times as long, and lighter requests must not wait behind them.
    pub(super) async fn sign(&self, key: Arc<OpenKey>, input: SigningInput) -> Result<Secret, SignerError> {
        let began = Instant::now();
        let signed = match key.kind {
            KeyKind::Rsa2048 | KeyKind::P256 => key.set.sign(input),
            KeyKind::Rsa3072 | KeyKind::Rsa4096 => {
                self.aside(move || key.set.sign(input)).await.unwrap_or(Err(SignerError::Sign))
            }
        };
        metrics::histogram!("brevet_signing_seconds").record(began.elapsed().as_secs_f64());
        signed
    }

    /// Does `work` on one of the threads, once one is free; nothing where it panicked. Begun, it is finished, whether
    /// anybody waits for it or not, and keeps its thread until then.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let thread = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(thread);
            done
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn threat_24_long_signatures_are_so_many_at_once_and_hold_up_nobody_else() {
        let pool = SigningPool::new(2);
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (released, blocked): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<()>()).unzip();
        let work = blocked.into_iter().map(|gate| {
            let (working, most) = (Arc::clone(&working), Arc::clone(&most));
            pool.aside(move || {
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
        let pool = SigningPool::new(1);
        assert_eq!(pool.aside(|| -> u8 { std::panic::resume_unwind(Box::new(())) }).await, None);
        let (begun, begins) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        {
            let given_up = pool.aside(move || {
                begun.send(()).unwrap();
                gate.recv().unwrap();
            });
            let seen = tokio::task::spawn_blocking(move || begins.recv().unwrap());
            tokio::select! {
                _ = given_up => panic!("it waits"),
                begun = seen => begun.unwrap(),
            }
        }
        let mut next = std::pin::pin!(pool.aside(|| 7));
        assert!(timeout(Duration::from_millis(20), next.as_mut()).await.is_err(), "the thread is still at it");
        go.send(()).unwrap();
        assert_eq!(next.await, Some(7));
    }
}
