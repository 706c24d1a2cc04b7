//! Clients that mint all the while, and what became of their requests.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use brevet::client::{Client, ClientError};
use brevet::domain::secret::Secret;
use brevet::fetch::{self, Limits, Reach};
use brevet::wire::mint::MintRequest;

/// What became of the requests so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Minted {
    /// The ids of tokens that arrived.
    pub(crate) tokens: BTreeSet<String>,
    /// What was answered instead of a token: status, words, and when to come back, if the issuer refused.
    pub(crate) failures: Vec<String>,
    /// The longest that one request took, whatever came of it.
    pub(crate) slowest: Duration,
}

/// Clients on threads of their own, until told to end.
pub(crate) struct Minters {
    over: Arc<AtomicBool>,
    minted: Arc<Mutex<Minted>>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Longer than the issuer takes over any request: reached only where something hangs.
pub(crate) const HANGS: Duration = Duration::from_secs(45);

fn told(error: &ClientError) -> String {
    match error {
        ClientError::Refused { problem, retry_after: Some(seconds) } => {
            format!("{}: {}; come back in {seconds} s", problem.status, problem.detail)
        }
        ClientError::Refused { problem, retry_after: None } => format!("{}: {}", problem.status, problem.detail),
        other => other.to_string(),
    }
}

/// A client of `url`, which may be on loopback.
pub(crate) fn client(url: &str) -> Client {
    let limits = Limits { body: 4 * 1024 * 1024, total: HANGS, ..Limits::default() };
    let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
    Client::new(url, fetch::Client::new(settings).unwrap())
}

impl Minters {
    /// Starts `clients` of them, each with a rest between two requests.
    pub(crate) fn start(url: &str, key: &str, clients: usize, rest: Duration) -> Self {
        let (over, minted) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Minted::default())));
        let threads = (0..clients)
            .map(|_| {
                let (over, minted) = (Arc::clone(&over), Arc::clone(&minted));
                let (client, key) = (client(url), Secret::new(key.to_owned()));
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    while !over.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let answer = runtime.block_on(client.mint(&key, &MintRequest::default()));
                        let mut minted = minted.lock().unwrap();
                        minted.slowest = minted.slowest.max(began.elapsed());
                        match answer {
                            Ok(token) => drop(minted.tokens.insert(token.token_id)),
                            Err(error) => minted.failures.push(told(&error)),
                        }
                        drop(minted);
                        thread::sleep(rest);
                    }
                })
            })
            .collect();
        Self { over, minted, threads }
    }

    /// What became of the requests so far.
    pub(crate) fn so_far(&self) -> Minted {
        self.minted.lock().unwrap().clone()
    }

    /// Waits until `more` tokens have arrived from now on; how long that took, or `None` after `patience`.
    pub(crate) fn wait_for(&self, more: usize, patience: Duration) -> Option<Duration> {
        let began = Instant::now();
        let wanted = self.minted.lock().unwrap().tokens.len() + more;
        while began.elapsed() < patience {
            if self.minted.lock().unwrap().tokens.len() >= wanted {
                return Some(began.elapsed());
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Ends them and tells what became of all requests.
    pub(crate) fn finish(mut self) -> Minted {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no client panics");
        }
        let minted = self.minted.lock().unwrap();
        minted.clone()
    }
}

impl Drop for Minters {
    /// Also where the drill has failed: nobody else would stop them.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
