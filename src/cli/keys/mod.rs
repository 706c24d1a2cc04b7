//! `brevet keys …`: signing keys, and the key that seals them.
//!
//! One file a command. All but those that open the store themselves ask the admin API.
//! Does not own when a key may sign (`domain::rotation`) nor who decides (`issuer`).

mod import;
mod init_kek;
mod list;
mod reseal;

use clap::Subcommand;

use super::Run;
use super::outcome::Failure;

/// Signing keys, and the key that seals them
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet keys list")]
pub(super) enum Keys {
    List(list::List),
    Import(import::Import),
    Reseal(reseal::Reseal),
    InitKek(init_kek::InitKek),
}

impl Keys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(run).await,
            Self::Import(command) => command.run(run).await,
            Self::Reseal(command) => command.run(run).await,
            Self::InitKek(command) => command.run(run),
        }
    }
}
