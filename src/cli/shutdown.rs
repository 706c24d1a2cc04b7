//! The signals that end a server.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::outcome::Failure;

/// SIGTERM and SIGINT, listened for from the moment this exists: a server has it before it says that it serves, so
/// that no signal which that provokes is lost.
pub(super) struct Asked {
    term: Signal,
    int: Signal,
}

impl Asked {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            term: signal(SignalKind::terminate()).map_err(Failure::refused)?,
            int: signal(SignalKind::interrupt()).map_err(Failure::refused)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }

    /// Waits for a signal, of which one that came meanwhile is one. A second one afterwards ends the process at
    /// once, as it would without us.
    pub(super) async fn wait(&mut self) -> Result<&'static str, Failure> {
        let name = self.next().await;
        let mut second = Self::listen()?;
        tokio::spawn(async move {
            second.next().await;
            std::process::exit(130);
        });
        Ok(name)
    }
}
