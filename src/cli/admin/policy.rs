//! `brevet admin policy`.

use clap::Subcommand;

use super::{on_off, set};
use crate::cli::Run;
use crate::cli::arguments::{self, AdminFlags};
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields};
use crate::cli::remote::admin;
use crate::wire::admin::policy::{ChangePolicy, Policy as Shown};

/// What a team allows its principals
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin policy set --team red --lifetime-cap 15m")]
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
        /// Which issuer mints: shared, or the team's private one (made with `brevet admin issuer make`)
        #[arg(long, value_parser = ["shared", "private"])]
        issuer: Option<String>,
    },
}

impl Policy {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Show { flags, team } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags)?.policy(&team).await?, |policy| show(output.out(), policy))
            }
            Self::Set { flags, team, lifetime_cap, roles_claim, enrolment_codes, issuer } => {
                let output = run.output.as_json(flags.json);
                let change = ChangePolicy {
                    lifetime_cap_seconds: set(lifetime_cap),
                    roles_claim: set(roles_claim),
                    enrolment_codes: set(enrolment_codes),
                    issuer: set(issuer),
                };
                let policy = admin(run, &flags)?.change_policy(&team, &change).await?;
                output.data(&policy, |policy| show(output.out(), policy))
            }
        }
    }
}

fn show(paint: Paint, policy: &Shown) -> String {
    fields(
        paint,
        &[
            ("lifetime cap", format!("{} s", policy.lifetime_cap_seconds)),
            ("roles claim", policy.roles_claim.clone()),
            ("enrolment codes", if policy.enrolment_codes { "on" } else { "off" }.to_owned()),
            ("issuer", policy.issuer.clone()),
            ("version", policy.version.to_string()),
        ],
    )
}
