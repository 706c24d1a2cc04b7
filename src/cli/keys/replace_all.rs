//! `brevet keys replace-all`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::wire::admin::signing_key::ReplaceAllKeys;

use super::KeyFlags;
use super::operation::{confirmed, told};

/// Distrust every key and sign with new ones now, because the store or its key-encryption key may be stolen
///
/// Every verifier that holds a JWKS from before refuses the new tokens until it reads it again. Says so first, and asks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys replace-all")]
pub(in crate::cli) struct ReplaceAll {
    #[command(flatten)]
    flags: KeyFlags,
    /// RS256 or ES256; that of the signing key where absent
    #[arg(long = "alg", value_name = "ALG")]
    algorithm: Option<String>,
    /// 2048, 3072 or 4096 for RS256, 256 for ES256; the smallest where absent
    #[arg(long, requires = "algorithm")]
    bits: Option<u32>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl ReplaceAll {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let admin = self.flags.admin(run).await?;
        let keys = admin.keys_of(self.flags.team());
        let asked = |dry_run| ReplaceAllKeys {
            algorithm: self.algorithm.clone(),
            bits: self.bits,
            dry_run,
            accept_outage: !dry_run,
        };
        let would = keys.replace_all(&asked(true)).await?;
        confirmed(run, self.yes, "distrusts every signing key for ever and signs with new ones", &would)?;
        let done = keys.replace_all(&asked(false)).await?;
        told(self.flags.output(run), &done)
    }
}
