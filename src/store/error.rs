//! What can go wrong with the database, and with a change.

use std::path::PathBuf;

/// Why the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is too busy or took too long. Trying again may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It refused a statement. Trying again does not help.
    #[error("the database refused a statement: {0}")]
    Refused(String),
    /// A newer version of Brevet has migrated it.
    #[error("the store has schema version {found}; this program knows up to {known}: run a newer brevet")]
    NewerSchema {
        /// The store's version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It is not migrated yet, and may not be now.
    #[error("the store has schema version {found}; this program needs {known}: run brevet store migrate")]
    OldSchema {
        /// The store's version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A migration that is applied is not the one this program knows by that number.
    #[error("migration {0} of the store differs from this program's: it was made by another build")]
    Checksum(i64),
    /// Another process serves from the same file.
    #[error("{} is locked: another brevet process has this store open", .0.display())]
    Locked(PathBuf),
    /// A file of the store may be read by others.
    #[error("{} has mode {mode:04o} and must have 0600: chmod 600 it", path.display())]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file of the store cannot be made or read.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// A connection URL is not one of PostgreSQL's.
    #[error(
        "DATABASE_URL and DATABASE_DIRECT_URL must be postgres://user:password@host:port/database; of several servers \
         the hosts are divided by commas, and target_session_attrs may be any, read-write or primary"
    )]
    Url,
    /// The store belongs to an installation with another issuer URL.
    #[error("the store belongs to issuer {stored}, but the configured issuer URL is {configured}")]
    OtherIssuer {
        /// What the store says.
        stored: String,
        /// What we were told.
        configured: String,
    },
    /// A stored value is not what this program writes.
    #[error("a stored value of {0} cannot be read")]
    Corrupt(&'static str),
    /// Who asked for a change was switched off before it was made.
    #[error("who asked for this has lost the right meanwhile; nothing was changed")]
    AskerEnded,
    /// A page cursor that was not given out here.
    #[error("cursor must be one that an earlier page gave")]
    Cursor,
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Sorts the driver's errors into what may pass and what will not. Statements hold no secret (values are bound),
/// and neither do the messages of either database.
pub(super) fn of_driver(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return StoreError::Unavailable(error.to_string());
    };
    let code = database.code().unwrap_or_default();
    // PostgreSQL: connection, resources, operator intervention, serialization, locks, read-only.
    // SQLite: busy, locked, I/O, full, read-only, by primary result code.
    let passing = match &error {
        sqlx::Error::Database(d) if d.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
            ["08", "53", "55", "57", "40", "58", "25006"].iter().any(|class| code.starts_with(class))
        }
        _ => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Refused(database.message().to_owned())
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such thing, or it is a tombstone.
    #[error("not found")]
    NotFound,
    /// Somebody else changed it since.
    #[error("it has changed since: its version is {current} now")]
    VersionMismatch {
        /// The version it has.
        current: i64,
    },
    /// The uid is in use or was, in whatever case.
    #[error("uid is taken, or was in use before; uids are never reused, also in other case")]
    UidTaken,
    /// It contradicts what is there; a stable word says what.
    #[error("conflict: {0}")]
    Conflict(&'static str),
}

/// `If-Match`: no expectation fits every version.
pub(super) fn check_version(expected: Option<i64>, current: i64) -> Result<(), ChangeError> {
    if expected.is_none_or(|expected| expected == current) {
        Ok(())
    } else {
        Err(ChangeError::VersionMismatch { current })
    }
}
