//! What the operations on keys have in common: asking before what breaks, and telling what stays accepted.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::cli::output::{Output, Paint};
use crate::cli::remote::stamp;
use crate::wire::admin::signing_key::{AcceptedKey, Aftermath, KeyOperation, RoleAftermath};

use super::list;

/// Asks for a yes: on a terminal the person, else `--yes` must have been given. `deed` completes "This ...".
pub(super) fn confirmed(run: &Run, yes: bool, deed: &str, would: &KeyOperation) -> Result<(), Failure> {
    let paint = run.output.err();
    run.output.say(format_args!("{} this {deed}", paint.warn("mind:")));
    run.output.say(breaks(paint, would));
    agreed(run, yes)
}

/// A yes to what was said.
pub(super) fn agreed(run: &Run, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::Usage("nothing was done: without a terminal to ask on, say --yes".to_owned()));
    }
    run.output.say("Do it? [y/N]");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|_| Failure::Usage("nothing was done: the terminal could not be read".to_owned()))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Refused("nothing was done".to_owned())),
    }
}

/// Which verifiers fail, and until when.
fn breaks(paint: Paint, would: &KeyOperation) -> String {
    match &would.outage {
        None => "no verifier fails: the key that signs then has been published long enough".to_owned(),
        Some(outage) => format!(
            "{} verifiers with a JWKS from before refuse new tokens: those that honour max-age until {}, any other \
             until {} at the latest",
            paint.bad("outage:"),
            stamp(outage.until),
            stamp(outage.surely_until)
        ),
    }
}

/// The result: the keys, then what stays accepted and what to do.
pub(super) fn told(output: Output, done: &KeyOperation) -> Result<(), Failure> {
    output.data(done, |done| {
        let paint = output.out();
        let mut parts = vec![list::table_of(paint, &done.keys)];
        if done.outage.is_some() {
            parts.push(breaks(paint, done));
        }
        parts.extend(done.accepted.iter().map(|key| still(paint, key)));
        parts.extend(done.aftermath.as_ref().map(|aftermath| after(paint, aftermath)));
        parts.join("\n\n")
    })
}

fn still(paint: Paint, key: &AcceptedKey) -> String {
    let AcceptedKey { kid, tokens_until, published_until } = key;
    let published = published_until.map(|until| format!("; it is published until {}", stamp(until)));
    let until = stamp(*tokens_until);
    format!("{} tokens of {kid} are accepted until {until}{}", paint.bold("still:"), published.unwrap_or_default())
}

fn after(paint: Paint, aftermath: &Aftermath) -> String {
    let mut lines = vec![format!(
        "{} AWS sessions that such tokens opened last until {} at most, unless their roles end them",
        paint.bold("still:"),
        stamp(aftermath.sessions_until)
    )];
    lines.extend(aftermath.unconfirmed_replicas.iter().map(|replica| {
        format!("{} replica {replica} has not confirmed and may publish the key still", paint.warn("mind:"))
    }));
    if aftermath.roles.is_empty() {
        lines.push("no team names a role".to_owned());
    }
    lines.extend(aftermath.roles.iter().map(|role| format!("\n{}", of_role(paint, role, aftermath))));
    lines.join("\n")
}

fn of_role(paint: Paint, role: &RoleAftermath, aftermath: &Aftermath) -> String {
    format!(
        "{} (teams: {})\n# ends every session opened before {}; until then the role is closed to all\n{}\n\
         # what was opened\n{}\n# the same and what it did, in Athena\n{}\n# after {}\n{}",
        paint.name(&role.role_arn),
        role.teams.join(", "),
        stamp(aftermath.tokens_until),
        role.deny_command,
        role.cloudtrail_command,
        role.athena_query.lines().map(|line| format!("--   {line}")).collect::<Vec<_>>().join("\n"),
        stamp(aftermath.sessions_until),
        role.undo_command
    )
}
