//! `brevet admin policy`.

use clap::Subcommand;

use super::{on_off, set};
use crate::cli::Run;
use crate::cli::arguments::{self, AdminFlags};
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields};
use crate::cli::remote::admin;
use crate::wire::admin::policy::{ChangePolicy, Joining, Policy as Shown};
use crate::wire::patch::Patch;

/// What a team allows its principals
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin policy set --team red --lifetime-cap 15m")]
#[expect(clippy::large_enum_variant, reason = "one is made in a process")]
pub(in crate::cli) enum Policy {
    /// Show a team's policy
    #[command(after_help = "Example:\n  brevet admin policy show --team red")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Change a team's policy
    #[command(after_help = "Example:\n  brevet admin policy set --team red --lifetime-cap 15m")]
    Set {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// No token of the team lives longer: 60s to 1h
        #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
        lifetime_cap: Option<u32>,
        /// required binds each token for AWS STS to one role; off lets any role that admits the subject take it
        #[arg(long, value_parser = ["required", "off"])]
        roles_claim: Option<String>,
        /// Whether sessions opened with an enrolment code mint for this team: on or off
        #[arg(long, value_name = "ON|OFF", value_parser = on_off)]
        enrolment_codes: Option<bool>,
        /// Whose sessions mint for this team: uids of sign-in providers with a comma between; "" for none
        #[arg(long, value_name = "UIDS")]
        upstream_providers: Option<String>,
        /// Whether people's tokens say how their provider authenticated them (amr): on or off
        #[arg(long, value_name = "ON|OFF", value_parser = on_off)]
        amr_claim: Option<bool>,
        /// Who of a provider's people joins by signing in, once for each rule; replaces the whole list
        #[arg(long = "join", value_name = "PROVIDER:domain=D|PROVIDER:group=G", value_parser = joining)]
        joins: Vec<Joining>,
        /// Let nobody join by signing in
        #[arg(long, conflicts_with = "joins")]
        no_joins: bool,
        /// Which issuer mints: shared, or the team's private one (made with `brevet admin issuer make`)
        #[arg(long, value_parser = ["shared", "private"])]
        minted_by: Option<String>,
        /// Which labels of a run become session tags, with a comma between; "" for none
        #[arg(long, value_name = "KEYS")]
        session_tag_keys: Option<String>,
        /// A session tag of every token for AWS STS, once for each; replaces the whole list
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        cost_tag: Vec<(String, String)>,
        /// Take all cost tags off
        #[arg(long, conflicts_with = "cost_tag")]
        no_cost_tags: bool,
        /// From where principals may ask for tokens: addresses or CIDR ranges with a comma between; "" for everywhere
        #[arg(long, value_name = "RANGES")]
        address_ranges: Option<String>,
        /// Whether people mint anywhere or only in runs
        #[arg(long, value_parser = ["anywhere", "in_runs_only"])]
        people_mint: Option<String>,
    },
}

impl Policy {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Show { flags, team } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.policy(&team).await?, |policy| show(output.out(), policy))
            }
            Self::Set {
                flags,
                team,
                lifetime_cap,
                roles_claim,
                enrolment_codes,
                upstream_providers,
                amr_claim,
                joins,
                no_joins,
                minted_by,
                session_tag_keys,
                cost_tag,
                no_cost_tags,
                address_ranges,
                people_mint,
            } => {
                let output = run.output.as_json(flags.json);
                let change = ChangePolicy {
                    lifetime_cap_seconds: set(lifetime_cap),
                    roles_claim: set(roles_claim),
                    enrolment_codes: set(enrolment_codes),
                    upstream_providers: set(upstream_providers.as_deref().map(entries)),
                    amr_claim: set(amr_claim),
                    joins: match (joins.is_empty(), no_joins) {
                        (false, _) => Patch::Set(joins),
                        (true, true) => Patch::Clear,
                        (true, false) => Patch::Keep,
                    },
                    issuer: set(minted_by),
                    session_tag_keys: set(session_tag_keys.as_deref().map(entries)),
                    cost_tags: match (cost_tag.is_empty(), no_cost_tags) {
                        (false, _) => Patch::Set(cost_tag.into_iter().collect()),
                        (true, true) => Patch::Clear,
                        (true, false) => Patch::Keep,
                    },
                    address_ranges: set(address_ranges.as_deref().map(entries)),
                    people_mint: set(people_mint),
                };
                let policy = admin(run, &flags).await?.change_policy(&team, &change).await?;
                output.data(&policy, |policy| show(output.out(), policy))
            }
        }
    }
}

fn entries(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be KEY=VALUE".to_owned())
}

fn joining(text: &str) -> Result<Joining, String> {
    let parts = text.split_once(':').and_then(|(provider, by)| Some((provider, by.split_once('=')?)));
    let (email_domain, group) = match parts {
        Some((_, ("domain", domain))) => (Some(domain.to_owned()), None),
        Some((_, ("group", group))) => (None, Some(group.to_owned())),
        _ => return Err("must be PROVIDER:domain=DOMAIN or PROVIDER:group=GROUP".to_owned()),
    };
    let provider_uid = parts.map(|(provider, _)| provider.to_owned()).unwrap_or_default();
    Ok(Joining { provider_uid, email_domain, group })
}

fn rule(joining: &Joining) -> String {
    let Joining { provider_uid, email_domain, group } = joining;
    match (email_domain, group) {
        (Some(domain), _) => format!("{provider_uid}:domain={domain}"),
        (None, group) => format!("{provider_uid}:group={}", group.as_deref().unwrap_or_default()),
    }
}

fn show(paint: Paint, policy: &Shown) -> String {
    let tags: Vec<_> = policy.cost_tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    fields(
        paint,
        &[
            ("lifetime cap", format!("{} s", policy.lifetime_cap_seconds)),
            ("roles claim", policy.roles_claim.clone()),
            ("enrolment codes", if policy.enrolment_codes { "on" } else { "off" }.to_owned()),
            ("sign-in providers", listed(&policy.upstream_providers, "none")),
            ("joins", listed(&policy.joins.iter().map(rule).collect::<Vec<_>>(), "nobody")),
            ("amr claim", if policy.amr_claim { "on" } else { "off" }.to_owned()),
            ("issuer", policy.issuer.clone()),
            ("session tag keys", listed(&policy.session_tag_keys, "none")),
            ("cost tags", listed(&tags, "none")),
            ("addresses", listed(&policy.address_ranges, "everywhere")),
            ("people mint", policy.people_mint.replace('_', " ")),
            ("version", policy.version.to_string()),
        ],
    )
}

fn listed(entries: &[String], none: &str) -> String {
    if entries.is_empty() { none.to_owned() } else { entries.join(", ") }
}
