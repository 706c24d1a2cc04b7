//! `brevet token`: mint a token.

use super::Run;
use super::arguments::{self, ClientFlags};
use super::outcome::Failure;
use super::remote::Remote;
use crate::wire::mint::MintRequest;

/// Mint an identity token and print it
///
/// The token goes to stdout and nothing else does. It speaks for you alone: for whom and how long can be asked
/// for, who cannot; but for a platform key, which names who.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet token --team red --lifetime 5m\n  \
                        brevet token --audience https://inference.example.com --format json")]
pub(super) struct Token {
    #[command(flatten)]
    client: ClientFlags,
    /// For whom; the team's first audience by default
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// In which team, for a person in several
    #[arg(long, value_name = "UID")]
    team: Option<String>,
    /// For whom, with a platform key: user:UID or service_account:UID
    #[arg(long, value_name = "PRINCIPAL")]
    on_behalf_of: Option<String>,
    /// 60s to 1h, such as 5m (the default); team and audience may cap it
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
    lifetime: Option<u32>,
    /// The role to bind a token for AWS STS to; the one of the provider settings by default
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// jwt prints the token alone, json also when it ends and whose it is
    #[arg(long, value_name = "FORMAT", default_value = "jwt", value_parser = ["jwt", "json"])]
    format: String,
}

impl Token {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let remote = Remote::open(run, &self.client)?;
        let request = MintRequest {
            audience: self.audience,
            lifetime_seconds: self.lifetime,
            team_uid: self.team,
            role_arn: self.role_arn,
            on_behalf_of: self.on_behalf_of,
        };
        let minted = remote.client.mint(&remote.token, &request).await?;
        run.output.as_json(self.format == "json").data(&minted, |minted| minted.token.expose().to_owned())
    }
}
