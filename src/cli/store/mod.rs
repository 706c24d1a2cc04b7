//! `brevet store …`: the database, opened directly.
//!
//! One file a command. Owns where copies of it are written and how they are read. Does not own what is in the store,
//! nor what must outlive a copy of it (`store`).
//! May import: what `cli` may.

mod backup;
mod export_tombstones;
mod import_tombstones;
mod migrate;
mod restore;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Run;
use super::arguments::StoreFlags;
use super::outcome::Failure;
use super::output::Output;
use crate::config::database::{Database, StoreSettings};
use crate::store::Target;

/// The database, opened directly
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet store backup /var/backups/brevet.db --data-dir /var/lib/brevet")]
pub(super) enum Store {
    Migrate(migrate::Migrate),
    Backup(backup::Backup),
    Restore(restore::Restore),
    ExportTombstones(export_tombstones::ExportTombstones),
    ImportTombstones(import_tombstones::ImportTombstones),
}

impl Store {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Migrate(command) => command.run(run).await,
            Self::Backup(command) => command.run(run).await,
            Self::Restore(command) => command.run(run).await,
            Self::ExportTombstones(command) => command.run(run).await,
            Self::ImportTombstones(command) => command.run(run).await,
        }
    }
}

/// Of every command that opens the store.
#[derive(Debug, Args)]
struct OpenFlags {
    #[command(flatten)]
    store: StoreFlags,
    /// Print data as JSON
    #[arg(long)]
    json: bool,
}

impl OpenFlags {
    fn settings(&self, run: &Run) -> Result<StoreSettings, Failure> {
        Ok(StoreSettings::read(&self.store.add(run.given.clone()))?)
    }

    const fn output(&self, run: &Run) -> Output {
        run.output.as_json(self.json)
    }
}

/// The file of a SQLite store; with PostgreSQL `instead` says what does the same.
fn sqlite_file<'a>(settings: &'a StoreSettings, instead: &str) -> Result<&'a Path, Failure> {
    match &settings.database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) | Database::Pooled(..) => {
            Err(Failure::Usage(format!("this is for SQLite; with PostgreSQL {instead}")))
        }
    }
}

fn target(settings: &StoreSettings) -> Target {
    match &settings.database {
        Database::Sqlite(path) => Target::Sqlite { path: path.clone() },
        Database::Postgres(url) => Target::Postgres { url: url.clone() },
        Database::Pooled(url, direct) => Target::Pooled { url: url.clone(), direct: direct.clone() },
    }
}

/// Replaces `path` as a whole, with mode 0600.
fn replace_private(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = || -> io::Result<()> {
        // What a run left that was cut off is nobody's.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    written().map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
}
