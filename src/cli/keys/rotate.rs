//! `brevet keys rotate`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::wire::admin::signing_key::RotateKey;

use super::KeyFlags;
use super::operation::told;

/// Move signing to the standby now; refused, with the date, while any verifier could lack it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys rotate")]
pub(in crate::cli) struct Rotate {
    #[command(flatten)]
    flags: KeyFlags,
}

impl Rotate {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let done = self.flags.admin(run).await?.keys_of(self.flags.team()).rotate(&RotateKey::default()).await?;
        told(self.flags.output(run), &done)
    }
}
