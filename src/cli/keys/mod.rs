//! `brevet keys …`: signing keys, and the key that seals them.
//!
//! One file a command. All but those that open the store themselves ask the admin API.
//! Does not own when a key may sign (`domain::rotation`) nor who decides (`issuer`).

mod distrust;
mod export_jwks;
mod import;
mod init_kek;
mod list;
mod operation;
mod plan;
mod prepare;
mod replace_all;
mod reseal;
mod rotate;
mod schedule;
mod timeline;

use clap::{Args, Subcommand};

use super::Run;
use super::arguments::AdminFlags;
use super::outcome::Failure;
use super::output::Output;
use super::remote;
use crate::client::admin::Admin;

/// Signing keys, and the key that seals them
#[derive(Debug, Subcommand)]
#[command(after_help = "All but `import`, `reseal` and `init-kek` need an administrator key in BREVET_TOKEN or \
                        BREVET_TOKEN_FILE.\n\nExample:\n  brevet keys plan")]
pub(super) enum Keys {
    List(list::List),
    Plan(plan::Plan),
    Prepare(prepare::Prepare),
    Rotate(rotate::Rotate),
    Distrust(distrust::Distrust),
    ReplaceAll(replace_all::ReplaceAll),
    Schedule(schedule::Schedule),
    Import(import::Import),
    ExportJwks(export_jwks::ExportJwks),
    Reseal(reseal::Reseal),
    InitKek(init_kek::InitKek),
}

impl Keys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(run).await,
            Self::Plan(command) => command.run(run).await,
            Self::Prepare(command) => command.run(run).await,
            Self::Rotate(command) => command.run(run).await,
            Self::Distrust(command) => command.run(run).await,
            Self::ReplaceAll(command) => command.run(run).await,
            Self::Schedule(command) => command.run(run).await,
            Self::Import(command) => command.run(run).await,
            Self::ExportJwks(command) => command.run(run).await,
            Self::Reseal(command) => command.run(run).await,
            Self::InitKek(command) => command.run(run),
        }
    }
}

/// Of every command that asks about one issuer's keys.
#[derive(Debug, Args)]
struct KeyFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// The team whose private issuer's keys are meant; those of the shared issuer by default
    #[arg(long, value_name = "UID")]
    team: Option<String>,
}

impl KeyFlags {
    async fn admin(&self, run: &Run) -> Result<Admin, Failure> {
        remote::admin(run, &self.admin).await
    }

    fn team(&self) -> Option<&str> {
        self.team.as_deref()
    }

    const fn output(&self, run: &Run) -> Output {
        run.output.as_json(self.admin.json)
    }
}
