//! `brevet admin …`: the admin API from a terminal, and the first administrator key.
//!
//! One file a resource, each with its subcommands, its calls and its table.
//! Does not own what may be done: the issuer decides and answers.

mod administrators;
mod audiences;
mod audit;
mod enrolment_codes;
mod identities;
mod init;
mod issuer;
mod members;
mod platform_keys;
mod policy;
mod provider_settings;
mod public_keys;
mod remaining_sessions;
mod roles;
mod runs;
mod service_accounts;
mod sessions;
mod teams;
mod trust_rules;
mod upstream_providers;
mod users;
mod worker_keys;

use clap::Subcommand;

use super::Run;
use super::outcome::Failure;
use super::output::Output;
use crate::wire::secret_text::SecretText;

/// Administer an installation: teams, people, agents, keys, policies, audit
#[derive(Debug, Subcommand)]
#[command(
    after_help = "All but `init` need an administrator key in BREVET_TOKEN or BREVET_TOKEN_FILE;\nadmins and auditors of a team may be signed in with `brevet login` instead.\n\n\
                        Example:\n  brevet admin teams create --uid red --name Red"
)]
pub(super) enum Admin {
    Init(init::Init),
    #[command(subcommand)]
    Teams(teams::Teams),
    #[command(subcommand)]
    Users(users::Users),
    #[command(subcommand)]
    Identities(identities::Identities),
    #[command(subcommand)]
    UpstreamProviders(upstream_providers::UpstreamProviders),
    #[command(subcommand)]
    Members(members::Members),
    #[command(subcommand)]
    ServiceAccounts(service_accounts::ServiceAccounts),
    #[command(subcommand)]
    PublicKeys(public_keys::PublicKeys),
    #[command(subcommand)]
    TrustRules(trust_rules::TrustRules),
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    RemainingSessions(remaining_sessions::RemainingSessions),
    #[command(subcommand)]
    Runs(runs::Runs),
    #[command(subcommand)]
    EnrolmentCodes(enrolment_codes::EnrolmentCodes),
    #[command(subcommand)]
    WorkerKeys(worker_keys::WorkerKeys),
    #[command(subcommand)]
    PlatformKeys(platform_keys::PlatformKeys),
    #[command(subcommand)]
    Administrators(administrators::Administrators),
    #[command(subcommand)]
    Audiences(audiences::Audiences),
    #[command(subcommand)]
    Roles(roles::Roles),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Issuer(issuer::Issuer),
    #[command(subcommand)]
    ProviderSettings(Box<provider_settings::ProviderSettings>),
    Audit(Box<audit::Audit>),
}

impl Admin {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Init(command) => command.run(run).await,
            Self::Teams(command) => command.run(run).await,
            Self::Users(command) => command.run(run).await,
            Self::Identities(command) => command.run(run).await,
            Self::UpstreamProviders(command) => command.run(run).await,
            Self::Members(command) => command.run(run).await,
            Self::ServiceAccounts(command) => command.run(run).await,
            Self::PublicKeys(command) => command.run(run).await,
            Self::TrustRules(command) => command.run(run).await,
            Self::Sessions(command) => command.run(run).await,
            Self::RemainingSessions(command) => command.run(run).await,
            Self::Runs(command) => command.run(run).await,
            Self::EnrolmentCodes(command) => command.run(run).await,
            Self::WorkerKeys(command) => command.run(run).await,
            Self::PlatformKeys(command) => command.run(run).await,
            Self::Administrators(command) => command.run(run).await,
            Self::Audiences(command) => command.run(run).await,
            Self::Roles(command) => command.run(run).await,
            Self::Policy(command) => command.run(run).await,
            Self::Issuer(command) => command.run(run).await,
            Self::ProviderSettings(command) => command.run(run).await,
            Self::Audit(command) => command.run(run).await,
        }
    }
}

/// Shows a secret that was just made: alone on stdout, so that it can be piped into a file or a vault.
fn show_key(output: Output, key: Option<&SecretText>, words: &str) -> Result<(), Failure> {
    match key {
        Some(key) => {
            output.say(words);
            output.line(key.expose())
        }
        None => Err(Failure::Refused("the issuer answered without the secret".to_owned())),
    }
}

/// `disabled since …`, or `active`.
fn state(disabled_at: Option<time::OffsetDateTime>) -> String {
    disabled_at.map_or_else(|| "active".to_owned(), |at| format!("disabled since {}", super::remote::stamp(at)))
}

/// What two opposite flags say: nothing, on or off.
const fn switch(on: bool, off: bool) -> crate::wire::patch::Patch<bool> {
    match (on, off) {
        (true, _) => crate::wire::patch::Patch::Set(true),
        (false, true) => crate::wire::patch::Patch::Set(false),
        (false, false) => crate::wire::patch::Patch::Keep,
    }
}

/// A flag that sets a value if it was given.
fn set<T>(value: Option<T>) -> crate::wire::patch::Patch<T> {
    value.map_or(crate::wire::patch::Patch::Keep, crate::wire::patch::Patch::Set)
}

/// `on` or `off`, as flags that can also go back to the default take it.
fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}
