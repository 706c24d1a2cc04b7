//! `brevet store restore`.

use std::path::PathBuf;

use serde::Serialize;

use super::{OpenFlags, sqlite_file};
use crate::cli::Run;
use crate::cli::opened_store::store_failure;
use crate::cli::outcome::Failure;
use crate::store::Store;

/// Make a SQLite store of a backup, while `serve` is stopped (PostgreSQL: psql into an empty database)
///
/// A database that is there is never replaced: move brevet.db, brevet.db-wal and brevet.db-shm aside first. Before the
/// first start take in the newest tombstones, and give the key-encryption key of the backup's time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet store restore /var/backups/brevet-2026-11-01.db\n  \
                        brevet store import-tombstones /var/backups/tombstones")]
pub(in crate::cli) struct Restore {
    #[command(flatten)]
    flags: OpenFlags,
    /// What `brevet store backup` wrote
    file: PathBuf,
}

#[derive(Serialize)]
struct Restored {
    file: PathBuf,
    schema_version: i64,
}

impl Restore {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = self.flags.settings(run)?;
        let path = sqlite_file(&settings, "restore with psql into an empty database")?;
        let store = Store::restore(path, &self.file).await.map_err(store_failure)?;
        let version = store.schema_version().await;
        store.close().await;
        let restored = Restored { file: path.to_owned(), schema_version: version.map_err(store_failure)? };
        self.flags.output(run).data(&restored, |restored| {
            format!(
                "{}: schema version {}; now `brevet store import-tombstones` with the newest export",
                restored.file.display(),
                restored.schema_version
            )
        })
    }
}
