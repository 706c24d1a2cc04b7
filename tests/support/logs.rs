//! What a test logged, all of it, so that it can be searched for the secrets used.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

thread_local! {
    static CAPTURED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Captures every event of the current thread, at every level, until dropped. Use it in a test on one thread.
///
/// The subscriber is the process's: with one of the thread only, an event that another thread met first would be
/// remembered as of no interest to anyone.
pub(crate) struct Logs(());

impl Logs {
    pub(crate) fn capture() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
            let subscriber = subscriber.with_writer(|| Capture).finish();
            tracing::subscriber::set_global_default(subscriber).expect("no other subscriber is installed");
        });
        CAPTURED.set(Some(Vec::new()));
        Self(())
    }

    /// What there is so far.
    #[expect(clippy::unused_self, reason = "only while the capture lasts")]
    pub(crate) fn text(&self) -> String {
        CAPTURED.with_borrow(|bytes| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        CAPTURED.set(None);
    }
}

struct Capture;

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURED.with_borrow_mut(|captured| {
            if let Some(captured) = captured {
                captured.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
