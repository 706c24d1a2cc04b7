//! `brevet admin runs`: a team's runs, for who administers or audits it.

use clap::Subcommand;

use super::remaining_sessions::hint;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields};
use crate::cli::remote::{admin, stamp};
use crate::cli::runs::list;
use crate::client::runs::RunsOf;
use crate::wire::run as wire;

/// The runs of a team, whoever opened them
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin runs list --team red --open")]
pub(in crate::cli) enum Runs {
    /// List a team's runs, the newest first
    #[command(after_help = "Example:\n  brevet admin runs list --team red --principal user:ann --open")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// Of one principal: user:UID or service_account:UID
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Only those that go on
        #[arg(long)]
        open: bool,
    },
    /// Show one run
    #[command(after_help = "Example:\n  brevet admin runs show --team red 4Wp0Zb1cQmT7hK2sXy9d")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The run's id
        run: String,
    },
    /// End a run before its time: from the moment this returns, its bearer mints nothing
    #[command(after_help = "Example:\n  brevet admin runs end --team red 4Wp0Zb1cQmT7hK2sXy9d")]
    End {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// The run's id
        run: String,
    },
}

impl Runs {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, team, principal, open } => {
                let output = run.output.as_json(flags.json);
                let of = RunsOf { team: None, principal, open };
                output.data(&admin(run, &flags).await?.team_runs(&team, &of).await?, |runs| list(output.out(), runs))
            }
            Self::Show { flags, team, run: id } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.team_run(&team, &id).await?, |run| show(output.out(), run))
            }
            Self::End { flags, team, run: id } => {
                let admin = admin(run, &flags).await?;
                // Whose it is stands in what remains of it at AWS.
                let ended = admin.team_run(&team, &id).await?;
                admin.end_team_run(&team, &id).await?;
                run.output.say(format_args!("run {id} is over"));
                hint(run.output, &team, &ended.principal);
                Ok(())
            }
        }
    }
}

fn show(paint: Paint, run: &wire::Run) -> String {
    let tokens = match run.tokens_max {
        Some(max) => format!("{} of {max}", run.tokens_issued),
        None => run.tokens_issued.to_string(),
    };
    let labels: Vec<_> = run.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    fields(
        paint,
        &[
            ("id", run.id.clone()),
            ("team", run.team_uid.clone()),
            ("principal", run.principal.clone()),
            ("opener", run.opener.clone()),
            ("state", run.state.clone()),
            ("audiences", run.audiences.join(" ")),
            ("role", run.role_arn.clone().unwrap_or_default()),
            ("tokens", tokens),
            ("labels", labels.join(" ")),
            ("opened", stamp(run.created_at)),
            ("ends", stamp(run.ended_at.unwrap_or(run.ends_at))),
        ],
    )
}
