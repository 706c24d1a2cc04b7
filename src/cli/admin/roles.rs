//! `brevet admin roles`.

use clap::Subcommand;

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::admin;
use crate::wire::admin::role::{RoleRule, Roles as List, SetRoles};

/// Which roles principals may name when they mint, beside the one in the provider settings
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  brevet admin roles add --team red arn:aws:iam::111122223333:role/batch --principal service_account"
)]
pub(in crate::cli) enum Roles {
    /// List a team's roles
    #[command(after_help = "Example:\n  brevet admin roles list --team red")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Add a role, or say anew who may name it
    #[command(
        after_help = "Example:\n  brevet admin roles add --team red arn:aws:iam::111122223333:role/batch --principal service_account:builder"
    )]
    Add {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The role's ARN
        role_arn: String,
        /// everyone (the default), user, service_account, user:UID or service_account:UID; once for each
        #[arg(long = "principal", value_name = "WHO")]
        principals: Vec<String>,
    },
    /// Take a role off the list
    #[command(after_help = "Example:\n  brevet admin roles remove --team red arn:aws:iam::111122223333:role/batch")]
    Remove {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The role's ARN
        role_arn: String,
    },
}

impl Roles {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, team } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.roles(&team).await?, |list| show(output.out(), list))
            }
            Self::Add { flags, team, role_arn, mut principals } => {
                let output = run.output.as_json(flags.json);
                let admin = admin(run, &flags).await?;
                if principals.is_empty() {
                    principals.push("everyone".to_owned());
                }
                let List { mut items, version } = admin.roles(&team).await?;
                items.retain(|rule| rule.role_arn != role_arn);
                items.push(RoleRule { role_arn, principals });
                let list = admin.set_roles(&team, version, &SetRoles { items }).await?;
                output.data(&list, |list| show(output.out(), list))
            }
            Self::Remove { flags, team, role_arn } => {
                let output = run.output.as_json(flags.json);
                let admin = admin(run, &flags).await?;
                let List { mut items, version } = admin.roles(&team).await?;
                let before = items.len();
                items.retain(|rule| rule.role_arn != role_arn);
                if items.len() == before {
                    return Err(Failure::Refused(format!("{role_arn} is not on the list of team {team}")));
                }
                let list = admin.set_roles(&team, version, &SetRoles { items }).await?;
                output.data(&list, |list| show(output.out(), list))
            }
        }
    }
}

fn show(paint: Paint, list: &List) -> String {
    let row = |rule: &RoleRule| [rule.role_arn.clone(), rule.principals.join(" ")];
    table(paint, ["ROLE", "WHO MAY NAME IT"], list.items.iter().map(row))
}
