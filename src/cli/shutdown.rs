//! The signals that end a server.

use tokio::signal::unix::{SignalKind, signal};

use super::outcome::Failure;

/// Waits for SIGTERM or SIGINT. A second one afterwards ends the process at once, as it would without us.
pub(super) async fn asked() -> Result<&'static str, Failure> {
    let mut term = signal(SignalKind::terminate()).map_err(Failure::refused)?;
    let mut int = signal(SignalKind::interrupt()).map_err(Failure::refused)?;
    let name = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    };
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(130);
    });
    Ok(name)
}
