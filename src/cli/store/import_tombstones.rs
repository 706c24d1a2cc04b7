//! `brevet store import-tombstones`.

use std::path::PathBuf;

use serde::Serialize;

use super::OpenFlags;
use crate::cli::Run;
use crate::cli::opened_store::{opened, store_failure};
use crate::cli::outcome::Failure;
use crate::cli::output::Paint;
use crate::issuer::bootstrap::Host;
use crate::issuer::restored;
use crate::store::{BuryError, ChangeError, Tombstones};

/// Teach a restored store what has happened since its backup (before `serve` starts again)
///
/// What was deleted since is deleted, keys and distrust are as they were last, and no uid that was ever used can be
/// made anew. What was made since and is lost with the data is there again, disabled and with nothing but its uid:
/// enable it when you know whose it is, or delete it. Nothing is done by halves, and twice is once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet store import-tombstones /var/backups/tombstones")]
pub(in crate::cli) struct ImportTombstones {
    #[command(flatten)]
    flags: OpenFlags,
    /// What `brevet store export-tombstones` wrote last
    file: PathBuf,
}

#[derive(Serialize)]
struct Imported {
    ended: Vec<String>,
    reserved: Vec<String>,
    disabled: Vec<String>,
    rekeyed: Vec<String>,
}

impl ImportTombstones {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let named = |error: &dyn std::fmt::Display| Failure::Refused(format!("{}: {error}", self.file.display()));
        let text = std::fs::read_to_string(&self.file).map_err(|error| named(&error))?;
        let tombstones = Tombstones::parse(&text).map_err(|error| named(&error))?;
        let settings = self.flags.settings(run)?;
        let store = opened(&settings, false, run.clock.as_ref()).await.map_err(store_failure)?;
        let host = Host { clock: run.clock.clone(), entropy: run.entropy.clone() };
        let outcome = restored::take_in(&store, &tombstones, &host).await;
        store.close().await;
        let done = outcome.map_err(|error| match error {
            BuryError::Change(ChangeError::Store(error)) => store_failure(error),
            other => named(&other),
        })?;
        let imported =
            Imported { ended: done.ended, reserved: done.reserved, disabled: done.disabled, rekeyed: done.rekeyed };
        let output = self.flags.output(run);
        output.data(&imported, |imported| shown(output.out(), imported))
    }
}

fn shown(paint: Paint, imported: &Imported) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (what, names) in [
        ("deleted, as they were", &imported.ended),
        ("taken for ever", &imported.reserved),
        ("there again, disabled", &imported.disabled),
        ("keys as they were last", &imported.rekeyed),
    ] {
        lines.extend(names.iter().map(|name| format!("{} {name}", paint.bold(format!("{what}:")))));
    }
    if lines.is_empty() { "the store knew all of it".to_owned() } else { lines.join("\n") }
}
