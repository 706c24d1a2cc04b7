//! A copy of a SQLite store, made while it is served.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::Store;
use super::error::StoreError;
use super::open::{self, Target};

impl Store {
    /// Writes the whole store, as of one moment, into a new file of mode 0600. PostgreSQL has better means of its own,
    /// and is refused.
    pub async fn back_up(&self, into: &Path) -> Result<(), StoreError> {
        let text = into.to_str().ok_or_else(|| fault(into, "its name must be UTF-8"))?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(into);
        let file = made.map_err(|problem| fault(into, &problem.to_string()))?;
        // SQLite takes an empty file for one that is not there, and keeps its mode.
        let written = self.db.vacuum_into(text).await;
        let synced = written.and_then(|()| File::sync_all(&file).map_err(|problem| fault(into, &problem.to_string())));
        if synced.is_err() {
            // What is half a copy must not look like one; the first fault is the one worth telling.
            let _ = fs::remove_file(into);
        }
        synced
    }

    /// Makes a SQLite store at `path` of a copy, and opens it. A database that is there is never replaced: its `-wal`
    /// would be read into the restored one, and destroy it.
    pub async fn restore(path: &Path, copy: &Path) -> Result<Self, StoreError> {
        // Whoever serves from `path` still has it open, also after it was moved away.
        let lock = open::sole(path)?;
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let there = open::beside(path, suffix);
            if there.try_exists().map_err(|problem| fault(&there, &problem.to_string()))? {
                return Err(fault(
                    &there,
                    "it is there already: move the old database and what is beside it away first",
                ));
            }
        }
        let new = open::beside(path, ".new");
        copied(copy, &new).map_err(|problem| fault(copy, &problem.to_string()))?;
        let outcome = sound(&new).await;
        if let Err(error) = outcome {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        fs::rename(&new, path).map_err(|problem| fault(path, &problem.to_string()))?;
        drop(lock);
        Self::connect(&Target::Sqlite { path: path.to_owned() }).await
    }
}

/// Copies a file into a private one, to the disk.
fn copied(from: &Path, into: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(into)?;
    io::copy(&mut source, &mut file)?;
    file.sync_all()
}

/// Whether a file is a whole database of ours, of a schema that this program knows.
async fn sound(path: &Path) -> Result<(), StoreError> {
    let store = Store { db: std::sync::Arc::new(open::open_beside(&Target::Sqlite { path: path.to_owned() }).await?) };
    let outcome = async {
        let rows = store.db.fetch_all("PRAGMA quick_check(1)", []).await?;
        let whole = rows.first().is_some_and(|row| row.text("quick_check").is_ok_and(|text| text == "ok"));
        if !whole || store.schema_version().await? == 0 {
            return Err(fault(path, "the copy is no whole store"));
        }
        store.refuse_newer_schema().await
    };
    let outcome = outcome.await;
    store.close().await;
    outcome
}

fn fault(path: &Path, problem: &str) -> StoreError {
    StoreError::File { path: path.to_owned(), problem: problem.to_owned() }
}
