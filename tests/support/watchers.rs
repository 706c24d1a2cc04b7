//! Relying parties that run for long: each verifies a stream of tokens under the JWKS that its own library cached.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::clients::Client;

/// A verdict on one token.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Verdict {
    id: u64,
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) message: String,
}

type Verdicts = Arc<(Mutex<BTreeMap<u64, Verdict>>, Condvar)>;

/// One relying party. It ends when the value is dropped.
pub(crate) struct Watcher {
    pub(crate) name: &'static str,
    child: Child,
    _client: Client,
    asked: Mutex<(ChildStdin, u64)>,
    verdicts: Verdicts,
}

impl Watcher {
    /// Starts `client`, which reads questions and writes verdicts a line each.
    pub(crate) fn start(name: &'static str, mut client: Client) -> Self {
        let command = client.command();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client runs");
        let questions = child.stdin.take().expect("a pipe was asked for");
        let answers = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let verdicts = Verdicts::default();
        let filled = Arc::clone(&verdicts);
        thread::spawn(move || {
            for line in answers.lines() {
                let Ok(line) = line else { break };
                let verdict: Verdict = serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
                filled.0.lock().expect("no reader panics").insert(verdict.id, verdict);
                filled.1.notify_all();
            }
        });
        Self { name, child, _client: client, asked: Mutex::new((questions, 0)), verdicts }
    }

    /// Shows it a token; the number under which [`Watcher::verdict`] finds what it said.
    pub(crate) fn show(&self, issuer: &str, token: &str) -> u64 {
        let mut asked = self.asked.lock().expect("nobody panics here");
        asked.1 += 1;
        let id = asked.1;
        writeln!(asked.0, "{}", json!({ "id": id, "issuer": issuer, "token": token })).expect("it reads");
        id
    }

    /// What it said of question `id`, once it has.
    #[track_caller]
    pub(crate) fn verdict(&self, id: u64) -> Verdict {
        let deadline = Instant::now() + Duration::from_mins(5);
        let mut verdicts = self.verdicts.0.lock().expect("no reader panics");
        loop {
            if let Some(verdict) = verdicts.remove(&id) {
                return verdict;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} says nothing", self.name);
            verdicts = self.verdicts.1.wait_timeout(verdicts, left).expect("no reader panics").0;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
