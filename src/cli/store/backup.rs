//! `brevet store backup`.

use std::path::PathBuf;

use serde::Serialize;

use super::{OpenFlags, sqlite_file, target};
use crate::cli::Run;
use crate::cli::opened_store::store_failure;
use crate::cli::outcome::Failure;
use crate::store::Store;

/// Copy a SQLite store into a new file, also while `serve` runs (PostgreSQL: pg_dump)
///
/// The copy is of one moment, whole, and open to its owner alone. Tombstones are in it; what happens after it is not:
/// export those more often than you make backups.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet store backup /var/backups/brevet-$(date +%F).db")]
pub(in crate::cli) struct Backup {
    #[command(flatten)]
    flags: OpenFlags,
    /// The file to make; one that is there already is refused
    file: PathBuf,
}

#[derive(Serialize)]
struct BackedUp {
    file: PathBuf,
    bytes: u64,
}

impl Backup {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = self.flags.settings(run)?;
        sqlite_file(&settings, "run pg_dump")?;
        let store = Store::beside(&target(&settings)).await.map_err(store_failure)?;
        let outcome = store.back_up(&self.file).await;
        store.close().await;
        outcome.map_err(store_failure)?;
        let bytes = std::fs::metadata(&self.file).map(|metadata| metadata.len()).unwrap_or_default();
        self.flags.output(run).data(&BackedUp { file: self.file, bytes }, |done| {
            format!("{}: {} bytes; keep the key-encryption key apart from it", done.file.display(), done.bytes)
        })
    }
}
