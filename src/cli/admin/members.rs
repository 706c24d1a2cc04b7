//! `brevet admin members`.

use clap::Subcommand;

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::table;
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::member::Member;

/// Which people may act in a team
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin members add --team red ann")]
pub(in crate::cli) enum Members {
    /// List a team's people
    #[command(after_help = "Example:\n  brevet admin members list --team red")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Let a person act in a team
    #[command(after_help = "Example:\n  brevet admin members add --team red ann")]
    Add {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The person's uid
        user: String,
    },
    /// From the moment this returns, the person mints nothing in the team
    #[command(after_help = "Example:\n  brevet admin members remove --team red ann")]
    Remove {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The person's uid
        user: String,
    },
}

impl Members {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, team } => {
                let output = run.output.as_json(flags.json);
                let row = |member: &Member| [member.user_uid.clone(), stamp(member.created_at)];
                let members = admin(run, &flags)?.members(&team).await?;
                output.data(&members, |members| table(output.out(), ["USER", "SINCE"], members.iter().map(row)))
            }
            Self::Add { flags, team, user } => {
                let output = run.output.as_json(flags.json);
                let member = admin(run, &flags)?.add_member(&team, &user).await?;
                output.data(&member, |member| format!("user {} is in team {}", member.user_uid, member.team_uid))
            }
            Self::Remove { flags, team, user } => {
                admin(run, &flags)?.remove_member(&team, &user).await?;
                run.output.say(format_args!("user {user} is not in team {team} any more"));
                Ok(())
            }
        }
    }
}
