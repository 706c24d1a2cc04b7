//! `brevet admin members`.

use clap::Subcommand;

use super::remaining_sessions::hint;
use super::{set, state, switch};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::member::{ChangeMember, CreateMember, Member};

/// What a member may do in a team.
const ROLES: [&str; 3] = ["member", "auditor", "admin"];

/// Which people may act in a team, and as what
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
    /// Let a person who is known act in a team
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
    /// Make a new person known, as a member of a team
    #[command(after_help = "Example:\n  brevet admin members create --team red --uid ann --name Ann --role admin")]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// 2 to 48 characters of A-Z, a-z, 0-9, _ and -; stands in every subject and is never reused
        #[arg(long)]
        uid: Option<String>,
        /// What people call them
        #[arg(long)]
        name: String,
        /// For people to recognise them by
        #[arg(long)]
        email: Option<String>,
        /// member mints for themselves, auditor also sees what admins see, admin also changes the team
        #[arg(long, value_parser = ROLES)]
        role: Option<String>,
    },
    /// Give a member another role, or disable or enable them in this team
    #[command(after_help = "Example:\n  brevet admin members update --team red ann --role admin")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The person's uid
        user: String,
        /// member mints for themselves, auditor also sees what admins see, admin also changes the team
        #[arg(long, value_parser = ROLES)]
        role: Option<String>,
        /// From the moment this returns, the person mints nothing in the team
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Undo --disable
        #[arg(long)]
        enable: bool,
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
                let members = admin(run, &flags).await?.members(&team).await?;
                output.data(&members, |members| list(output.out(), members))
            }
            Self::Add { flags, team, user } => {
                let output = run.output.as_json(flags.json);
                let member = admin(run, &flags).await?.add_member(&team, &user).await?;
                output.data(&member, |member| format!("user {} is in team {}", member.user_uid, member.team_uid))
            }
            Self::Create { flags, team, uid, name, email, role } => {
                let output = run.output.as_json(flags.json);
                let member = CreateMember { uid, name, email, role };
                let member = admin(run, &flags).await?.create_member(&team, &member).await?;
                output.data(&member, |member| list(output.out(), std::slice::from_ref(member)))
            }
            Self::Update { flags, team, user, role, disable, enable } => {
                let output = run.output.as_json(flags.json);
                let change = ChangeMember { role: set(role), disabled: switch(disable, enable) };
                let member = admin(run, &flags).await?.change_member(&team, &user, &change).await?;
                output.data(&member, |member| list(output.out(), std::slice::from_ref(member)))?;
                if disable {
                    hint(output, &team, &format!("user:{user}"));
                }
                Ok(())
            }
            Self::Remove { flags, team, user } => {
                admin(run, &flags).await?.remove_member(&team, &user).await?;
                run.output.say(format_args!("user {user} is not in team {team} any more"));
                hint(run.output, &team, &format!("user:{user}"));
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, members: &[Member]) -> String {
    let row = |member: &Member| {
        let Member { user_uid, name, role, .. } = member.clone();
        [user_uid, name, role, state(member.disabled_at), stamp(member.created_at)]
    };
    table(paint, ["USER", "NAME", "ROLE", "STATE", "SINCE"], members.iter().map(row))
}
