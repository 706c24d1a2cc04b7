//! `brevet worker`: the inference gateway.

use super::arguments::ServerFlags;
use super::outcome::Failure;
use super::output::fields;
use super::worker_server::WorkerServer;
use super::{Run, shutdown};
use crate::config::env;
use crate::config::worker::WorkerSettings;
use crate::http::layer::Naming;
use crate::http::ops;

/// Run the inference gateway
///
/// It holds no AWS keys: it exchanges callers' tokens at the issuer and at AWS STS, signs, and streams. Its own
/// credential is a worker key in BREVET_TOKEN or BREVET_TOKEN_FILE.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  BREVET_TOKEN_FILE=worker.key brevet worker --issuer https://id.example.com \\\n    \
                        --worker-audience https://inference.example.com --behind-tls-proxy"
)]
pub(super) struct Worker {
    #[command(flatten)]
    server: ServerFlags,
    /// The issuer URL (BREVET_ISSUER)
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The audience that callers' tokens must be for: the worker key's (BREVET_WORKER_AUDIENCE)
    #[arg(long = "worker-audience", value_name = "AUDIENCE")]
    audience: Option<String>,
    /// A file that holds the worker key (BREVET_TOKEN_FILE)
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Address and port of the inference routes (BREVET_WORKER_LISTEN)
    #[arg(long = "worker-listen", value_name = "ADDRESS")]
    listen: Option<String>,
    /// Take a loopback http issuer URL and reach loopback endpoints; never in production (BREVET_DEVELOPMENT)
    #[arg(long)]
    development: bool,
}

impl Worker {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let given = self
            .server
            .add(run.given.clone())
            .flag(&env::ISSUER, self.issuer.as_deref())
            .flag(&env::WORKER_AUDIENCE, self.audience.as_deref())
            .flag(&env::TOKEN_FILE, self.token_file.as_deref())
            .flag(&env::WORKER_LISTEN, self.listen.as_deref())
            .switch(&env::DEVELOPMENT, self.development);
        let settings = WorkerSettings::read(&given)?;
        let (issuer, audience) = (settings.issuer.to_string(), settings.audience.to_string());
        let naming = Naming { clock: run.clock.clone(), entropy: run.entropy.clone() };
        let metrics = ops::recorder().map_err(Failure::refused)?;
        let mut server = WorkerServer::start(settings, naming, metrics).await?;
        if run.output.err().is_on() {
            run.output.say(fields(
                run.output.err(),
                &[
                    ("brevet", env!("CARGO_PKG_VERSION").to_owned()),
                    ("worker", server.listen.to_string()),
                    ("ops", server.ops.to_string()),
                    ("issuer", issuer),
                    ("audience", audience),
                ],
            ));
        } else {
            let version = env!("CARGO_PKG_VERSION");
            tracing::info!(version, worker = %server.listen, ops = %server.ops, issuer, audience, "serving");
        }
        tokio::select! {
            signal = shutdown::asked() => tracing::info!(signal = signal?, "stopping"),
            failure = server.failed() => return Err(failure),
        }
        server.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}
