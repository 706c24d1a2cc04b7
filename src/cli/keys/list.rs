//! `brevet keys list`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{stamp, stamp_or_none};
use crate::wire::admin::signing_key::{SigningKey, SigningKeys};

use super::KeyFlags;

/// List the issuer's signing keys and what they are now
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys list --json")]
pub(in crate::cli) struct List {
    #[command(flatten)]
    flags: KeyFlags,
}

impl List {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = self.flags.output(run);
        output.data(&self.flags.admin(run).await?.keys_of(self.flags.team()).list().await?, |keys| {
            shown(output.out(), keys)
        })
    }
}

fn shown(paint: Paint, keys: &SigningKeys) -> String {
    table_of(paint, &keys.items)
}

/// Keys as a table.
pub(super) fn table_of(paint: Paint, keys: &[SigningKey]) -> String {
    let row = |key: &SigningKey| {
        let times = (stamp(key.publish_from), stamp_or_none(key.sign_from));
        [key.kid.clone(), key.algorithm.clone(), key.state.clone(), times.0, times.1, stamp_or_none(key.sign_until)]
    };
    table(paint, ["KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "SIGNS UNTIL"], keys.iter().map(row))
}
