//! The real binary in an empty home, and any other program as a child that never outlives its test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::variable;

/// Far beyond what any step takes on a busy machine: reached only when something hangs.
const PATIENCE: Duration = Duration::from_mins(4);

/// An empty home directory with nothing of the developer's in its environment.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(TempDir::with_prefix("brevet-home-").expect("a temporary directory"))
    }

    /// The same on a disk of its own.
    pub(crate) fn within(folder: &Path) -> Self {
        Self(TempDir::with_prefix_in("brevet-home-", folder).expect("a temporary directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The binary under test, its working directory and `HOME` here.
    pub(crate) fn brevet<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        // A drill of half an hour runs a copy, so that a build meanwhile does not take its program away.
        let program = variable("BREVET_DRILL_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_brevet").into());
        let mut command = self.command(program);
        command.args(arguments);
        command
    }

    /// Any program, with `PATH` and `HOME` as its whole environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.path()).current_dir(self.path());
        command
    }
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

#[derive(Default)]
struct Captured {
    lines: Vec<(Stream, String)>,
    /// How many of the two streams have ended.
    ended: u8,
}

impl Captured {
    fn text(&self) -> String {
        self.lines.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }
}

/// A running child; killed with SIGKILL when dropped.
pub(crate) struct Running {
    child: Child,
    captured: Arc<(Mutex<Captured>, Condvar)>,
}

/// Starts a child without input and captures both of its outputs.
pub(crate) fn start(mut command: Command) -> Running {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let captured = Arc::default();
    let out = child.stdout.take().expect("a pipe was asked for");
    let err = child.stderr.take().expect("a pipe was asked for");
    capture(Stream::Out, out, Arc::clone(&captured));
    capture(Stream::Err, err, Arc::clone(&captured));
    Running { child, captured }
}

/// Starts a child and waits for its end.
pub(crate) fn run(command: Command) -> Ended {
    start(command).finish()
}

fn capture(stream: Stream, source: impl Read + Send + 'static, captured: Arc<(Mutex<Captured>, Condvar)>) {
    thread::spawn(move || {
        let (state, changed) = &*captured;
        for line in BufReader::new(source).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            state.lock().expect("no reader panics").lines.push((stream, line));
            changed.notify_all();
        }
        state.lock().expect("no reader panics").ended += 1;
        changed.notify_all();
    });
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line, of either stream, that contains `text`; also one written before the call.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let (state, changed) = &*self.captured;
        let deadline = Instant::now() + PATIENCE;
        let mut captured = state.lock().expect("no reader panics");
        loop {
            if let Some((_, line)) = captured.lines.iter().find(|(_, line)| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(captured.ended < 2 && !left.is_zero(), "no line with {text:?} in:\n{}", captured.text());
            captured = changed.wait_timeout(captured, left).expect("no reader panics").0;
        }
    }

    /// What one stream has said so far.
    pub(crate) fn said(&self, stream: Stream) -> String {
        let captured = self.captured.0.lock().expect("no reader panics");
        captured.lines.iter().filter(|(from, _)| *from == stream).flat_map(|(_, line)| [line.as_str(), "\n"]).collect()
    }

    /// SIGTERM: asks for an orderly end. Follow with [`Running::finish`].
    pub(crate) fn terminate(&self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the child runs");
    }

    /// SIGKILL: ends it as a power cut would.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().expect("the child can be killed");
        self.finish()
    }

    /// Waits for the end of the child and of all it wrote.
    #[track_caller]
    pub(crate) fn finish(self) -> Ended {
        self.finish_within(PATIENCE)
    }

    /// The same for what takes its time.
    #[track_caller]
    pub(crate) fn finish_within(mut self, patience: Duration) -> Ended {
        let deadline = Instant::now() + patience;
        let (state, changed) = &*self.captured;
        let mut captured = state.lock().expect("no reader panics");
        while captured.ended < 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it neither ends nor closes its outputs:\n{}", captured.text());
            captured = changed.wait_timeout(captured, left).expect("no reader panics").0;
        }
        drop(captured);
        let status = self.child.wait().expect("the child can be waited for");
        Ended { status, stdout: self.said(Stream::Out), stderr: self.said(Stream::Err) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code; `None` after a signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output of a child that has succeeded, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert!(self.status.success(), "{self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|fault| panic!("{fault}: {self:#?}"))
    }
}
