//! `brevet store migrate`.

use serde::Serialize;

use super::OpenFlags;
use crate::cli::Run;
use crate::cli::opened_store::{connected, store_failure, told};
use crate::cli::outcome::Failure;

/// Bring the store to this program's schema version, under a lock (SQLite: while `serve` is stopped)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet store migrate --data-dir /var/lib/brevet")]
pub(in crate::cli) struct Migrate {
    #[command(flatten)]
    flags: OpenFlags,
}

#[derive(Serialize)]
struct Migrated {
    from: i64,
    to: i64,
}

impl Migrate {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = self.flags.settings(run)?;
        let store = connected(&settings).await.map_err(store_failure)?;
        let done = store.migrate(run.clock.now()).await.map_err(store_failure)?;
        store.close().await;
        let migrated = Migrated { from: done.from, to: done.to };
        self.flags.output(run).data(&migrated, |Migrated { from, to }| {
            if from == to {
                format!("{}: schema version {to} already", told(&settings))
            } else {
                format!("{}: schema version {from} -> {to}", told(&settings))
            }
        })
    }
}
