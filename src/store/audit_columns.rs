//! An audit row as the statement that writes it takes it: what the table keeps of it, and what is only compared.

use serde::{Serialize, Serializer};

use super::audit_entry::{Entry, Proof};
use super::db::Value;
use crate::domain::audit::TokenFacts;
use crate::domain::id::{ServiceAccountUid, TeamUid, UserUid};
use crate::domain::principal::Principal;

/// One member of a row, by the name that the statement knows it by.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) is_integer: bool,
    pub(super) of: fn(&Entry) -> Value,
}

const fn text(name: &'static str, of: fn(&Entry) -> Value) -> Column {
    Column { name, is_integer: false, of }
}

const fn integer(name: &'static str, of: fn(&Entry) -> Value) -> Column {
    Column { name, is_integer: true, of }
}

fn of_token(entry: &Entry, member: fn(&TokenFacts) -> Option<&str>) -> Value {
    entry.event.token.as_ref().and_then(member).into()
}

fn of_proof(entry: &Entry, member: fn(&Proof) -> Option<String>) -> Value {
    entry.proof.as_ref().and_then(member).into()
}

/// How many of [`COLUMNS`] are columns of the table, too, and of the same name.
pub(super) const STORED: usize = 22;

pub(super) const COLUMNS: [Column; 31] = [
    text("id", |entry| entry.event.id.into()),
    integer("at", |entry| entry.event.at.into()),
    text("issuer_id", |entry| entry.event.issuer.into()),
    text("action", |entry| entry.event.action.as_str().into()),
    text("decision", |entry| entry.event.decision.as_str().into()),
    text("reason", |entry| entry.event.reason.into()),
    text("credential_kind", |entry| entry.event.credential.map(|(kind, _)| kind.as_str()).into()),
    text("credential_id", |entry| entry.event.credential.map(|(_, id)| id).into()),
    text("worker_id", |entry| entry.event.worker.into()),
    text("team_uid", |entry| entry.event.team.as_ref().map(TeamUid::as_str).into()),
    text("principal", |entry| entry.event.principal.as_ref().map(ToString::to_string).into()),
    text("target", |entry| entry.event.target.as_deref().into()),
    text("audience", |entry| of_token(entry, |token| Some(&token.audience))),
    integer("lifetime_seconds", |entry| {
        entry.event.token.as_ref().map(|token| i64::from(token.lifetime_seconds)).into()
    }),
    text("token_id", |entry| of_token(entry, |token| Some(&token.token_id))),
    text("kid", |entry| of_token(entry, |token| Some(&token.kid))),
    text("role_arn", |entry| of_token(entry, |token| token.role_arn.as_deref())),
    text("run_id", |entry| of_token(entry, |token| token.run_id.as_deref())),
    text("signing_input_sha256", |entry| of_token(entry, |token| Some(&token.signing_input_sha256))),
    text("address", |entry| entry.event.origin.address.map(|address| address.to_string()).into()),
    text("user_agent", |entry| entry.event.origin.user_agent.as_deref().into()),
    integer("occurrences", |entry| entry.event.count.into()),
    integer("proven", |entry| entry.proof.is_some().into()),
    text("proof_credential", |entry| of_proof(entry, |proof| Some(proof.credential.to_string()))),
    integer("proof_version", |entry| entry.proof.as_ref().map(|proof| proof.team_version).into()),
    text("proof_issuer", |entry| of_proof(entry, |proof| Some(proof.issuer.to_string()))),
    text("proof_kid", |entry| of_proof(entry, |proof| Some(proof.kid.as_str().to_owned()))),
    text("proof_worker", |entry| of_proof(entry, |proof| proof.also.map(|id| id.to_string()))),
    text("proof_token", |entry| of_proof(entry, |proof| proof.original_token.map(|id| id.to_string()))),
    text("user_uid", |entry| entry.event.principal.as_ref().and_then(Principal::user).map(UserUid::as_str).into()),
    text("account_uid", |entry| {
        entry.event.principal.as_ref().and_then(Principal::service_account).map(ServiceAccountUid::as_str).into()
    }),
];

/// The names of columns, with `before` and `after` around each.
pub(super) fn names(columns: &[Column], before: &str, after: impl Fn(&Column) -> &'static str) -> String {
    let names: Vec<_> = columns.iter().map(|column| format!("{before}{}{}", column.name, after(column))).collect();
    names.join(", ")
}

/// A row as a JSON object.
pub(super) struct Members<'a>(pub(super) &'a Entry);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(COLUMNS.iter().map(|column| (column.name, (column.of)(self.0))))
    }
}
