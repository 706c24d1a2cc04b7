//! `brevet keys reseal`.

use serde::Serialize;

use crate::cli::Run;
use crate::cli::arguments::StoreFlags;
use crate::cli::opened_store::{given_kek, opened, store_failure};
use crate::cli::outcome::Failure;
use crate::cli::remote::stamp;
use crate::config::database::{KekSource, StoreSettings};
use crate::crypto::seal::Kek;
use crate::issuer::bootstrap::Host;
use crate::issuer::kek::PREVIOUS_KEK_FILE;
use crate::issuer::reseal::{self, ResealError, Resealed};
use crate::store::Store;

use super::operation::agreed;

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
    /// Replace signing keys that none of the keys at hand opens, because what sealed them is lost; asks first
    #[arg(long)]
    replace_lost: bool,
    /// Do not ask
    #[arg(long, requires = "replace_lost")]
    yes: bool,
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
        if self.replace_lost {
            self.replace(run, &store, &kek, &host).await?;
        }
        let progress = |done, all| run.output.say(format_args!("sealed with {}: {done} of {all}", kek.id()));
        let outcome = reseal::reseal(&store, &kek, &host, progress).await;
        store.close().await;
        let Resealed { done, already, left } = outcome.map_err(failed)?;
        if left > 0 {
            run.output.say(format_args!("{left} of lost keys that sign no more stay until their time is over"));
        }
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

impl Reseal {
    /// Replaces what is lost, if that is agreed to.
    async fn replace(&self, run: &Run, store: &Store, kek: &Kek, host: &Host) -> Result<(), Failure> {
        let lost = reseal::lost(store, kek, run.clock.now()).await.map_err(store_failure)?;
        // Before anything asks: of what hangs on these keys nothing lasts longer than ten minutes.
        for provider in reseal::forget_lost(store, kek, host).await.map_err(Failure::refused)? {
            run.output.say(format_args!(
                "{} the client secret at the sign-in provider {provider} is lost, and nobody signs in there until it is \
                 set again: brevet admin upstream-providers update {provider} --client-secret -",
                run.output.err().warn("mind:")
            ));
        }
        for issuer in lost {
            let paint = run.output.err();
            run.output.say(format_args!(
                "{} this retires the signing keys of {} for ever and signs with new ones at once\n{} verifiers with a \
                 JWKS from before refuse new tokens until they read it again; tokens of the old keys stay good",
                paint.warn("mind:"),
                issuer.url,
                paint.bad("outage:")
            ));
            agreed(run, self.yes)?;
            let done = reseal::replace_lost(store, &issuer, kek, host).await.map_err(Failure::refused)?;
            run.output.say(format_args!(
                "{} signs for {}; verifiers that honour max-age fail until {} at most, any other until {}",
                done.signs,
                done.issuer,
                stamp(done.outage.until),
                stamp(done.outage.surely_until)
            ));
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
