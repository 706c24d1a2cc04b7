//! `brevet logout`: ends the saved session, at the issuer and here.

use super::Run;
use super::arguments::ClientFlags;
use super::outcome::Failure;
use super::remote::{client, named_issuer, sessions, stamp};
use crate::client::ClientError;
use crate::config::client::ClientSettings;

/// End the saved session, at the issuer and on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet logout")]
pub(super) struct Logout {
    #[command(flatten)]
    flags: ClientFlags,
}

impl Logout {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = ClientSettings::read(&self.flags.add(run.given.clone()))?;
        let folder = sessions(&settings)?;
        if settings.issuer.is_none() && folder.issuers()?.is_empty() {
            run.output.say("not signed in");
            return Ok(());
        }
        let issuer = named_issuer(&settings)?;
        let _lock = folder.lock(&issuer).await?;
        let Some(session) = folder.load(&issuer)? else {
            run.output.say(format_args!("not signed in to {issuer}"));
            return Ok(());
        };
        let client = client(issuer.as_str(), &settings.outbound)?;
        let ended = client.end_saved(&session).await;
        // Forgotten here whatever the issuer says: the user asked for that much, and we can do it.
        folder.remove(&issuer)?;
        match ended {
            Ok(()) => run.output.say(format_args!("signed out of {issuer}")),
            Err(ClientError::Refused { problem, .. }) if matches!(problem.status, 401 | 404) => {
                run.output.say(format_args!("signed out of {issuer}; the session had already ended there"));
            }
            Err(error) => {
                let until = stamp(session.end());
                run.output.say(format_args!("forgotten here, but the session lives on at {issuer} until {until}"));
                return Err(error.into());
            }
        }
        Ok(())
    }
}
