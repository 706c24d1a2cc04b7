//! `brevet admin remaining-sessions`.

use std::fmt::Write as _;

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Output, Paint, plain};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::remaining_sessions::RoleSessions;

/// What a disable cannot end: sessions that AWS has opened, until when, and the policies that end them
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet admin remaining-sessions --team red --principal user:ann")]
pub(in crate::cli) struct RemainingSessions {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long)]
    team: String,
    /// Only this principal's: user:UID or service_account:UID
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
}

impl RemainingSessions {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = run.output.as_json(self.flags.json);
        let admin = admin(run, &self.flags).await?;
        let remaining = admin.remaining_sessions(&self.team, self.principal.as_deref()).await?;
        if remaining.items.is_empty() && !output.is_json() {
            output.say("no token for AWS STS was minted in the last hours: no session remains");
            return Ok(());
        }
        output.data(&remaining, |remaining| {
            remaining.items.iter().map(|role| show(output.out(), role)).collect::<Vec<_>>().join("\n\n")
        })
    }
}

/// After something of a principal was switched off: what that does not end.
pub(super) fn hint(output: Output, team: &str, principal: &str) {
    say(output, format_args!("--team {team} --principal {principal}"));
}

/// After something of a whole team was.
pub(super) fn hint_of_team(output: Output, team: &str) {
    say(output, format_args!("--team {team}"));
}

/// After something of a person was, in whichever teams they are.
pub(super) fn hint_of_user(output: Output, user: &str) {
    say(output, format_args!("--team TEAM --principal user:{user}, for each team they are in"));
}

/// After something of people or agents of any team was.
pub(super) fn hint_of_anyone(output: Output) {
    say(output, format_args!("--team TEAM, for each team it was for"));
}

fn say(output: Output, whose: std::fmt::Arguments<'_>) {
    output.say(format_args!(
        "sessions that AWS has opened go on until they end: brevet admin remaining-sessions {whose}"
    ));
}

/// A role with its sessions; behind each deny the call that puts it in, or the policy where no role is known.
fn show(paint: Paint, role: &RoleSessions) -> String {
    let name = role.role_arn.as_deref().unwrap_or("any role whose trust policy admits these subjects");
    let mut text = format!("{}\n", paint.bold(plain(name)));
    let _ = writeln!(text, "  of {}", plain(&role.principals.join(", ")));
    let _ = writeln!(text, "  tokens open sessions until {}", stamp(role.tokens_until));
    let _ = writeln!(text, "  sessions last until {} at the most", stamp(role.sessions_until));
    for deny in &role.denies {
        let _ = writeln!(text, "  {}:", paint.dim(format!("to deny {}", plain(&deny.denies))));
        match &deny.put_command {
            Some(command) => drop(writeln!(text, "    {}", plain(command))),
            None => drop(writeln!(text, "    {}", plain(&deny.document.to_string()))),
        }
    }
    text.trim_end().to_owned()
}
