//! `brevet keys prepare`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::wire::admin::signing_key::PrepareKey;

use super::KeyFlags;
use super::operation::told;

/// Replace the next standby by one of another algorithm or size; nothing signs with it before its time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet keys prepare --alg ES256\n  brevet keys prepare --alg RS256 --bits 3072")]
pub(in crate::cli) struct Prepare {
    #[command(flatten)]
    flags: KeyFlags,
    /// RS256 or ES256
    #[arg(long = "alg", value_name = "ALG")]
    algorithm: String,
    /// 2048, 3072 or 4096 for RS256, 256 for ES256; the smallest where absent
    #[arg(long)]
    bits: Option<u32>,
}

impl Prepare {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let body = PrepareKey { algorithm: self.algorithm, bits: self.bits, dry_run: false };
        let done = self.flags.admin(run).await?.keys_of(self.flags.team()).prepare(&body).await?;
        told(self.flags.output(run), &done)
    }
}
