//! The command line and composition root: arguments, settings, parts; one file per command.
//!
//! May import: every lower floor. The only place that names clap.

mod admin;
mod arguments;
mod aws;
mod browser;
mod completion;
mod demo;
mod first_start;
mod help;
mod issuer_server;
mod keys;
mod limits;
mod log_lines;
mod login;
mod logout;
mod opened_store;
mod outcome;
mod output;
mod remote;
mod runs;
mod sandbox;
mod serve;
mod shutdown;
mod store;
mod telemetry;
mod token;
mod whoami;
mod worker;
mod worker_server;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ContextValue;
use clap::{Parser, Subcommand};

use self::arguments::Common;
pub use self::outcome::{Exit, Failure};
use self::output::Output;
use crate::config::env::{self, Environment};
use crate::config::host::{SystemClock, SystemEntropy};
use crate::config::setting::Given;
use crate::domain::clock::Clock;
use crate::domain::credential::CredentialKind;
use crate::domain::entropy::Entropy;

/// How long the process waits at its end for what still blocks.
const LEAVING: Duration = Duration::from_secs(5);

/// An OIDC token issuer and inference gateway that gives agents a cloud identity without keys.
#[derive(Debug, Parser)]
#[command(
    name = "brevet",
    version,
    disable_help_subcommand = true,
    after_help = "Examples:\n  brevet demo                 the whole loop on this machine, without an AWS account\n  \
                  brevet help environment     every setting\n\n\
                  Exit codes: 0 ok, 1 refused or not signed in, 2 usage, 3 unreachable."
)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Serve>),
    Worker(Box<worker::Worker>),
    Sandbox(sandbox::Sandbox),
    Demo(demo::Demo),
    Login(login::Login),
    Logout(logout::Logout),
    Whoami(whoami::WhoamiCommand),
    Token(token::Token),
    #[command(subcommand)]
    Runs(runs::Runs),
    #[command(subcommand)]
    Aws(aws::Aws),
    #[command(subcommand)]
    Admin(Box<admin::Admin>),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Store(store::Store),
    Completion(completion::Completion),
    Help(help::Help),
}

/// What every command runs with.
pub(crate) struct Run {
    given: Given,
    output: Output,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Arguments {
    /// Those of this process. Where they are none it ends here, as clap ends it, and repeats no credential that stands
    /// among them: what a terminal shows is often kept, as by a runner of jobs.
    pub fn of_process() -> Self {
        Self::try_parse().unwrap_or_else(|error| without_credentials(error).exit())
    }

    /// Runs the command; the exit code tells the outcome, stderr the words.
    pub fn run(self) -> ExitCode {
        let environment = Environment::of_process();
        // Any text means "no colour" (no-color.org), one that is not UTF-8 too.
        let no_color = !matches!(environment.text(&env::NO_COLOR), Ok(None));
        let output = Output::new(no_color);
        let given = self.common.given(environment);
        let run = Run { given, output, clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) };
        let outcome = telemetry::start(&run.given, self.command.log_level(), output.err().is_on()).and_then(
            |_written_at_the_end| {
                let runtime = runtime().map_err(Failure::refused)?;
                let outcome = runtime.block_on(self.command.run(&run));
                // A disk that hangs under a file of ours must not keep us.
                runtime.shutdown_timeout(LEAVING);
                outcome
            },
        );
        match outcome {
            Ok(()) => Exit::Ok.into(),
            Err(failure) => {
                if !matches!(failure, Failure::ReaderGone) {
                    output.say(format_args!("{} {failure}", output.err().bad("brevet:")));
                }
                failure.exit().into()
            }
        }
    }
}

/// A thread for each core. One that has work looks every few tasks for sockets that have become ready and for whoever gave
/// way before it signs: by the usual number a flood of light requests would leave it few signatures. For tasks that other
/// threads have woken, whose row is committed or whose signature is made aside, it looks more often still.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(7).global_queue_interval(3).build()
}

fn without_credentials(mut error: clap::Error) -> clap::Error {
    let holds_one =
        |text: &str| text.starts_with("eyJ") || CredentialKind::ALL.iter().any(|kind| text.contains(kind.prefix()));
    let quoted = error.context().filter(|(_, value)| holds_one(&value.to_string()));
    for kind in quoted.map(|(kind, _)| kind).collect::<Vec<_>>() {
        // What was given is named as what it is; a hint made of it is left out.
        if let Some(ContextValue::String(_)) = error.remove(kind) {
            error.insert(kind, ContextValue::String("(a credential)".to_owned()));
        }
    }
    error
}

impl Command {
    const fn log_level(&self) -> &'static str {
        match self {
            Self::Serve(_) | Self::Worker(_) => "info",
            // Shows its own progress; what its parts log would tear it apart.
            Self::Demo(_) => "error",
            _ => "warn",
        }
    }

    async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Serve(command) => Box::pin(command.run(run)).await,
            Self::Worker(command) => command.run(run).await,
            Self::Sandbox(command) => command.run(run).await,
            Self::Demo(command) => Box::pin(command.run(run)).await,
            Self::Login(command) => command.run(run).await,
            Self::Logout(command) => command.run(run).await,
            Self::Whoami(command) => command.run(run).await,
            Self::Token(command) => command.run(run).await,
            Self::Runs(command) => command.run(run).await,
            Self::Aws(command) => command.run(run).await,
            Self::Admin(command) => command.run(run).await,
            Self::Keys(command) => command.run(run).await,
            Self::Store(command) => command.run(run).await,
            Self::Completion(command) => command.run(run),
            Self::Help(command) => command.run(run),
        }
    }
}
