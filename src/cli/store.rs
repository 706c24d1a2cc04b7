//! `brevet store`: the database, opened directly.

use clap::Subcommand;
use serde::Serialize;

use super::Run;
use super::arguments::StoreFlags;
use super::opened_store::{connected, store_failure, told};
use super::outcome::Failure;
use crate::config::database::StoreSettings;

/// The database, opened directly (SQLite: while `serve` is stopped)
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet store migrate --data-dir /var/lib/brevet")]
pub(super) enum Store {
    /// Bring the store to this program's schema version, under a lock
    #[command(after_help = "Example:\n  brevet store migrate --data-dir /var/lib/brevet")]
    Migrate {
        #[command(flatten)]
        store: StoreFlags,
        /// Print data as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Migrated {
    from: i64,
    to: i64,
}

impl Store {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let Self::Migrate { store: flags, json } = self;
        let settings = StoreSettings::read(&flags.add(run.given.clone()))?;
        let store = connected(&settings).await.map_err(store_failure)?;
        let done = store.migrate(run.clock.now()).await.map_err(store_failure)?;
        store.close().await;
        let migrated = Migrated { from: done.from, to: done.to };
        run.output.as_json(json).data(&migrated, |Migrated { from, to }| {
            if from == to {
                format!("{}: schema version {to} already", told(&settings))
            } else {
                format!("{}: schema version {from} -> {to}", told(&settings))
            }
        })
    }
}
