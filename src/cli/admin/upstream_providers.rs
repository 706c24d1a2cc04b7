//! `brevet admin upstream-providers`.

use clap::{Args, Subcommand};

use super::remaining_sessions::hint_of_anyone;
use super::{on_off, set, state, switch};
use crate::cli::Run;
use crate::cli::arguments::{self, AdminFlags};
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::upstream_provider::{ChangeUpstreamProvider, CreateUpstreamProvider, UpstreamProvider};
use crate::wire::patch::Patch;
use crate::wire::secret_text::SecretText;

/// OpenID providers at which people sign in
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  brevet admin upstream-providers create --uid okta --name Acme --from https://acme.okta.com --client-id 0oa1b2c3 --client-secret - < secret"
)]
pub(in crate::cli) enum UpstreamProviders {
    /// List the providers
    #[command(after_help = "Example:\n  brevet admin upstream-providers list --json")]
    List(AdminFlags),
    /// Set a provider up, and print the redirect URI to register there
    #[command(
        after_help = "Example:\n  brevet admin upstream-providers create --uid okta --name Acme --from https://acme.okta.com --client-id 0oa1b2c3 --client-secret - --email-domain acme.example < secret"
    )]
    Create(Box<Create>),
    /// Show one provider
    #[command(after_help = "Example:\n  brevet admin upstream-providers show okta")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The provider's uid
        uid: String,
    },
    /// Change, disable or enable a provider
    #[command(after_help = "Example:\n  brevet admin upstream-providers update okta --session 8h")]
    Update(Box<Update>),
    /// Delete a provider for good: sessions that began there end, the uid is never reused
    #[command(after_help = "Example:\n  brevet admin upstream-providers delete okta")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The provider's uid
        uid: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    flags: AdminFlags,
    /// A uid of your own; it is in the redirect URI
    #[arg(long)]
    uid: Option<String>,
    /// What the sign-in page calls it
    #[arg(long)]
    name: String,
    /// Its issuer, byte for byte the iss of its ID tokens
    #[arg(long, value_name = "URL")]
    from: String,
    /// What it knows us by
    #[arg(long, value_name = "ID")]
    client_id: String,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    flags: AdminFlags,
    /// The provider's uid
    uid: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// What it knows us by from now on
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    said: Said,
    /// Be a public client there
    #[arg(long, conflicts_with = "client_secret")]
    no_client_secret: bool,
    /// Read no groups
    #[arg(long, conflicts_with = "groups_claim")]
    no_groups_claim: bool,
    /// Tie no domain to it any more
    #[arg(long, conflicts_with = "email_domains")]
    no_email_domains: bool,
    /// From the moment this returns, nobody signs in there, and sessions that began there mint nothing
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Undo --disable
    #[arg(long)]
    enable: bool,
}

/// What both set.
#[derive(Debug, Args)]
pub(in crate::cli) struct Said {
    /// Our secret there; - reads it from stdin
    #[arg(long, value_name = "SECRET|-", allow_hyphen_values = true)]
    client_secret: Option<String>,
    /// A scope asked for beside openid, once for each; profile and email by default
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The claim of the ID token that lists a person's groups
    #[arg(long, value_name = "CLAIM")]
    groups_claim: Option<String>,
    /// A domain whose e-mail addresses the provider vouches for, once for each
    #[arg(long = "email-domain", value_name = "DOMAIN")]
    email_domains: Vec<String>,
    /// How long a session lasts after the sign-in behind it: 15m to 720h; 12h by default
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
    session: Option<u32>,
    /// Whether only people with an address that the provider has verified may sign in: on or off
    #[arg(long, value_name = "ON|OFF", value_parser = on_off)]
    require_verified_email: Option<bool>,
}

impl UpstreamProviders {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                let providers = admin(run, &flags).await?.upstream_providers().await?;
                output.data(&providers, |providers| list(output.out(), providers))
            }
            Self::Create(create) => {
                let Create { flags, uid, name, from, client_id, said } = *create;
                let output = run.output.as_json(flags.json);
                let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
                let body = CreateUpstreamProvider {
                    uid,
                    name,
                    issuer: from,
                    client_id,
                    client_secret: secret(said.client_secret.as_deref())?,
                    scopes: some(said.scopes),
                    groups_claim: said.groups_claim,
                    email_domains: some(said.email_domains),
                    session_seconds: said.session,
                    require_verified_email: said.require_verified_email,
                };
                let provider = admin(run, &flags).await?.create_upstream_provider(&body).await?;
                output.data(&provider, |provider| show(output.out(), provider))
            }
            Self::Show { flags, uid } => {
                let output = run.output.as_json(flags.json);
                let provider = admin(run, &flags).await?.upstream_provider(&uid).await?;
                output.data(&provider, |provider| show(output.out(), provider))
            }
            Self::Update(update) => {
                let Update { flags, uid, name, client_id, said, .. } = *update;
                let output = run.output.as_json(flags.json);
                let body = ChangeUpstreamProvider {
                    name: set(name),
                    client_id: set(client_id),
                    client_secret: or_clear(secret(said.client_secret.as_deref())?, update.no_client_secret),
                    scopes: or_clear((!said.scopes.is_empty()).then_some(said.scopes), false),
                    groups_claim: or_clear(said.groups_claim, update.no_groups_claim),
                    email_domains: or_clear(
                        (!said.email_domains.is_empty()).then_some(said.email_domains),
                        update.no_email_domains,
                    ),
                    session_seconds: set(said.session),
                    require_verified_email: set(said.require_verified_email),
                    disabled: switch(update.disable, update.enable),
                };
                let provider = admin(run, &flags).await?.change_upstream_provider(&uid, &body).await?;
                output.data(&provider, |provider| show(output.out(), provider))?;
                if update.disable {
                    hint_of_anyone(output);
                }
                Ok(())
            }
            Self::Delete { flags, uid } => {
                admin(run, &flags).await?.delete_upstream_provider(&uid).await?;
                run.output.say(format_args!("upstream provider {uid} is deleted"));
                hint_of_anyone(run.output);
                Ok(())
            }
        }
    }
}

fn secret(argument: Option<&str>) -> Result<Option<SecretText>, Failure> {
    argument.map(|argument| arguments::secret(argument).map(SecretText)).transpose()
}

fn or_clear<T>(value: Option<T>, clear: bool) -> Patch<T> {
    if clear { Patch::Clear } else { set(value) }
}

fn list(paint: Paint, providers: &[UpstreamProvider]) -> String {
    let row = |provider: &UpstreamProvider| {
        let UpstreamProvider { uid, name, issuer, client_id, .. } = provider.clone();
        [uid, name, issuer, client_id, state(provider.disabled_at)]
    };
    table(paint, ["UID", "NAME", "ISSUER", "CLIENT ID", "STATE"], providers.iter().map(row))
}

fn show(paint: Paint, provider: &UpstreamProvider) -> String {
    fields(
        paint,
        &[
            ("uid", provider.uid.clone()),
            ("name", provider.name.clone()),
            ("issuer", provider.issuer.clone()),
            ("client id", provider.client_id.clone()),
            ("client secret", if provider.has_client_secret { "set" } else { "none: a public client" }.to_owned()),
            ("redirect URI", provider.redirect_uri.clone()),
            ("back-channel logout URI", provider.backchannel_logout_uri.clone()),
            ("scopes", format!("openid {}", provider.scopes.join(" "))),
            ("groups claim", provider.groups_claim.clone().unwrap_or_else(|| "none".to_owned())),
            ("e-mail domains", provider.email_domains.join(" ")),
            ("session", format!("{} s", provider.session_seconds)),
            ("verified e-mail", if provider.require_verified_email { "required" } else { "not required" }.to_owned()),
            ("state", state(provider.disabled_at)),
            ("created", stamp(provider.created_at)),
            ("version", provider.version.to_string()),
        ],
    )
}
