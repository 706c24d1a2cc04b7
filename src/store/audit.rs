//! Reading the audit table, and what little may be changed in it.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx, millis};
use super::error::StoreError;
use super::page::{Page, Paged};
use crate::domain::audit::{Action, Decision, Origin, RecordedEvent, TokenFacts};
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, IssuerId, RunId, TeamUid, TokenId, UserUid};
use crate::domain::principal::Principal;
use crate::domain::role_arn::RoleArn;

/// A row, and whose credential asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The row.
    pub event: RecordedEvent,
    /// `administrator:<id>`, `user:<uid>` or `service_account:<uid>`: whose the credential is, where it is known still.
    pub asker: Option<String>,
}

/// A role that released tokens named, for one principal and audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleNamed {
    /// Under which issuer.
    pub issuer: IssuerId,
    /// Whose tokens.
    pub principal: Principal,
    /// For whom.
    pub audience: String,
    /// The role; `None` where the tokens were bound to none.
    pub role: Option<RoleArn>,
    /// When the last of them ends.
    pub ends: OffsetDateTime,
}

/// Which rows are asked for; absent asks for all.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of one team.
    pub team: Option<TeamUid>,
    /// Of one person or agent.
    pub principal: Option<Principal>,
    /// About one token.
    pub token: Option<TokenId>,
    /// Of tokens of one run.
    pub run: Option<RunId>,
    /// Asked for by one credential, or brought by one worker.
    pub credential: Option<CredentialId>,
    /// Of one action.
    pub action: Option<Action>,
    /// With one decision.
    pub decision: Option<Decision>,
    /// From this instant on.
    pub from: Option<OffsetDateTime>,
    /// Before this instant.
    pub until: Option<OffsetDateTime>,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To look at.
    NewestFirst,
    /// To keep elsewhere: what was there at the first page comes whole, whatever is added meanwhile.
    OldestFirst,
}

macro_rules! columns {
    () => {
        "SELECT id, at, issuer_id, action, decision, reason, credential_kind, credential_id, worker_id, team_uid,
            principal, target, audience, lifetime_seconds, token_id, kid, role_arn, run_id, signing_input_sha256,
            address, user_agent, occurrences FROM audit_events "
    };
}

/// Rows that fit a filter, with whose credential asked. `$narrow` says which index finds them: where a parameter may be
/// absent, neither database sees that the rest of the condition is an equality.
macro_rules! told {
    ($narrow:literal, $order:literal) => {
        concat!(
            "SELECT e.id, e.at, e.issuer_id, e.action, e.decision, e.reason, e.credential_kind, e.credential_id,
                e.worker_id, e.team_uid, e.principal, e.target, e.audience, e.lifetime_seconds, e.token_id, e.kid,
                e.role_arn, e.run_id, e.signing_input_sha256, e.address, e.user_agent, e.occurrences,
                c.administrator_id, c.user_uid, c.service_account_uid
             FROM audit_events e LEFT JOIN credentials c ON c.id = e.credential_id
             WHERE ",
            $narrow,
            "e.at >= $3 AND e.at < $4
                AND ($5 IS NULL OR e.team_uid = $5) AND ($6 IS NULL OR e.principal = $6)
                AND ($7 IS NULL OR e.token_id = $7) AND ($8 IS NULL OR e.action = $8)
                AND ($9 IS NULL OR e.decision = $9) AND ($10 IS NULL OR e.run_id = $10)
                AND ($11 IS NULL OR e.credential_id = $11 OR e.worker_id = $11) AND ",
            $order,
            " LIMIT $12"
        )
    };
}

/// The statement for a filter: a token has one row or two, a principal fewer than its team.
macro_rules! narrowed {
    ($filter:expr, $order:literal) => {
        match $filter {
            EventFilter { token: Some(_), .. } => told!("e.token_id = $7 AND ", $order),
            EventFilter { principal: Some(_), .. } => told!("e.principal = $6 AND ", $order),
            EventFilter { team: Some(_), .. } => told!("e.team_uid = $5 AND ", $order),
            EventFilter { .. } => told!("", $order),
        }
    };
}

impl Store {
    /// A page of rows, the newest first.
    pub async fn events(&self, filter: &EventFilter, page: &Page) -> Result<Paged<RecordedEvent>, StoreError> {
        let Paged { items, next } = self.told(filter, page, Order::NewestFirst).await?;
        Ok(Paged { items: items.into_iter().map(|told| told.event).collect(), next })
    }

    /// A page of rows in either order, with whose credential asked.
    pub async fn told(&self, filter: &EventFilter, page: &Page, order: Order) -> Result<Paged<Told>, StoreError> {
        let (at, id) = cursor(page, order)?;
        let from = filter.from.map_or(i64::MIN, millis);
        let until = filter.until.map_or(i64::MAX, millis);
        let sql = match order {
            Order::NewestFirst => {
                narrowed!(filter, "e.at <= $1 AND (e.at < $1 OR e.id < $2) ORDER BY e.at DESC, e.id DESC")
            }
            Order::OldestFirst => narrowed!(filter, "e.at >= $1 AND (e.at > $1 OR e.id > $2) ORDER BY e.at, e.id"),
        };
        let rows = self
            .db
            .fetch_page(
                sql,
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
                    filter.run.as_ref().map(ToString::to_string).into(),
                    filter.credential.into(),
                    page.fetch().into(),
                ],
            )
            .await?;
        let told = rows.iter().map(told).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(told, |told| format!("{}.{}", millis(told.event.at), told.event.id)))
    }

    /// Which roles were named in tokens that were released in a team since `since`, for whom and under which issuer,
    /// with when the last of those tokens ends.
    pub async fn roles_named(
        &self,
        team: &TeamUid,
        principal: Option<&Principal>,
        since: OffsetDateTime,
    ) -> Result<Vec<RoleNamed>, StoreError> {
        let sql = "SELECT issuer_id, principal, audience, role_arn, MAX(at + lifetime_seconds * 1000) AS ends
            FROM audit_events
            WHERE team_uid = $1 AND at >= $2 AND decision = 'allowed' AND token_id IS NOT NULL
                AND principal IS NOT NULL AND ($3 IS NULL OR principal = $3)
            GROUP BY issuer_id, principal, audience, role_arn ORDER BY role_arn, principal";
        let principal = principal.map(ToString::to_string);
        let rows = self.db.fetch_all(sql, [team.into(), since.into(), principal.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(RoleNamed {
                    issuer: row.handle("issuer_id")?,
                    principal: row.parsed("principal", |text| Principal::parse(text).ok())?,
                    audience: row.text("audience")?,
                    role: row.optional_parsed("role_arn", |text| RoleArn::parse(text).ok())?,
                    ends: row.time("ends")?,
                })
            })
            .collect()
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
    // Their own rows, and those of what they administered.
    let sql = "UPDATE audit_events SET address = NULL, user_agent = NULL
        WHERE principal = $1 OR credential_id IN (SELECT id FROM credentials WHERE user_uid = $2)";
    tx.execute(sql, [principal.into(), user.into()]).await.map(drop)
}

/// Where the page before ended; the start is an instant beyond every row.
fn cursor(page: &Page, order: Order) -> Result<(i64, String), StoreError> {
    let after = page.after()?;
    if after.is_empty() {
        let beyond = match order {
            Order::NewestFirst => i64::MAX,
            Order::OldestFirst => i64::MIN,
        };
        return Ok((beyond, String::new()));
    }
    let (at, id) = after.split_once('.').ok_or(StoreError::Cursor)?;
    Ok((at.parse().map_err(|_| StoreError::Cursor)?, id.to_owned()))
}

fn told(row: &Row) -> Result<Told, StoreError> {
    let asker =
        [("administrator_id", "administrator"), ("user_uid", "user"), ("service_account_uid", "service_account")];
    let mut owner = None;
    for (column, word) in asker {
        owner = owner.or(row.optional_text(column)?.map(|id| format!("{word}:{id}")));
    }
    Ok(Told { event: event(row)?, asker: owner })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Target;
    use crate::store::db::Db;

    /// How SQLite would go about `sql`, in its own words. Nothing is bound: the text alone decides.
    async fn plan(db: &Db, sql: &'static str) -> String {
        let rows = db.fetch_all(sql, []).await.unwrap();
        rows.iter().map(|row| row.text("detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn each_question_is_answered_by_its_index_in_the_order_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::connect(&Target::Sqlite { path: home.path().join("brevet.db") }).await.unwrap();
        store.migrate(OffsetDateTime::UNIX_EPOCH).await.unwrap();
        macro_rules! plans {
            ($order:literal) => {
                [
                    (plan(&store.db, concat!("EXPLAIN QUERY PLAN ", told!("", $order))).await, "PRIMARY KEY (at"),
                    (
                        plan(&store.db, concat!("EXPLAIN QUERY PLAN ", told!("e.team_uid = $5 AND ", $order))).await,
                        "INDEX audit_events_team (team_uid=? AND at",
                    ),
                    (
                        plan(&store.db, concat!("EXPLAIN QUERY PLAN ", told!("e.principal = $6 AND ", $order))).await,
                        "INDEX audit_events_principal (principal=? AND at",
                    ),
                    (
                        plan(&store.db, concat!("EXPLAIN QUERY PLAN ", told!("e.token_id = $7 AND ", $order))).await,
                        "INDEX audit_events_token (token_id=?",
                    ),
                ]
            };
        }
        let newest = plans!("e.at <= $1 AND (e.at < $1 OR e.id < $2) ORDER BY e.at DESC, e.id DESC");
        let oldest = plans!("e.at >= $1 AND (e.at > $1 OR e.id > $2) ORDER BY e.at, e.id");
        for (plan, index) in newest.into_iter().chain(oldest) {
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{index}: {plan}");
        }
    }
}
