//! `brevet sandbox`: the stand-in AWS.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::outcome::Failure;
use super::output::fields;
use super::{Run, shutdown};
use crate::sandbox::{self, Config, StartError};

/// Run the stand-in AWS: STS, IAM and the Bedrock runtime on loopback
///
/// It really checks what it is given, and answers as AWS would. For trying things out and for tests.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet sandbox --config sandbox.toml\n\n\
                        Then: AWS_ENDPOINT_URL_STS=http://127.0.0.1:4566 aws sts assume-role-with-web-identity …")]
pub(super) struct Sandbox {
    /// Roles, trust policies and providers, as TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on; loopback only, 127.0.0.1:4566 by default
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Let IAM take issuers such as http://127.0.0.1:8080
    #[arg(long)]
    loopback_issuers: bool,
}

impl Sandbox {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    Failure::Usage(format!("--config names {}, which cannot be read: {}", path.display(), error.kind()))
                })?;
                Config::from_toml(&text)
                    .map_err(|error| Failure::Usage(format!("--config {}: {error}", path.display())))?
            }
        };
        config.loopback_issuers |= self.loopback_issuers;
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        let started = sandbox::start(config, Arc::clone(&run.clock), Arc::clone(&run.entropy)).await;
        let running = started.map_err(|error| match error {
            StartError::Config(_) => Failure::Usage(error.to_string()),
            other => Failure::refused(other),
        })?;
        let mut asked = shutdown::Asked::listen()?;
        let (url, administrator) = (running.url(), running.handle().administrator());
        // The key pair is a stand-in's: it opens nothing outside this process.
        run.output.say(fields(
            run.output.err(),
            &[
                ("stand-in AWS", url),
                ("access key id", administrator.access_key_id.clone()),
                ("secret access key", administrator.secret_access_key.expose().to_owned()),
            ],
        ));
        asked.wait().await?;
        running.stop().await;
        Ok(())
    }
}
