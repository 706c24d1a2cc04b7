//! `brevet aws …`: the customer's side.
//!
//! Does not own what the policies say (`iam::generate`).

mod script;
mod setup;

use clap::Subcommand;

use super::Run;
use super::outcome::Failure;

/// The customer's AWS account: what it must hold so that tokens open Bedrock
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet aws setup --team red --format cli > setup.sh")]
pub(super) enum Aws {
    Setup(Box<setup::Setup>),
}

impl Aws {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Setup(command) => command.run(run).await,
        }
    }
}
