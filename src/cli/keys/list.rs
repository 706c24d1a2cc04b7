//! `brevet keys list`.

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::signing_key::{SigningKey, SigningKeys};

/// List the issuer's signing keys (needs an administrator key in BREVET_TOKEN or BREVET_TOKEN_FILE)
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys list --json")]
pub(in crate::cli) struct List {
    #[command(flatten)]
    flags: AdminFlags,
}

impl List {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = run.output.as_json(self.flags.json);
        output.data(&admin(run, &self.flags)?.signing_keys().await?, |keys| shown(output.out(), keys))
    }
}

/// The keys as a table.
pub(super) fn shown(paint: Paint, keys: &SigningKeys) -> String {
    let row = |key: &SigningKey| {
        let times = (stamp(key.publish_from), stamp_or_none(key.sign_from));
        [key.kid.clone(), key.algorithm.clone(), key.state.clone(), times.0, times.1, stamp_or_none(key.sign_until)]
    };
    table(paint, ["KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "SIGNS UNTIL"], keys.items.iter().map(row))
}
