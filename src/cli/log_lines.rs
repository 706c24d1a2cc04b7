//! Where log lines go: to stderr, those of the access log many at a time.
//!
//! A server at its limit would else make one system call for each request only to say that it was there. An access line
//! waits a twentieth of a second at most, and any other line takes along those that wait, so that the order stays. A
//! process that is killed loses the lines that wait: what must not be lost is in the audit log.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target whose lines may wait.
const MAY_WAIT: &str = "brevet::access";
/// How long they do.
const WAIT: Duration = Duration::from_millis(50);
/// How many bytes of them wait at most.
const WAITING_MAX: usize = 64 * 1024;

/// The process's log lines on their way to `W`. Clones share what waits; writes it all when dropped.
pub(super) struct LogLines<W: Write = io::Stderr>(Arc<Shared<W>>);

struct Shared<W> {
    waiting: Mutex<Waiting<W>>,
    begun: Condvar,
}

struct Waiting<W> {
    lines: Vec<u8>,
    out: W,
}

impl<W: Write + Send + 'static> LogLines<W> {
    /// Starts the thread that writes what has waited long enough.
    pub(super) fn to(out: W) -> io::Result<Self> {
        let waiting = Mutex::new(Waiting { lines: Vec::new(), out });
        let shared = Arc::new(Shared { waiting, begun: Condvar::new() });
        let weak = Arc::downgrade(&shared);
        // It ends when nobody is left who could write a line.
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            while let Some(shared) = weak.upgrade() {
                shared.wait_for_lines();
                thread::sleep(WAIT);
                shared.lock().write_out();
            }
        })?;
        Ok(Self(shared))
    }
}

impl<W> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Waiting<W>> {
        // Lines stay whole across a panic elsewhere.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_lines(&self) {
        let none = |waiting: &mut Waiting<W>| waiting.lines.is_empty();
        // A guard that is dropped at once: what is there is written later.
        drop(self.begun.wait_timeout_while(self.lock(), Duration::from_mins(1), none));
    }
}

impl<W: Write> Waiting<W> {
    fn write_out(&mut self) {
        // Nobody can be told that the log cannot be written.
        let _ = self.out.write_all(&self.lines);
        self.lines.clear();
    }
}

impl<W: Write> Drop for LogLines<W> {
    fn drop(&mut self) {
        self.0.lock().write_out();
    }
}

impl<W: Write> Clone for LogLines<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// One line, written in one piece.
pub(super) struct Line<'a, W> {
    shared: &'a Shared<W>,
    may_wait: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.lock();
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        if !self.may_wait || waiting.lines.len() > WAITING_MAX {
            waiting.write_out();
        } else if first {
            self.shared.begun.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for LogLines<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line { shared: &self.0, may_wait: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line<'a, W> {
        Line { shared: &self.0, may_wait: about.target() == MAY_WAIT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells each write apart.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Writes {
        fn made(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(lines: &LogLines<Writes>, log: impl FnOnce()) {
        let log_to = tracing_subscriber::fmt().without_time().with_level(false).with_ansi(false);
        tracing::subscriber::with_default(log_to.with_writer(lines.clone()).finish(), log);
    }

    #[test]
    fn any_other_line_takes_along_those_that_wait() {
        let writes = Writes::default();
        let lines = LogLines::to(writes.clone()).unwrap();
        logged(&lines, || {
            tracing::info!(target: "brevet::access", "first");
            tracing::info!(target: "brevet::access", "second");
            tracing::warn!(target: "brevet::other", "third");
        });
        // The thread may have come in between; nothing may overtake.
        assert_eq!(writes.made().concat(), "brevet::access: first\nbrevet::access: second\nbrevet::other: third\n");
        assert!(writes.made().last().is_some_and(|last| last.ends_with("brevet::other: third\n")));
    }

    #[test]
    fn what_waits_is_written_in_time_when_there_is_much_of_it_and_at_the_end() {
        let writes = Writes::default();
        let lines = LogLines::to(writes.clone()).unwrap();
        logged(&lines, || tracing::info!(target: "brevet::access", "in time"));
        while writes.made().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        let long = "x".repeat(WAITING_MAX);
        logged(&lines, || tracing::info!(target: "brevet::access", long));
        assert!(writes.made().concat().contains(&long));
        logged(&lines, || tracing::info!(target: "brevet::access", "at the end"));
        drop(lines);
        assert!(writes.made().concat().ends_with("at the end\n"));
    }
}
