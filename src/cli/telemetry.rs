//! The log: to stderr, so that stdout carries results only.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::log_lines::LogLines;
use super::outcome::Failure;
use crate::config::setting::Given;
use crate::config::telemetry::{LogFormat, Telemetry};

/// Starts the log; `level` holds where neither flag nor variable says more. Whoever drops what is returned has all lines
/// written.
pub(super) fn start(given: &Given, level: &str, color: bool) -> Result<LogLines, Failure> {
    let telemetry = Telemetry::read(given, level, io::stderr().is_terminal())?;
    let filter = EnvFilter::try_new(&telemetry.filter).map_err(|error| Failure::Usage(error.to_string()))?;
    let lines = LogLines::to(io::stderr()).map_err(Failure::refused)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    // What a panic says may hold anything; where it happened does not.
    std::panic::set_hook(Box::new(|panic| tracing::error!(place = ?panic.location(), "a thread panicked")));
    // A second start, as in tests of the library, keeps the first log.
    let _ = match telemetry.format {
        LogFormat::Text => log.with_ansi(color).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
    };
    Ok(lines)
}
