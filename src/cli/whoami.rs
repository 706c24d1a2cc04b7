//! `brevet whoami`: who the credential is and what it may mint.

use super::Run;
use super::arguments::ClientFlags;
use super::outcome::Failure;
use super::output::{Paint, fields, table};
use super::remote::{Remote, stamp_or_none};
use crate::wire::whoami::Whoami;

/// Show who you are to the issuer and what you may mint
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet whoami --json")]
pub(super) struct WhoamiCommand {
    #[command(flatten)]
    client: ClientFlags,
    /// Print data as JSON
    #[arg(long)]
    json: bool,
}

impl WhoamiCommand {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let mut remote = Remote::open(run, &self.client).await?;
        let whoami = match remote.client.whoami(&remote.token).await {
            Err(refused) if remote.renew(&refused).await? => remote.client.whoami(&remote.token).await?,
            outcome => outcome?,
        };
        let output = run.output.as_json(self.json);
        output.data(&whoami, |whoami| show(output.out(), &remote, whoami))
    }
}

fn show(paint: Paint, remote: &Remote, whoami: &Whoami) -> String {
    let mut pairs = vec![("issuer", remote.issuer.to_string()), ("credential", whoami.credential_kind.clone())];
    if let (Some(actor), Some(uid)) = (&whoami.actor_type, &whoami.principal_uid) {
        pairs.push(("principal", format!("{actor}:{uid}")));
    }
    if let Some(session) = remote.session() {
        // The access token behind it is ours to refresh, and of no interest.
        pairs.push(("session until", stamp_or_none(Some(session.end()))));
    } else if whoami.expires_at.is_some() {
        pairs.push(("until", stamp_or_none(whoami.expires_at)));
    }
    pairs.push(("server", whoami.server_version.clone()));
    let mut text = fields(paint, &pairs);
    if !whoami.teams.is_empty() {
        let rows = whoami.teams.iter().map(|team| {
            let subject = team.subject.clone().unwrap_or_default();
            [team.team_uid.clone(), team.name.clone(), subject, team.audiences.join(" "), team.roles.join(" ")]
        });
        text = format!("{text}\n\n{}", table(paint, ["TEAM", "NAME", "SUBJECT", "AUDIENCES", "ROLES"], rows));
    }
    text
}
