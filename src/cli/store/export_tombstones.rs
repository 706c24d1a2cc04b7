//! `brevet store export-tombstones`.

use std::path::PathBuf;

use serde::Serialize;

use super::{OpenFlags, replace_private, target};
use crate::cli::Run;
use crate::cli::opened_store::store_failure;
use crate::cli::outcome::Failure;
use crate::store::Store;

/// Write what must outlive any backup: every uid there is or was, and the signing keys; also while `serve` runs
///
/// It is small and quickly made, so that it may be written far more often than backups, after each rotation at least.
/// The file is replaced as a whole and open to its owner alone: private halves are in it, sealed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet store export-tombstones /var/backups/tombstones")]
pub(in crate::cli) struct ExportTombstones {
    #[command(flatten)]
    flags: OpenFlags,
    /// The file to write
    file: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    lines: usize,
}

impl ExportTombstones {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = self.flags.settings(run)?;
        let store = Store::beside(&target(&settings)).await.map_err(store_failure)?;
        let outcome = store.tombstones().await;
        store.close().await;
        let tombstones = outcome.map_err(store_failure)?;
        replace_private(&self.file, tombstones.to_text().map_err(store_failure)?.as_bytes())?;
        self.flags.output(run).data(&Exported { file: self.file, lines: tombstones.len() }, |done| {
            format!("{}: {} lines", done.file.display(), done.lines)
        })
    }
}
