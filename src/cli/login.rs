//! `brevet login`: an enrolment code becomes a saved session.

use time::Duration;

use super::Run;
use super::arguments::{self, IssuerFlags};
use super::outcome::Failure;
use super::remote::{client, named_issuer, sessions, stamp};
use crate::client::saved_session::SavedSession;
use crate::config::client::ClientSettings;
use crate::config::env;
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::secret::Secret;

/// Sign in at an issuer with a one-time enrolment code
///
/// The session is saved in $XDG_STATE_HOME/brevet, readable by you alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet login --issuer https://id.example.com --code -     (asks on stdin)\n  \
                        brevet login --code bvt_en_…     (again at the same issuer)")]
pub(super) struct Login {
    #[command(flatten)]
    issuer: IssuerFlags,
    /// The enrolment code, or - to read it from stdin: an argument stays in the shell's history and shows in
    /// the process list, though the code is worth nothing once it is redeemed
    #[arg(long, value_name = "CODE")]
    code: String,
    /// What to call this device in the list of your sessions
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

impl Login {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = ClientSettings::read(&self.issuer.add(run.given.clone()))?;
        let issuer = named_issuer(&settings)?;
        let folder = sessions(&settings)?;
        let code = enrolment_code(arguments::secret(&self.code)?)?;
        let client = client(issuer.as_str(), &settings.outbound)?;
        let opened = client.open_session(code, self.device).await?;
        let session = SavedSession {
            issuer: issuer.to_string(),
            access_token: opened.access_token,
            expires_at: run.clock.now() + Duration::seconds(opened.expires_in),
            session_id: opened.session_id,
            user_uid: opened.user_uid,
        };
        if let Err(error) = folder.save(&session) {
            // A session that nobody can use any more must not live on for 12 h.
            let ended = client.end_session(&session.access_token.0, &session.session_id).await;
            let fate = if ended.is_ok() { "the session was ended again" } else { "the session lives on unused" };
            return Err(Failure::Refused(format!("{error}; {fate}")));
        }
        let until = stamp(session.expires_at);
        run.output.say(format_args!("signed in to {issuer} as {} until {until}", session.user_uid));
        if settings.token.is_some() {
            let set = if run.given.text(&env::TOKEN)?.is_some() { &env::TOKEN } else { &env::TOKEN_FILE };
            run.output.say(format_args!("note: {} is set and goes before the session", set.name));
        }
        Ok(())
    }
}

/// Tells a mistyped code before it is sent anywhere.
fn enrolment_code(text: Secret) -> Result<Secret, Failure> {
    let parsed = OpaqueCredential::parse(text.expose()).map_err(|rule| Failure::Usage(format!("--code {rule}")))?;
    match parsed.kind() {
        CredentialKind::Enrolment => Ok(text),
        other => Err(Failure::Usage(format!("--code must be an enrolment code (bvt_en_…), not a {other}"))),
    }
}
