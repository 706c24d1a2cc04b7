//! `brevet keys init-kek`.

use crate::cli::Run;
use crate::cli::arguments::StoreFlags;
use crate::cli::outcome::Failure;
use crate::config::database::StoreSettings;
use crate::crypto::seal::Kek;
use crate::issuer::kek::{self, KEK_FILE, PREVIOUS_KEK_FILE};

/// Make a key-encryption key: a file in keys/, or the text to give every replica
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  brevet keys init-kek --data-dir /var/lib/brevet\n  (umask 077; brevet keys init-kek --print > kek)\n  brevet keys init-kek --replace && brevet keys reseal"
)]
pub(in crate::cli) struct InitKek {
    #[command(flatten)]
    store: StoreFlags,
    /// Print the key for BREVET_KEK or a mounted file, instead of writing it to keys/kek in the data folder
    #[arg(long)]
    print: bool,
    /// Take the place of keys/kek, which becomes keys/kek.previous until `brevet keys reseal` is done
    #[arg(long, conflicts_with = "print")]
    replace: bool,
}

impl InitKek {
    pub(super) fn run(self, run: &Run) -> Result<(), Failure> {
        let entropy = run.entropy.as_ref();
        if self.print {
            let kek = Kek::generate(entropy).map_err(Failure::refused)?;
            run.output.say("key-encryption key, shown this once; without it the sealed keys are lost:");
            return run.output.line(kek.to_text().expose());
        }
        let data_dir = StoreSettings::read(&self.store.add(run.given.clone()))?.data_dir;
        let place = |file| data_dir.join(file);
        if self.replace {
            kek::replace(&data_dir, entropy).map_err(Failure::refused)?;
            run.output.say(format_args!(
                "wrote {}; the one before it is {}; now run `brevet keys reseal`",
                place(KEK_FILE).display(),
                place(PREVIOUS_KEK_FILE).display()
            ));
        } else {
            kek::init(&data_dir, entropy).map_err(Failure::refused)?;
            run.output.say(format_args!("wrote {}; back it up apart from the database", place(KEK_FILE).display()));
        }
        Ok(())
    }
}
