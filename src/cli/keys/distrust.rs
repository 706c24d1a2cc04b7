//! `brevet keys distrust`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::domain::signing_key::Kid;
use crate::wire::admin::signing_key::DistrustKey;

use super::KeyFlags;
use super::operation::{confirmed, told};

/// Distrust one key now, because it may be stolen: it leaves the JWKS, and signing moves first if it signs
///
/// Says first which verifiers fail until when, and asks. What is done cannot be undone. Prints what the world goes on
/// accepting, and what to do in every account.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys distrust 0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbW")]
pub(in crate::cli) struct Distrust {
    #[command(flatten)]
    flags: KeyFlags,
    /// The key's kid, as `brevet keys list` shows it
    // One thumbprint in 64 begins with a hyphen; a flag that is misspelt is no kid.
    #[arg(allow_hyphen_values = true, value_parser = Kid::parse)]
    kid: Kid,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Distrust {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let admin = self.flags.admin(run).await?;
        let keys = admin.keys_of(self.flags.team());
        let would = keys.distrust(self.kid.as_str(), &DistrustKey { dry_run: true, accept_outage: false }).await?;
        confirmed(run, self.yes, &format!("distrusts {} for ever", self.kid), &would)?;
        let done = keys.distrust(self.kid.as_str(), &DistrustKey { dry_run: false, accept_outage: true }).await?;
        told(self.flags.output(run), &done)
    }
}
