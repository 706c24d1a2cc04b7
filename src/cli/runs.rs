//! `brevet runs`: open, list and end runs.

use std::collections::BTreeMap;

use clap::Subcommand;

use super::Run;
use super::arguments::{self, ClientFlags};
use super::outcome::Failure;
use super::output::{Output, Paint, table};
use super::remote::{Remote, stamp};
use crate::client::runs::RunsOf;
use crate::wire::run::{self as wire, OpenRun, RunSettings};

/// Open a run with a bearer of its own, list runs, end one
///
/// The bearer mints like you, but only for the run's audiences, role, number of tokens and time, and no longer than
/// you could.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet runs open --ends-in 1h --tokens 20 > run.bearer")]
pub(super) enum Runs {
    /// Open a run and print its bearer, once: alone on stdout
    #[command(after_help = "Examples:\n  brevet runs open --ends-in 1h --label project=apollo > run.bearer\n  \
                      brevet runs open --on-behalf-of service_account:robot --audience https://inference.example.com")]
    Open(Box<Open>),
    /// List your runs, the newest first; with an administrator key, everyone's
    #[command(after_help = "Example:\n  brevet runs list --open")]
    List {
        #[command(flatten)]
        client: ClientFlags,
        /// Of one team
        #[arg(long, value_name = "UID")]
        team: Option<String>,
        /// Of one principal: user:UID or service_account:UID
        #[arg(long, value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Only those that go on
        #[arg(long)]
        open: bool,
        /// Print data as JSON
        #[arg(long)]
        json: bool,
    },
    /// End a run before its time: from the moment this returns, its bearer mints nothing
    #[command(after_help = "Example:\n  brevet runs end 4Wp0Zb1cQmT7hK2sXy9d")]
    End {
        #[command(flatten)]
        client: ClientFlags,
        /// The run's id
        run: String,
    },
}

/// What a run is opened with.
#[derive(Debug, clap::Args)]
pub(super) struct Open {
    #[command(flatten)]
    client: ClientFlags,
    /// For whom, with a platform key: user:UID or service_account:UID
    #[arg(long, value_name = "PRINCIPAL")]
    on_behalf_of: Option<String>,
    /// In which team, for a person in several
    #[arg(long, value_name = "UID")]
    team: Option<String>,
    /// For whom its bearer may mint; once for each; the team's first audience by default
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// The one role that its tokens for AWS STS are bound to
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// No token of it lives longer, such as 5m
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
    lifetime_cap: Option<u32>,
    /// How many tokens its bearer gets in all
    #[arg(long, value_name = "NUMBER")]
    tokens: Option<u32>,
    /// When it ends, 1m to 168h from now; 24h by default
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
    ends_in: Option<u32>,
    /// What it is called; once for each. Under keys that the team lists they become session tags
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A model that may be called in it, among those the team allows; once for each
    #[arg(long = "allow-model", value_name = "MODEL")]
    allowed_models: Vec<String>,
    /// Print the run and its bearer as JSON
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Open(open) => open.run(run).await,
            Self::List { client, team, principal, open, json } => {
                let remote = Remote::open(run, &client).await?;
                let output = run.output.as_json(json);
                let runs = remote.client.runs(&remote.token, &RunsOf { team, principal, open }).await?;
                output.data(&runs, |runs| list(output.out(), runs))
            }
            Self::End { client, run: id } => {
                let remote = Remote::open(run, &client).await?;
                remote.client.end_run(&remote.token, &id).await?;
                run.output.say(format_args!("run {id} is over"));
                Ok(())
            }
        }
    }
}

impl Open {
    async fn run(self, run: &Run) -> Result<(), Failure> {
        let remote = Remote::open(run, &self.client).await?;
        let output = run.output.as_json(self.json);
        let opened = remote.client.open_run(&remote.token, &self.request()).await?;
        if output.is_json() {
            return output.data(&opened, |_| String::new());
        }
        let until = stamp(opened.run.ends_at);
        output.say(format_args!("run {} until {until}; its bearer, shown this once:", opened.run.id));
        bearer(output, &opened)
    }

    fn request(self) -> OpenRun {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        let settings = RunSettings { allowed_models: some(self.allowed_models), ..RunSettings::default() };
        OpenRun {
            on_behalf_of: self.on_behalf_of,
            team_uid: self.team,
            audiences: some(self.audiences),
            role_arn: self.role_arn,
            lifetime_cap_seconds: self.lifetime_cap,
            tokens_max: self.tokens,
            ends_in_seconds: self.ends_in,
            ends_at: None,
            labels: (!self.labels.is_empty()).then(|| self.labels.into_iter().collect::<BTreeMap<_, _>>()),
            provider_settings: (settings != RunSettings::default()).then_some(settings),
        }
    }
}

fn bearer(output: Output, opened: &wire::OpenedRun) -> Result<(), Failure> {
    match &opened.bearer {
        Some(bearer) => output.line(bearer.expose()),
        None => Err(Failure::Refused("the issuer answered without the bearer".to_owned())),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn list(paint: Paint, runs: &[wire::Run]) -> String {
    let row = |run: &wire::Run| {
        let tokens = match run.tokens_max {
            Some(max) => format!("{} of {max}", run.tokens_issued),
            None => run.tokens_issued.to_string(),
        };
        let times = (stamp(run.created_at), stamp(run.ended_at.unwrap_or(run.ends_at)));
        [run.id.clone(), run.team_uid.clone(), run.principal.clone(), run.state.clone(), tokens, times.0, times.1]
    };
    table(paint, ["ID", "TEAM", "PRINCIPAL", "STATE", "TOKENS", "OPENED", "ENDS"], runs.iter().map(row))
}
