//! Opening: files, modes, the lock, pools.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::cluster::{Cluster, Connections};
use super::db::Db;
use super::error::{StoreError, of_driver as error};
use super::sole::Sole;
use crate::domain::secret::Secret;

/// How long a statement may wait for SQLite's write lock, and for a free connection.
const PATIENCE: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
const CONNECTIONS: u32 = 16;
/// One is kept for batches that are one statement, one writes those that are a transaction while another is tried as it is
/// given back, or made anew.
const AUDIT_CONNECTIONS: u32 = 3;

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file, for one serving process.
    Sqlite {
        /// The database file; `-wal`, `-shm` and `.lock` stand beside it.
        path: PathBuf,
    },
    /// A server, for any number of replicas.
    Postgres {
        /// `postgres://user:password@host:port/database`; several servers are divided by commas.
        url: Secret,
    },
    /// The same behind a pooler that gives each transaction another connection, such as PgBouncer.
    Pooled {
        /// The pooler's.
        url: Secret,
        /// The server itself, where news is told. Where it is the pooler's too, none arrives, and what replicas
        /// change is seen a few seconds later.
        direct: Secret,
    },
}

pub(super) async fn open(target: &Target) -> Result<Db, StoreError> {
    match target {
        Target::Sqlite { path } => {
            let lock = sole(path)?;
            // Made here with its mode; SQLite gives -wal and -shm the mode of the database.
            private_file(path)?;
            open_sqlite(path, Some(lock)).await
        }
        Target::Postgres { url } => open_postgres(url, None).await,
        Target::Pooled { url, direct } => open_postgres(url, Some(direct)).await,
    }
}

/// Opens what is there, also while another process serves from it. On SQLite that is for looking alone: two that write
/// would each believe that it knows what is in the store.
pub(super) async fn open_beside(target: &Target) -> Result<Db, StoreError> {
    match target {
        Target::Sqlite { path } => {
            check_mode(path)?;
            open_sqlite(path, None).await
        }
        Target::Postgres { url } => open_postgres(url, None).await,
        Target::Pooled { url, direct } => open_postgres(url, Some(direct)).await,
    }
}

/// Takes the lock of the one process that serves.
pub(super) fn sole(path: &Path) -> Result<Sole, StoreError> {
    let lock_path = beside(path, ".lock");
    let lock = private_file(&lock_path)?;
    match lock.try_lock() {
        Ok(()) => Ok(Sole::holding(lock)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.to_owned())),
        Err(TryLockError::Error(problem)) => Err(file_error(&lock_path, &problem)),
    }
}

async fn open_sqlite(path: &Path, lock: Option<Sole>) -> Result<Db, StoreError> {
    for suffix in ["-wal", "-shm", "-journal"] {
        let side = beside(path, suffix);
        if side.try_exists().map_err(|problem| file_error(&side, &problem))? {
            check_mode(&side)?;
        }
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is erased of a person is gone from the file, not only from the index.
        .pragma("secure_delete", "on")
        // Each audit batch writes the same few pages of the indexes anew: the longer the log grows before it is copied
        // into the file, the more of them are copied once instead of often. 32 MiB are read back in a moment after a
        // crash.
        .pragma("wal_autocheckpoint", "8192")
        .busy_timeout(PATIENCE);
    // A connection to a file does not go away, so that none is tried before it is used.
    let pool = || SqlitePoolOptions::new().acquire_timeout(PATIENCE).test_before_acquire(false);
    let writer = pool().max_connections(1);
    // A full disk ends a transaction under the driver's hands, which goes on to take the connection for one within it and
    // could never begin another there. The pool had an answer as it got it back, so that every rollback is over by now.
    let writer = writer.before_acquire(|connection, _| {
        let within = connection.is_in_transaction();
        Box::pin(async move { Ok(!within) })
    });
    // Within a transaction, which batches with tokens of runs need, SQLite keeps a copy of each page that a statement
    // changes, to undo it alone. From 64 KiB on it would write them to a file in the system's temporary folder, which it
    // makes and removes for each.
    let in_memory = options.clone().pragma("temp_store", "memory");
    let writer = writer.connect_with(in_memory).await.map_err(error)?;
    let readers = pool().max_connections(READERS);
    let readers = readers.connect_with(options.pragma("query_only", "on")).await.map_err(error)?;
    Ok(Db::Sqlite { writer, readers, _lock: lock })
}

async fn open_postgres(url: &Secret, direct: Option<&Secret>) -> Result<Db, StoreError> {
    let connections = if direct.is_some() { Connections::Pooled } else { Connections::Own };
    let cluster = Arc::new(Cluster::parse(url, connections)?);
    let news = match direct {
        Some(direct) => Cluster::parse(direct, Connections::Own)?.servers().to_vec(),
        None => cluster.servers().to_vec(),
    };
    let pool = cluster.pool(CONNECTIONS).await?;
    let audit = cluster.lazy_pool(AUDIT_CONNECTIONS);
    Ok(Db::Postgres { pool, audit, cluster, news })
}

/// Opens `path`, making it with mode 0600 where it is missing; an existing file with a wider mode is refused.
fn private_file(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|problem| file_error(path, &problem))?;
    check_mode(path)?;
    Ok(file)
}

fn check_mode(path: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(path).map_err(|problem| file_error(path, &problem))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & !0o600 == 0 { Ok(()) } else { Err(StoreError::Permissions { path: path.to_owned(), mode }) }
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn file_error(path: &Path, problem: &io::Error) -> StoreError {
    StoreError::File { path: path.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_copy_of_audit_rows_is_written_outside_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&Target::Sqlite { path: folder.path().join("brevet.db") }).await.unwrap();
        let Db::Sqlite { writer, .. } = &db else { panic!("it is SQLite") };
        let kept: i64 = sqlx::query_scalar("PRAGMA temp_store").fetch_one(writer).await.unwrap();
        assert_eq!(kept, 2, "in memory (sqlite.org/pragma.html#pragma_temp_store)");
    }
}
