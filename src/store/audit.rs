//! Reading the audit table, and what little may be changed in it.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx, millis};
use super::error::StoreError;
use super::page::{Page, Paged};
use crate::domain::audit::{Action, Decision, Origin, RecordedEvent, TokenFacts};
use crate::domain::credential::CredentialKind;
use crate::domain::id::{TeamUid, TokenId, UserUid};
use crate::domain::principal::Principal;

/// Which rows are asked for; absent asks for all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of one team.
    pub team: Option<TeamUid>,
    /// Of one person or agent.
    pub principal: Option<Principal>,
    /// About one token.
    pub token: Option<TokenId>,
    /// Of one action.
    pub action: Option<Action>,
    /// With one decision.
    pub decision: Option<Decision>,
    /// From this instant on.
    pub from: Option<OffsetDateTime>,
    /// Before this instant.
    pub until: Option<OffsetDateTime>,
}

macro_rules! columns {
    () => {
        "SELECT id, at, issuer_id, action, decision, reason, credential_kind, credential_id, worker_id, team_uid,
            principal, target, audience, lifetime_seconds, token_id, kid, role_arn, run_id, signing_input_sha256,
            address, user_agent, occurrences FROM audit_events "
    };
}

impl Store {
    /// A page of rows, the newest first.
    pub async fn events(&self, filter: &EventFilter, page: &Page) -> Result<Paged<RecordedEvent>, StoreError> {
        let (at, id) = cursor(page)?;
        let from = filter.from.map_or(i64::MIN, millis);
        let until = filter.until.map_or(i64::MAX, millis);
        let rows = self
            .db
            .fetch_all(
                concat!(
                    columns!(),
                    "WHERE at <= $1 AND (at < $1 OR id < $2) AND at >= $3 AND at < $4
                        AND ($5 IS NULL OR team_uid = $5) AND ($6 IS NULL OR principal = $6)
                        AND ($7 IS NULL OR token_id = $7) AND ($8 IS NULL OR action = $8)
                        AND ($9 IS NULL OR decision = $9)
                    ORDER BY at DESC, id DESC LIMIT $10"
                ),
                [
                    at.into(),
                    id.into(),
                    from.into(),
                    until.into(),
                    filter.team.as_ref().map(TeamUid::as_str).into(),
                    filter.principal.as_ref().map(ToString::to_string).into(),
                    filter.token.into(),
                    filter.action.map(Action::as_str).into(),
                    filter.decision.map(Decision::as_str).into(),
                    page.fetch().into(),
                ],
            )
            .await?;
        let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(events, |event| format!("{}.{}", millis(event.at), event.id)))
    }

    /// The row that released a token.
    pub async fn event_of_token(&self, token: TokenId) -> Result<Option<RecordedEvent>, StoreError> {
        let sql = concat!(columns!(), "WHERE token_id = $1 AND decision = 'allowed' ORDER BY at LIMIT 1");
        self.db.fetch_optional(sql, [token.into()]).await?.as_ref().map(event).transpose()
    }

    /// Deletes rows older than the retention, at most `limit` of them, and tells how many.
    pub async fn forget_events_before(&self, before: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let deleted = tx
            .execute(
                "DELETE FROM audit_events WHERE (at, id) IN
                    (SELECT at, id FROM audit_events WHERE at < $1 ORDER BY at, id LIMIT $2)",
                [before.into(), limit.into()],
            )
            .await?;
        tx.commit().await?;
        Ok(deleted)
    }
}

/// Erases what tells more of a person than their uid; what they did and what was decided stays.
pub(super) async fn erase_person(tx: &mut Tx, user: &UserUid) -> Result<(), StoreError> {
    let principal = Principal::User(user.clone()).to_string();
    tx.execute("UPDATE audit_events SET address = NULL, user_agent = NULL WHERE principal = $1", [principal.into()])
        .await
        .map(drop)
}

/// Where the page before ended; the start is an instant after every row.
fn cursor(page: &Page) -> Result<(i64, String), StoreError> {
    let after = page.after()?;
    if after.is_empty() {
        return Ok((i64::MAX, String::new()));
    }
    let (at, id) = after.split_once('.').ok_or(StoreError::Cursor)?;
    Ok((at.parse().map_err(|_| StoreError::Cursor)?, id.to_owned()))
}

fn event(row: &Row) -> Result<RecordedEvent, StoreError> {
    let kind = row.optional_parsed("credential_kind", CredentialKind::parse)?;
    let credential = row.optional_parsed("credential_id", crate::domain::id::Handle::parse)?;
    Ok(RecordedEvent {
        id: row.handle("id")?,
        at: row.time("at")?,
        issuer: row.handle("issuer_id")?,
        action: row.parsed("action", Action::parse)?,
        decision: row.parsed("decision", Decision::parse)?,
        reason: row.optional_text("reason")?,
        credential: kind.zip(credential),
        worker: row.optional_parsed("worker_id", crate::domain::id::Handle::parse)?,
        team: row.optional_parsed("team_uid", |text| TeamUid::parse(text).ok())?,
        principal: row.optional_parsed("principal", |text| Principal::parse(text).ok())?,
        target: row.optional_text("target")?,
        token: token(row)?,
        origin: Origin {
            address: row.optional_parsed("address", |text| text.parse().ok())?,
            user_agent: row.optional_text("user_agent")?,
        },
        count: row.number("occurrences")?,
    })
}

fn token(row: &Row) -> Result<Option<TokenFacts>, StoreError> {
    let Some(token_id) = row.optional_text("token_id")? else { return Ok(None) };
    Ok(Some(TokenFacts {
        audience: row.text("audience")?,
        lifetime_seconds: row.number("lifetime_seconds")?,
        token_id,
        kid: row.text("kid")?,
        role_arn: row.optional_text("role_arn")?,
        run_id: row.optional_text("run_id")?,
        signing_input_sha256: row.text("signing_input_sha256")?,
    }))
}
