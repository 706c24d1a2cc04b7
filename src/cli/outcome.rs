//! How a command ends: its exit code and the words it leaves on stderr.

use std::io;
use std::process::ExitCode;

use crate::config::setting::SettingError;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Refused, not signed in, or a step that does not hold.
    Refused = 1,
    /// Called wrongly: arguments or variables.
    Usage = 2,
    /// The issuer, the database or another server could not be reached.
    Unreachable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was called for. The text is for the user: what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// See [`Exit::Refused`].
    #[error("{0}")]
    Refused(String),
    /// See [`Exit::Usage`].
    #[error("{0}")]
    Usage(String),
    /// See [`Exit::Unreachable`].
    #[error("{0}")]
    Unreachable(String),
    /// Whoever read our output has seen enough: no failure.
    #[error("the reader of the output is gone")]
    ReaderGone,
}

impl Failure {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Refused,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::ReaderGone => Exit::Ok,
        }
    }

    /// A refusal in the words of `cause`.
    pub fn refused(cause: impl std::fmt::Display) -> Self {
        Self::Refused(cause.to_string())
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Only writing to our own outputs ends here.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Refused(format!("cannot write the output: {error}")),
        }
    }
}
