//! `brevet keys`: signing keys, and the key that seals them.

use clap::Subcommand;

use super::Run;
use super::arguments::{AdminFlags, StoreFlags};
use super::outcome::Failure;
use super::output::{Paint, table};
use super::remote::{admin, stamp, stamp_or_none};
use crate::config::database::StoreSettings;
use crate::crypto::seal::Kek;
use crate::issuer::kek::{self, KEK_FILE};
use crate::wire::admin::signing_key::{SigningKey, SigningKeys};

/// Signing keys, and the key that seals them
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet keys list")]
pub(super) enum Keys {
    /// List the issuer's signing keys (needs an administrator key in BREVET_TOKEN or BREVET_TOKEN_FILE)
    #[command(after_help = "Example:\n  brevet keys list --json")]
    List(AdminFlags),
    /// Make a key-encryption key: a file in keys/, or the text to give every replica
    #[command(
        after_help = "Examples:\n  brevet keys init-kek --data-dir /var/lib/brevet\n  (umask 077; brevet keys init-kek --print > kek)"
    )]
    InitKek {
        #[command(flatten)]
        store: StoreFlags,
        /// Print the key for BREVET_KEK or a mounted file, instead of writing it to keys/kek in the data folder
        #[arg(long)]
        print: bool,
    },
}

impl Keys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags)?.signing_keys().await?, |keys| list(output.out(), keys))
            }
            Self::InitKek { print: true, .. } => {
                let kek = Kek::generate(run.entropy.as_ref()).map_err(Failure::refused)?;
                run.output.say("key-encryption key, shown this once; without it the sealed keys are lost:");
                run.output.line(kek.to_text().expose())
            }
            Self::InitKek { store, print: false } => {
                let data_dir = StoreSettings::read(&store.add(run.given.clone()))?.data_dir;
                kek::init(&data_dir, run.entropy.as_ref()).map_err(Failure::refused)?;
                run.output.say(format_args!(
                    "wrote {}; back it up apart from the database",
                    data_dir.join(KEK_FILE).display()
                ));
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, keys: &SigningKeys) -> String {
    let row = |key: &SigningKey| {
        let times = (stamp(key.publish_from), stamp_or_none(key.sign_from));
        [key.kid.clone(), key.algorithm.clone(), key.state.clone(), times.0, times.1, stamp_or_none(key.sign_until)]
    };
    table(paint, ["KID", "ALG", "STATE", "PUBLISHED", "SIGNS FROM", "SIGNS UNTIL"], keys.items.iter().map(row))
}
