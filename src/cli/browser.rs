//! Whether this machine has a browser in front of whoever types, and opening it.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use super::outcome::Failure;
use crate::config::env;
use crate::config::setting::Given;

/// A program that opens addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Browser(OsString);

impl Browser {
    /// The one of `BROWSER`, else the system's.
    pub(super) fn named(given: &Given) -> Result<Self, Failure> {
        let system = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        Ok(Self(given.text(&env::BROWSER)?.unwrap_or(system).into()))
    }

    /// The same where somebody will see what it opens: on macOS or under a display, and not over SSH.
    pub(super) fn at_hand(given: &Given) -> Result<Option<Self>, Failure> {
        if given.text(&env::SSH_CONNECTION)?.is_some() {
            return Ok(None);
        }
        let display = given.text(&env::DISPLAY)?.is_some() || given.text(&env::WAYLAND_DISPLAY)?.is_some();
        let seen = cfg!(target_os = "macos") || display || given.text(&env::BROWSER)?.is_some();
        if seen { Self::named(given).map(Some) } else { Ok(None) }
    }

    /// Opens `address`; whether the program could be started. What it does afterwards, only its user sees.
    pub(super) fn open(&self, address: &str) -> bool {
        let mut command = Command::new(&self.0);
        command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(mut child) => {
                // Reaped whenever it ends, so that no zombie stays beside a long `login`.
                std::thread::spawn(move || drop(child.wait()));
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Environment;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_browser_is_at_hand_under_a_display_and_not_over_ssh() {
        let at_hand = |values: &[_]| Browser::at_hand(&Given::new(Environment::of(values))).unwrap();
        assert_eq!(at_hand(&[]), None);
        assert_eq!(at_hand(&[(&env::DISPLAY, ":0")]), Some(Browser("xdg-open".into())));
        assert_eq!(at_hand(&[(&env::WAYLAND_DISPLAY, "wayland-0")]), Some(Browser("xdg-open".into())));
        assert_eq!(at_hand(&[(&env::BROWSER, "lynx")]), Some(Browser("lynx".into())));
        assert_eq!(at_hand(&[(&env::DISPLAY, ":10"), (&env::SSH_CONNECTION, "192.0.2.1 1 192.0.2.2 22")]), None);
    }

    #[test]
    fn a_program_that_is_not_there_opens_nothing() {
        assert!(!Browser("/nonexistent/browser".into()).open("https://id.example"));
        assert!(Browser("true".into()).open("https://id.example"));
    }
}
