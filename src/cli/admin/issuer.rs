//! `brevet admin issuer`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_team;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::team_issuer::TeamIssuers;

/// A team's private issuer
///
/// Tokens of the shared issuer are told apart by their subject. A private issuer, `<issuer>/t/<team>`, has keys that sign
/// for one team alone. Make it, register both in AWS IAM, then let it mint: brevet admin policy set --minted-by private.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin issuer make --team red")]
pub(in crate::cli) enum Issuer {
    /// Show a team's issuers and which of them mints
    #[command(after_help = "Example:\n  brevet admin issuer show --team red")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Make a team's private issuer and publish its keys; it does not mint yet
    #[command(after_help = "Example:\n  brevet admin issuer make --team red")]
    Make {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Destroy a team's private issuer and its keys, for ever: the team never gets another one
    #[command(after_help = "Example:\n  brevet admin issuer delete --team red")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
}

impl Issuer {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Show { flags, team } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.team_issuers(&team).await?, |found| show(output.out(), found))
            }
            Self::Make { flags, team } => {
                let output = run.output.as_json(flags.json);
                let made = admin(run, &flags).await?.make_team_issuer(&team).await?;
                output.data(&made, |found| show(output.out(), found))?;
                if made.mints == "shared" {
                    run.output.say(format_args!(
                        "It is published and does not mint yet. Register it beside the other one with\n  \
                         brevet aws setup --team {team} --minted-by private\nthen let it mint with\n  \
                         brevet admin policy set --team {team} --minted-by private"
                    ));
                }
                Ok(())
            }
            Self::Delete { flags, team } => {
                admin(run, &flags).await?.delete_team_issuer(&team).await?;
                run.output.say(format_args!(
                    "the private issuer of team {team} is destroyed; delete its identity providers in AWS IAM too"
                ));
                hint_of_team(run.output, &team);
                Ok(())
            }
        }
    }
}

fn show(paint: Paint, found: &TeamIssuers) -> String {
    let mut lines = vec![
        ("mints", found.mints.clone()),
        ("issuer", found.issuer.clone()),
        ("shared issuer", found.shared_issuer.clone()),
    ];
    if let Some(private) = &found.private {
        lines.push(("private issuer", private.issuer.clone()));
        lines.push(("its keys", private.jwks_uri.clone()));
        lines.push(("made", stamp(private.created_at)));
    }
    if let Some(at) = found.private_deleted_at {
        lines.push(("private issuer", format!("destroyed {}", stamp(at))));
    }
    lines.push(("version", found.version.to_string()));
    fields(paint, &lines)
}
