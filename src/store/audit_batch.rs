//! The one statement that writes audit rows, each only if what it says may still happen.
//!
//! Rows travel as one bound JSON array, so the statement is the same text for any number of rows and is prepared
//! once. Only how the array becomes rows differs between the databases.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::json;

use super::audit_entry::Entry;
use super::db::{Tx, millis};
use super::error::StoreError;
use super::liveness::ALIVE;
use super::run_counts::RunCounts;
use crate::domain::audit::Event;
use crate::domain::id::{EventId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::principal::Principal;

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The row is committed: the token may leave.
    Released,
    /// Something it depends on has ended or changed; there is no row, and no token may leave. Reload and find
    /// out what.
    NotAlive,
    /// Its run has had all the tokens it was opened for; there is no row, and no token may leave.
    RunExhausted,
}

/// A row in the bound array; the names are the columns of `r` below.
#[derive(Serialize)]
struct BatchRow<'a> {
    id: String,
    at: i64,
    issuer_id: String,
    action: &'a str,
    decision: &'a str,
    reason: Option<&'a str>,
    credential_kind: Option<&'a str>,
    credential_id: Option<String>,
    worker_id: Option<String>,
    team_uid: Option<&'a str>,
    principal: Option<String>,
    target: Option<&'a str>,
    audience: Option<&'a str>,
    lifetime_seconds: Option<u32>,
    token_id: Option<&'a str>,
    kid: Option<&'a str>,
    role_arn: Option<&'a str>,
    run_id: Option<&'a str>,
    signing_input_sha256: Option<&'a str>,
    address: Option<String>,
    user_agent: Option<&'a str>,
    occurrences: u32,
    proven: i64,
    proof_credential: Option<String>,
    proof_version: Option<i64>,
    proof_issuer: Option<String>,
    proof_kid: Option<&'a str>,
    proof_worker: Option<String>,
    proof_token: Option<String>,
    user_uid: Option<&'a str>,
    account_uid: Option<&'a str>,
}

impl<'a> From<&'a Entry> for BatchRow<'a> {
    fn from(Entry { event, proof }: &'a Entry) -> Self {
        let token = event.token.as_ref();
        let proof = proof.as_ref();
        Self {
            id: event.id.to_string(),
            at: millis(event.at),
            issuer_id: event.issuer.to_string(),
            action: event.action.as_str(),
            decision: event.decision.as_str(),
            reason: event.reason,
            credential_kind: event.credential.map(|(kind, _)| kind.as_str()),
            credential_id: event.credential.map(|(_, id)| id.to_string()),
            worker_id: event.worker.map(|id| id.to_string()),
            team_uid: event.team.as_ref().map(TeamUid::as_str),
            principal: event.principal.as_ref().map(ToString::to_string),
            target: event.target.as_deref(),
            audience: token.map(|token| token.audience.as_str()),
            lifetime_seconds: token.map(|token| token.lifetime_seconds),
            token_id: token.map(|token| token.token_id.as_str()),
            kid: token.map(|token| token.kid.as_str()),
            role_arn: token.and_then(|token| token.role_arn.as_deref()),
            run_id: token.and_then(|token| token.run_id.as_deref()),
            signing_input_sha256: token.map(|token| token.signing_input_sha256.as_str()),
            address: event.origin.address.map(|address| address.to_string()),
            user_agent: event.origin.user_agent.as_deref(),
            occurrences: event.count,
            proven: i64::from(proof.is_some()),
            proof_credential: proof.map(|proof| proof.credential.to_string()),
            proof_version: proof.map(|proof| proof.team_version),
            proof_issuer: proof.map(|proof| proof.issuer.to_string()),
            proof_kid: proof.map(|proof| proof.kid.as_str()),
            proof_worker: proof.and_then(|proof| proof.also).map(|id| id.to_string()),
            proof_token: proof.and_then(|proof| proof.original_token).map(|id| id.to_string()),
            user_uid: event.principal.as_ref().and_then(Principal::user).map(UserUid::as_str),
            account_uid: event.principal.as_ref().and_then(Principal::service_account).map(ServiceAccountUid::as_str),
        }
    }
}

const TEXTS: [&str; 26] = [
    "id",
    "issuer_id",
    "action",
    "decision",
    "reason",
    "credential_kind",
    "credential_id",
    "worker_id",
    "team_uid",
    "principal",
    "target",
    "audience",
    "token_id",
    "kid",
    "role_arn",
    "run_id",
    "signing_input_sha256",
    "address",
    "user_agent",
    "proof_credential",
    "proof_issuer",
    "proof_kid",
    "proof_worker",
    "proof_token",
    "user_uid",
    "account_uid",
];
const INTEGERS: [&str; 5] = ["at", "lifetime_seconds", "occurrences", "proven", "proof_version"];

const INSERT: &str = " INTO audit_events (id, at, issuer_id, action, decision, reason, credential_kind,
    credential_id, worker_id, team_uid, principal, target, audience, lifetime_seconds, token_id, kid, role_arn,
    run_id, signing_input_sha256, address, user_agent, occurrences)
SELECT r.id, r.at, r.issuer_id, r.action, r.decision, r.reason, r.credential_kind, r.credential_id, r.worker_id,
    r.team_uid, r.principal, r.target, r.audience, r.lifetime_seconds, r.token_id, r.kid, r.role_arn, r.run_id,
    r.signing_input_sha256, r.address, r.user_agent, r.occurrences
FROM ";

/// Both steps are materialized: SQLite would otherwise write each row out as JSON again, and read it, once for every
/// place where the statement names one of its members. `OR FAIL` spares it the copies of pages by which it could undo
/// this statement alone: after an error nobody goes on, and the whole transaction is rolled back.
static SQLITE: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<_> = TEXTS.iter().chain(&INTEGERS).map(|name| format!("value ->> '{name}' AS {name}")).collect();
    format!(
        "WITH members AS MATERIALIZED (SELECT value FROM json_each($1)),
        r AS MATERIALIZED (SELECT {} FROM members) INSERT OR FAIL{INSERT}r{ALIVE}",
        columns.join(", ")
    )
});

static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let texts = TEXTS.iter().map(|name| format!("{name} text"));
    let columns: Vec<_> = texts.chain(INTEGERS.iter().map(|name| format!("{name} bigint"))).collect();
    format!("INSERT{INSERT}jsonb_to_recordset($1::jsonb) AS r({}){ALIVE}", columns.join(", "))
});

/// Of the rows of a bound array, those that are there. The order of the tables is the one to go: SQLite takes it so.
const SQLITE_THERE: &str = "SELECT e.id FROM json_each($1) r CROSS JOIN audit_events e
    ON e.at = r.value ->> 'at' AND e.id = r.value ->> 'id'";
const POSTGRES_THERE: &str = "SELECT e.id FROM jsonb_to_recordset($1::jsonb) AS r(at bigint, id text)
    JOIN audit_events e ON e.at = r.at AND e.id = r.id";

/// Writes `entries` in one statement and tells which of them were written; nothing where all were, which is nearly
/// always and spares the way back. One row that the database refuses fails them all.
async fn write(tx: &mut Tx, entries: &[&Entry]) -> Result<Option<HashSet<EventId>>, StoreError> {
    let rows: Vec<_> = entries.iter().map(|entry| BatchRow::from(*entry)).collect();
    let array = serde_json::to_string(&rows).map_err(|_| StoreError::Refused("an audit row is no JSON".to_owned()))?;
    let sql = if tx.is_postgres() { POSTGRES.as_str() } else { SQLITE.as_str() };
    if usize::try_from(tx.execute(sql, [array.into()]).await?) == Ok(entries.len()) {
        return Ok(None);
    }
    let keys: Vec<_> =
        entries.iter().map(|Entry { event, .. }| json!({"at": millis(event.at), "id": event.id.to_string()})).collect();
    let sql = if tx.is_postgres() { POSTGRES_THERE } else { SQLITE_THERE };
    let written = tx.fetch_all(sql, [json!(keys).to_string().into()]).await?;
    written.iter().map(|row| row.handle("id")).collect::<Result<_, _>>().map(Some)
}

/// Writes `entries`, of each run no more than it has left, and tells what became of them, in their order.
///
/// A token that was taken for an entry whose proof then fails goes to the next one: only where every token is really
/// out is a run exhausted. Without entries of runs that is one statement, with them nearly always.
pub(super) async fn write_counted(tx: &mut Tx, entries: &[Entry]) -> Result<Vec<Verdict>, StoreError> {
    let mut counts = RunCounts::lock(tx, entries).await?;
    let mut verdicts = vec![Verdict::RunExhausted; entries.len()];
    let mut waiting: Vec<usize> = (0..entries.len()).collect();
    loop {
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|&at| counts.take(&entries[at]));
        if now.is_empty() {
            break;
        }
        let rows: Vec<_> = now.iter().map(|&at| &entries[at]).collect();
        let written = write(tx, &rows).await?;
        for at in now {
            let released = written.as_ref().is_none_or(|written| written.contains(&entries[at].event.id));
            verdicts[at] = if released { Verdict::Released } else { Verdict::NotAlive };
            if !released {
                counts.give_back(&entries[at]);
            }
        }
        waiting = later;
    }
    if !counts.is_empty() {
        counts.save(tx).await?;
    }
    Ok(verdicts)
}

impl Tx {
    /// Writes the audit row of one of several changes in their transaction.
    pub(super) async fn note(&mut self, event: &Event) -> Result<(), StoreError> {
        write(self, &[&Entry { event: event.clone(), proof: None }]).await.map(drop)
    }
}
