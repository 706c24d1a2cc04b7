//! `brevet admin teams`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_team;
use super::{set, state, switch};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::team::{ChangeTeam, CreateTeam, Team};

/// Teams
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin teams create --uid red --name Red")]
pub(in crate::cli) enum Teams {
    /// List the teams
    #[command(after_help = "Example:\n  brevet admin teams list --json")]
    List(AdminFlags),
    /// Make a team
    #[command(after_help = "Example:\n  brevet admin teams create --uid red --name Red")]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// 2 to 48 characters of A-Z, a-z, 0-9, _ and -; stands in every subject and is never reused
        #[arg(long)]
        uid: Option<String>,
        /// What people call it
        #[arg(long)]
        name: String,
    },
    /// Show one team
    #[command(after_help = "Example:\n  brevet admin teams show red")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        uid: String,
    },
    /// Rename, disable or enable a team
    #[command(after_help = "Example:\n  brevet admin teams update red --disable")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        uid: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// From the moment this returns, nothing of the team mints
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Undo --disable
        #[arg(long)]
        enable: bool,
    },
    /// Delete a team for good; its uid is never reused
    #[command(after_help = "Example:\n  brevet admin teams delete red")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        uid: String,
    },
}

impl Teams {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.teams().await?, |teams| list(output.out(), teams))
            }
            Self::Create { flags, uid, name } => {
                let output = run.output.as_json(flags.json);
                let team = admin(run, &flags).await?.create_team(&CreateTeam { uid, name }).await?;
                output.data(&team, |team| show(output.out(), team))
            }
            Self::Show { flags, uid } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.team(&uid).await?, |team| show(output.out(), team))
            }
            Self::Update { flags, uid, name, disable, enable } => {
                let output = run.output.as_json(flags.json);
                let change = ChangeTeam { name: set(name), disabled: switch(disable, enable) };
                let team = admin(run, &flags).await?.change_team(&uid, &change).await?;
                output.data(&team, |team| show(output.out(), team))?;
                if disable {
                    hint_of_team(output, &uid);
                }
                Ok(())
            }
            Self::Delete { flags, uid } => {
                admin(run, &flags).await?.delete_team(&uid).await?;
                run.output.say(format_args!("team {uid} is deleted"));
                hint_of_team(run.output, &uid);
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, teams: &[Team]) -> String {
    let row = |team: &Team| [team.uid.clone(), team.name.clone(), state(team.disabled_at), stamp(team.created_at)];
    table(paint, ["UID", "NAME", "STATE", "CREATED"], teams.iter().map(row))
}

fn show(paint: Paint, team: &Team) -> String {
    fields(
        paint,
        &[
            ("uid", team.uid.clone()),
            ("name", team.name.clone()),
            ("state", state(team.disabled_at)),
            ("external id", team.external_id.clone()),
            ("created", stamp(team.created_at)),
            ("version", team.version.to_string()),
        ],
    )
}
