//! `brevet admin identities`.

use clap::{Args, Subcommand};

use super::remaining_sessions::hint_of_user;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::identity::{CreateIdentity, Identity};

/// Who people are at the providers where they sign in
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin identities link ann --provider okta --subject 00u1b2c3")]
pub(in crate::cli) enum Identities {
    /// List who a person is at the providers
    #[command(after_help = "Example:\n  brevet admin identities list ann")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        user: String,
    },
    /// Say who a provider's subject is, before they first sign in
    #[command(after_help = "Example:\n  brevet admin identities link ann --provider okta --subject 00u1b2c3")]
    Link(One),
    /// Take that back: from the moment this returns, sessions that began with it mint nothing
    #[command(after_help = "Example:\n  brevet admin identities unlink ann --provider okta --subject 00u1b2c3")]
    Unlink(One),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    #[command(flatten)]
    flags: AdminFlags,
    /// The person's uid
    user: String,
    /// The provider's uid
    #[arg(long)]
    provider: String,
    /// The provider's name for the person: the sub of its ID tokens
    // Made of base64url at some providers, where one in 64 begins with a hyphen.
    #[arg(long, allow_hyphen_values = true)]
    subject: String,
}

impl Identities {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, user } => {
                let output = run.output.as_json(flags.json);
                let identities = admin(run, &flags).await?.identities(&user).await?.items;
                output.data(&identities, |identities| list(output.out(), identities))
            }
            Self::Link(One { flags, user, provider, subject }) => {
                let output = run.output.as_json(flags.json);
                let body = CreateIdentity { provider_uid: provider, subject };
                let identity = admin(run, &flags).await?.link_identity(&user, &body).await?;
                output.data(&identity, |identity| list(output.out(), std::slice::from_ref(identity)))
            }
            Self::Unlink(One { flags, user, provider, subject }) => {
                admin(run, &flags).await?.unlink_identity(&user, &provider, &subject).await?;
                run.output.say(format_args!("{user} is nobody at {provider} by that subject any more"));
                hint_of_user(run.output, &user);
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, identities: &[Identity]) -> String {
    let row = |identity: &Identity| {
        let Identity { provider_uid, subject, created_at, signed_in_at, .. } = identity.clone();
        [provider_uid, subject, stamp(created_at), stamp_or_none(signed_in_at)]
    };
    table(paint, ["PROVIDER", "SUBJECT", "CREATED", "SIGNED IN"], identities.iter().map(row))
}
