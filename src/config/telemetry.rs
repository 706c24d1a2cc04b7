//! What is logged, and in which form.

use super::env;
use super::setting::{Given, SettingError};

/// The form of the log on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// A filter: a level, or levels by target.
    pub filter: String,
    /// The form.
    pub format: LogFormat,
}

impl Telemetry {
    /// Reads them; `level` holds where none is given, and `terminal` says whether stderr is one.
    pub fn read(given: &Given, level: &str, terminal: bool) -> Result<Self, SettingError> {
        let filter =
            given.parse(&env::LOG, |text| if filter(text) { Ok(text.to_owned()) } else { Err(FILTER_RULE) })?;
        let format = given.parse(&env::LOG_FORMAT, |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be text or json"),
        })?;
        Ok(Self {
            filter: filter.unwrap_or_else(|| level.to_owned()),
            format: format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }),
        })
    }
}

const FILTER_RULE: &str = "must be off, error, warn, info, debug or trace, or such levels by target: info,brevet=debug";

/// Levels divided by commas, each alone or behind `target=`; the rest of `tracing`'s filter language is not ours.
fn filter(text: &str) -> bool {
    let level = |text: &str| matches!(text, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let target =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'));
    text.split(',').all(|part| match part.split_once('=') {
        None => level(part),
        Some((name, part)) => target(name) && level(part),
    })
}

#[cfg(test)]
mod tests {
    use super::super::env::Environment;
    use super::*;

    #[test]
    fn format_follows_the_terminal_and_filters_are_checked() {
        let read = |values: &[_], terminal| Telemetry::read(&Given::new(Environment::of(values)), "info", terminal);
        assert_eq!(read(&[], true).unwrap().format, LogFormat::Text);
        assert_eq!(read(&[], false).unwrap(), Telemetry { filter: "info".to_owned(), format: LogFormat::Json });
        assert!(read(&[(&env::LOG, "info,brevet::worker=debug")], true).is_ok());
        let error = read(&[(&env::LOG, "loud")], true).unwrap_err().to_string();
        assert!(error.starts_with("--log (BREVET_LOG) must be off, error"), "{error}");
    }
}
