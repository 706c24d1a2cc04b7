//! `brevet token`: mint a token, for stdout, for a program that asks for one, or for a file that stays fresh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::sleep;

use super::Run;
use super::arguments::{self, ClientFlags};
use super::outcome::Failure;
use super::remote::{Remote, mint_refused, stamp};
use super::shutdown::Asked;
use crate::client::private_file;
use crate::wire::mint::{MintRequest, MintedToken};

/// Shortest and longest pause before another try, where the issuer did not answer.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Of a token's life, how many percent pass before `--watch` gets the next one.
const REFRESH_AT: i32 = 70;

/// Mint an identity token and print it
///
/// The token goes to stdout and nothing else does. It speaks for you alone: for whom and how long can be asked
/// for, who cannot; but for a platform key, which names who.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet token --team red --lifetime 5m\n  \
                        brevet token --audience https://inference.example.com --format json\n  \
                        brevet token --output-file /run/user/1000/aws.jwt --watch     \
                        (for AWS_WEB_IDENTITY_TOKEN_FILE)")]
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
    /// jwt: the token alone; json: also when it ends and whose it is; gcp-executable: what Google's client libraries
    /// take from an executable credential source, refusals too
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Jwt)]
    format: Format,
    /// Write to this file instead of stdout: a new file of mode 0600 takes its place at once
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Stay, and write a fresh token each time 70 % of the last one's life is over
    #[arg(long, requires = "output_file")]
    watch: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The token.
    Jwt,
    /// All that the mint answers.
    Json,
    /// Google's `ExecutableResponse`, version 1.
    GcpExecutable,
}

/// What an executable credential source prints; see "executable-sourced credentials" of Google Cloud's workload
/// identity federation.
#[derive(Serialize)]
struct ExecutableResponse<'a> {
    version: u8,
    success: bool,
    token_type: &'static str,
    id_token: &'a str,
    expiration_time: i64,
}

impl Format {
    fn text(self, minted: &MintedToken) -> Result<String, Failure> {
        let token = minted.token.expose();
        Ok(match self {
            Self::Jwt => token.to_owned(),
            Self::Json => serde_json::to_string_pretty(minted).map_err(Failure::refused)?,
            Self::GcpExecutable => serde_json::to_string(&ExecutableResponse {
                version: 1,
                success: true,
                token_type: "urn:ietf:params:oauth:token-type:jwt",
                id_token: token,
                expiration_time: minted.expires_at.unix_timestamp(),
            })
            .map_err(Failure::refused)?,
        })
    }
}

impl Token {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let outcome = match &self.output_file {
            Some(file) if self.watch => return self.watch(run, file).await,
            Some(file) => self.write(run, file).await.map(drop),
            None => self.minted(run).await.and_then(|minted| run.output.line(self.format.text(&minted)?)),
        };
        if let (Format::GcpExecutable, None, Err(failure)) = (self.format, &self.output_file, &outcome) {
            // The program that asked reads stdout alone.
            let code = (failure.exit() as u8).to_string();
            run.output.line(json!({"version": 1, "success": false, "code": code, "message": failure.to_string()}))?;
        }
        outcome
    }

    async fn minted(&self, run: &Run) -> Result<MintedToken, Failure> {
        let mut remote = Remote::open(run, &self.client).await?;
        let request = MintRequest {
            audience: self.audience.clone(),
            lifetime_seconds: self.lifetime,
            team_uid: self.team.clone(),
            role_arn: self.role_arn.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
        };
        let minted = match remote.client.mint(&remote.token, &request).await {
            Err(refused) if remote.renew(&refused).await? => remote.client.mint(&remote.token, &request).await,
            outcome => outcome,
        };
        minted.map_err(|error| mint_refused(&error))
    }

    async fn write(&self, run: &Run, file: &Path) -> Result<MintedToken, Failure> {
        let minted = self.minted(run).await?;
        let text = zeroize::Zeroizing::new(self.format.text(&minted)?);
        private_file::replace(file, text.as_bytes())
            .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
        Ok(minted)
    }

    /// Writes until a signal ends it, or a refusal: that one will not change by asking again. Where the issuer does
    /// not answer, the last token stays, and stays good for what is left of it.
    async fn watch(&self, run: &Run, file: &Path) -> Result<(), Failure> {
        let mut asked = Asked::listen()?;
        let mut pause = PAUSE_MIN;
        loop {
            let next = match self.write(run, file).await {
                Ok(minted) => {
                    pause = PAUSE_MIN;
                    run.output.say(format_args!("{}: good until {}", file.display(), stamp(minted.expires_at)));
                    refresh_in(minted.expires_at, run.clock.now())
                }
                Err(Failure::Unreachable(why)) => {
                    run.output.say(format_args!("{why}; next try in {} s", pause.as_secs()));
                    let longer = (pause * 2).min(PAUSE_MAX);
                    std::mem::replace(&mut pause, longer)
                }
                Err(failure) => return Err(failure),
            };
            tokio::select! {
                () = sleep(next) => {}
                signal = asked.wait() => {
                    run.output.say(format_args!("{}: ended; the last token stays", signal?));
                    return Ok(());
                }
            }
        }
    }
}

/// When the next token is due: after [`REFRESH_AT`] percent of what this one has left, which is all its life.
fn refresh_in(expires_at: OffsetDateTime, now: OffsetDateTime) -> Duration {
    let left = Duration::try_from(expires_at - now).unwrap_or_default();
    (left * REFRESH_AT.unsigned_abs() / 100).max(PAUSE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_next_token_is_due_at_seventy_percent_and_never_at_once() {
        let now = datetime!(2026-11-22 00:00 UTC);
        assert_eq!(refresh_in(now + Duration::from_mins(5), now), Duration::from_secs(210));
        assert_eq!(refresh_in(now, now), PAUSE_MIN);
        assert_eq!(refresh_in(now - Duration::from_secs(9), now), PAUSE_MIN);
    }
}
