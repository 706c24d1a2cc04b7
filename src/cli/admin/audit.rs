//! `brevet admin audit`.

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::audit::AuditEvent;

/// Read the audit rows, newest first, or export them
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = "Example:\n  brevet admin audit --team red --limit 20")]
pub(in crate::cli) struct Audit {
    #[command(subcommand)]
    export: Option<Export>,
    #[command(flatten)]
    flags: AdminFlags,
    #[command(flatten)]
    filter: Filter,
    /// How many rows, 1 to 100
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Where the last page ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Export {
    /// Print every row that fits, oldest first, one JSON object a line
    #[command(after_help = "Example:\n  brevet admin audit export --since 2026-01-01T00:00:00Z > audit.jsonl")]
    Export {
        #[command(flatten)]
        flags: AdminFlags,
        #[command(flatten)]
        filter: Filter,
    },
}

/// Which rows.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only this team's
    #[arg(long, value_name = "UID")]
    team: Option<String>,
    /// Only this principal's: user:UID or service_account:UID
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
    /// Only this action, such as token.mint
    #[arg(long)]
    action: Option<String>,
    /// Only with this decision
    #[arg(long, value_parser = ["allowed", "refused"])]
    decision: Option<String>,
    /// Only from this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only the token with this jti
    #[arg(long, value_name = "JTI")]
    token_id: Option<String>,
    /// Only about tokens of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only what this credential or worker key asked for
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
}

impl Filter {
    /// The team, and the members of the query.
    fn split(self) -> (Option<String>, Vec<(&'static str, String)>) {
        let members = [
            ("principal", self.principal),
            ("action", self.action),
            ("decision", self.decision),
            ("since", self.since),
            ("until", self.until),
            ("token_id", self.token_id),
            ("run", self.run),
            ("credential", self.credential),
        ];
        (self.team, members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

impl Audit {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        if let Some(Export::Export { flags, filter }) = self.export {
            let (team, filter) = filter.split();
            let mut lines = admin(run, &flags).await?.audit_export(team.as_deref(), &filter).await?;
            while let Some(whole) = lines.next().await? {
                run.output.piece(String::from_utf8_lossy(&whole))?;
            }
            return Ok(());
        }
        let output = run.output.as_json(self.flags.json);
        let admin = admin(run, &self.flags).await?;
        let (team, mut filter) = self.filter.split();
        filter.extend(self.after.map(|after| ("after", after)));
        filter.push(("limit", self.limit.to_string()));
        let page = admin.audit(team.as_deref(), &filter).await?;
        output.data(&page, |page| list(output.out(), &page.items))?;
        if let (Some(next), false) = (&page.next, output.is_json()) {
            output.say(format_args!("more rows: --after {next}"));
        }
        Ok(())
    }
}

fn list(paint: Paint, events: &[AuditEvent]) -> String {
    let row = |event: &AuditEvent| {
        let reason = event.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let times = if event.count > 1 { format!(" x{}", event.count) } else { String::new() };
        let about = event.token.as_ref().map(|token| format!("{} {}", token.audience, token.token_id));
        [
            stamp(event.at),
            event.action.clone(),
            format!("{}{reason}{times}", event.decision),
            event.team_uid.clone().unwrap_or_default(),
            event.principal.clone().or_else(|| event.credential_kind.clone()).unwrap_or_default(),
            about.or_else(|| event.target.clone()).unwrap_or_default(),
        ]
    };
    table(paint, ["AT", "ACTION", "DECISION", "TEAM", "WHO", "ABOUT"], events.iter().map(row))
}
