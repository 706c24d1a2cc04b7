//! `brevet admin init`: the first administrator key, made beside the server.

use crate::cli::Run;
use crate::cli::arguments::StoreFlags;
use crate::cli::opened_store::{opened, store_failure};
use crate::cli::outcome::Failure;
use crate::cli::remote::stamp;
use crate::config::database::StoreSettings;
use crate::config::issuer::issuer_url;
use crate::issuer::bootstrap::{self, Candidate, Host};

/// Make the first administrator key and print it, once (SQLite: while `serve` is stopped)
///
/// It ends after 24 hours, or as soon as a second administrator exists.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet admin init --issuer-url https://id.example.com > first.key")]
pub(in crate::cli) struct Init {
    #[command(flatten)]
    store: StoreFlags,
}

impl Init {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let given = self.store.add(run.given.clone());
        let (url, _) = issuer_url(&given)?;
        let host = Host { clock: run.clock.clone(), entropy: run.entropy.clone() };
        let store = opened(&StoreSettings::read(&given)?, true, run.clock.as_ref()).await.map_err(store_failure)?;
        let row = bootstrap::issuer(&store, &url, &host).await.map_err(Failure::refused)?;
        let taken = || {
            Failure::Refused(
                "there is an administrator already: use its key, or make another with `brevet admin administrators create`"
                    .to_owned(),
            )
        };
        if store.has_administrator(run.clock.now()).await.map_err(store_failure)? {
            return Err(taken());
        }
        let candidate = Candidate::draw(row.id, &host);
        let until = stamp(candidate.first().expires_at);
        run.output
            .say(format_args!("first administrator key, shown this once, until {until} or a second administrator:"));
        // Printed before it counts: a key that nobody has would lock everyone out for a day.
        run.output.line(candidate.first().key.expose()).map_err(|_| {
            Failure::Refused("the key cannot be written to stdout, so no administrator was made".to_owned())
        })?;
        let made = candidate.commit(&store).await.map_err(|error| {
            Failure::Refused(format!("{error}; no administrator was made, and the key above is worth nothing"))
        })?;
        store.close().await;
        made.map(drop).ok_or_else(taken)
    }
}
