//! `brevet keys reseal`.

use serde::Serialize;

use crate::cli::Run;
use crate::cli::arguments::StoreFlags;
use crate::cli::opened_store::{given_kek, opened, store_failure};
use crate::cli::outcome::Failure;
use crate::config::database::{KekSource, StoreSettings};
use crate::issuer::bootstrap::Host;
use crate::issuer::kek::PREVIOUS_KEK_FILE;
use crate::issuer::reseal::{ResealError, Resealed, reseal};

/// Seal everything in the store anew with the current key-encryption key (SQLite: while `serve` is stopped)
///
/// It needs the key before it too: BREVET_PREVIOUS_KEK, a file, or keys/kek.previous. Each secret is changed in a
/// transaction of its own, so it may be cut off and run again, and with PostgreSQL replicas that have both keys go on
/// serving.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys reseal --data-dir /var/lib/brevet")]
pub(in crate::cli) struct Reseal {
    #[command(flatten)]
    store: StoreFlags,
    /// Print data as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told {
    resealed: usize,
    already: usize,
    key_encryption_key: String,
}

impl Reseal {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = StoreSettings::read(&self.store.add(run.given.clone()))?;
        let store = opened(&settings, false, run.clock.as_ref()).await.map_err(store_failure)?;
        // Whatever is in the store, this is no first start: a missing key is an error and not a new one.
        let kek = given_kek(&settings, true, run.entropy.as_ref())?;
        let host = Host { clock: run.clock.clone(), entropy: run.entropy.clone() };
        let progress = |done, all| run.output.say(format_args!("sealed with {}: {done} of {all}", kek.id()));
        let outcome = reseal(&store, &kek, &host, progress).await;
        store.close().await;
        let Resealed { done, already } = outcome.map_err(failed)?;
        let told = Told { resealed: done, already, key_encryption_key: kek.id().to_owned() };
        run.output.as_json(self.json).data(&told, |told| {
            let Told { resealed, already, key_encryption_key } = told;
            format!("{resealed} sealed anew, {already} already: everything is sealed with {key_encryption_key}")
        })?;
        if let Some(previous) = kek.previous_id() {
            let place = match (&settings.kek, &settings.previous_kek) {
                (KekSource::Folder(_), None) => format!("move {PREVIOUS_KEK_FILE} to where your backups' keys are"),
                _ => "take BREVET_PREVIOUS_KEK from every replica".to_owned(),
            };
            run.output.say(format_args!("key-encryption key {previous} opens only older backups now: {place}"));
        }
        Ok(())
    }
}

fn failed(error: ResealError) -> Failure {
    match error {
        ResealError::Store(error) => store_failure(error),
        other => Failure::refused(other),
    }
}
