//! `/v1/audit`, and the same of one team.

use axum::Json;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::OfList;
use super::capability::{Of, OfTeam};
use crate::domain::audit::{Action, Decision, TokenFacts};
use crate::domain::authority::{InstallationReader, TeamReader};
use crate::domain::id::{CredentialId, RunId, TeamUid, TokenId};
use crate::domain::principal::Principal;
use crate::http::error::ProblemAnswer;
use crate::http::resource::fields::Fields;
use crate::http::resource::page::{self, PageQuery};
use crate::http::resource::query::Members;
use crate::http::state::IssuerState;
use crate::issuer::admin::{AdminError, Reading};
use crate::store::{EventFilter, Order, PAGE_LIMIT_MAX, Page, Told};
use crate::wire::admin::audit::{AuditEvent, AuditToken};
use crate::wire::admin::page::Page as PageAnswer;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(export))
        .routes(routes!(list_of_team))
        .routes(routes!(export_of_team))
}

/// The filters of a team's audit log, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Search reads")]
struct AuditQuery {
    /// Rows for this principal: `user:<uid>` or `service_account:<uid>`.
    principal: Option<String>,
    /// The row of the token with this `jti`.
    token_id: Option<String>,
    /// Rows of this action, such as `token.mint`.
    action: Option<String>,
    /// Rows with this decision: `allowed` or `refused`.
    decision: Option<String>,
    /// Rows about tokens of this run.
    run: Option<String>,
    /// Rows of what this credential or worker key asked for.
    credential: Option<String>,
    /// Rows from this time on, RFC 3339.
    since: Option<String>,
    /// Rows before this time, RFC 3339.
    until: Option<String>,
}

/// The same of the whole log.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Search reads")]
struct TeamQuery {
    /// Rows of this team.
    team: Option<String>,
}

/// The filters, and which page of what fits them.
const FILTERS: [&str; 8] = ["principal", "token_id", "action", "decision", "run", "credential", "since", "until"];

/// Whose rows are asked for: `WHOLE` takes a team in the query, and `PAGED` a page.
struct Search<const WHOLE: bool, const PAGED: bool>(EventFilter, Page);

/// Searches the audit log, the newest row first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "search_audit", tag = "Audit",
    params(TeamQuery, AuditQuery, PageQuery),
    responses((status = 200, description = "A page of audit rows", body = PageAnswer<AuditEvent>), OfList))]
async fn list(
    Of(reading): Of<InstallationReader>,
    Search(filter, page): Search<true, true>,
) -> Result<Json<PageAnswer<AuditEvent>>, ProblemAnswer> {
    Ok(Json(page::answer(reading.audit(&filter, &page, Order::NewestFirst).await?, shown)))
}

/// Exports the audit log, the oldest row first, one JSON object a line.
///
/// Rows of the last seconds may come later than younger ones: begin the next export some minutes before the end of
/// this one, and tell rows apart by their ids.
#[utoipa::path(get, path = "/v1/audit/export", operation_id = "export_audit", tag = "Audit",
    params(TeamQuery, AuditQuery),
    responses((status = 200, description = "Audit rows, as JSON lines", body = AuditEvent, content_type = "application/x-ndjson"), OfList))]
async fn export(
    Of(reading): Of<InstallationReader>,
    Search(filter, _): Search<true, false>,
) -> Result<Response, ProblemAnswer> {
    lines(reading, filter).await
}

/// Searches the audit log of one team, the newest row first.
#[utoipa::path(get, path = "/v1/teams/{team}/audit", operation_id = "search_team_audit", tag = "Audit",
    params(("team" = String, Path, description = "The team's uid"), AuditQuery, PageQuery),
    responses((status = 200, description = "A page of audit rows", body = PageAnswer<AuditEvent>), OfList))]
async fn list_of_team(
    OfTeam(reading, team): OfTeam<TeamReader>,
    Search(filter, page): Search<false, true>,
) -> Result<Json<PageAnswer<AuditEvent>>, ProblemAnswer> {
    reading.team(&team).await?;
    let filter = EventFilter { team: Some(team), ..filter };
    Ok(Json(page::answer(reading.audit(&filter, &page, Order::NewestFirst).await?, shown)))
}

/// Exports the audit log of one team, the oldest row first, one JSON object a line.
#[utoipa::path(get, path = "/v1/teams/{team}/audit/export", operation_id = "export_team_audit", tag = "Audit",
    params(("team" = String, Path, description = "The team's uid"), AuditQuery),
    responses((status = 200, description = "Audit rows, as JSON lines", body = AuditEvent, content_type = "application/x-ndjson"), OfList))]
async fn export_of_team(
    OfTeam(reading, team): OfTeam<TeamReader>,
    Search(filter, _): Search<false, false>,
) -> Result<Response, ProblemAnswer> {
    reading.team(&team).await?;
    lines(reading, EventFilter { team: Some(team), ..filter }).await
}

/// Everything that fits, page by page as the reader takes it. The first page is read before the answer begins, so
/// that a store which does not answer is a problem; later the body breaks off, which no client takes for its end.
async fn lines(reading: Reading, filter: EventFilter) -> Result<Response, ProblemAnswer> {
    let mut pages = Box::pin(pages(reading, filter));
    let first = pages.try_next().await?.unwrap_or_default();
    let rest = pages.map_err(|error| {
        tracing::warn!(cause = %error, "an export of the audit log broke off");
        error
    });
    let body = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

fn pages(reading: Reading, filter: EventFilter) -> impl Stream<Item = Result<Bytes, AdminError>> + Send {
    let start = Some(Page { after: None, limit: PAGE_LIMIT_MAX });
    stream::try_unfold((reading, filter, start), async |(reading, filter, page)| {
        let Some(page) = page else { return Ok(None) };
        let rows = reading.audit(&filter, &page, Order::OldestFirst).await?;
        let mut text = Vec::new();
        for row in rows.items {
            // A row is a struct of texts and numbers, which JSON always takes.
            serde_json::to_writer(&mut text, &shown(row)).unwrap_or_default();
            text.push(b'\n');
        }
        let next = rows.next.map(|after| Page { after: Some(after), ..page });
        Ok(Some((Bytes::from(text), (reading, filter, next))))
    })
}

impl<S: Sync, const WHOLE: bool, const PAGED: bool> FromRequestParts<S> for Search<WHOLE, PAGED> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut known = FILTERS.to_vec();
        known.extend(WHOLE.then_some("team"));
        known.extend(if PAGED { &["limit", "after"][..] } else { &[] });
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &known, &mut fields);
        let page = page::read(&mut members, &mut fields);
        let team = fields.optional("team", members.take("team"), |text| TeamUid::parse(&text));
        let principal = fields.optional("principal", members.take("principal"), |text| Principal::parse(&text));
        let token = fields.optional("token_id", members.take("token_id"), |text| {
            TokenId::parse(&text).ok_or("must be the jti of a token")
        });
        let action = fields.optional("action", members.take("action"), |text| {
            Action::parse(&text).ok_or_else(|| format!("must be one of {}", Action::ALL.map(Action::as_str).join(", ")))
        });
        let decision = fields.optional("decision", members.take("decision"), |text| {
            Decision::parse(&text).ok_or("must be allowed or refused")
        });
        let run = fields.optional("run", members.take("run"), |text| RunId::parse(&text));
        let credential = fields.optional("credential", members.take("credential"), |text| {
            CredentialId::parse(&text).ok_or("must be the id of a credential")
        });
        let time = |text: String| OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| "must be a time of RFC 3339");
        let since = fields.optional("since", members.take("since"), time);
        let until = fields.optional("until", members.take("until"), time);
        let search = (|| {
            let filter = EventFilter {
                team: team?,
                principal: principal?,
                token: token?,
                run: run?,
                credential: credential?,
                action: action?,
                decision: decision?,
                from: since?,
                until: until?,
            };
            Some(Self(filter, page?))
        })();
        fields.finish(search).map_err(ProblemAnswer::fields)
    }
}

fn shown(Told { event, asker }: Told) -> AuditEvent {
    AuditEvent {
        id: event.id.to_string(),
        at: event.at,
        action: event.action.to_string(),
        decision: event.decision.as_str().to_owned(),
        reason: event.reason,
        credential_kind: event.credential.map(|(kind, _)| kind.to_string()),
        credential_id: event.credential.map(|(_, id)| id.to_string()),
        asked_by: asker,
        worker_key_id: event.worker.map(|id| id.to_string()),
        team_uid: event.team.map(|team| team.to_string()),
        principal: event.principal.map(|principal| principal.to_string()),
        target: event.target,
        token: event.token.map(token),
        address: event.origin.address.map(|address| address.to_string()),
        user_agent: event.origin.user_agent,
        count: event.count,
    }
}

fn token(token: TokenFacts) -> AuditToken {
    let TokenFacts { audience, lifetime_seconds, token_id, kid, role_arn, run_id, signing_input_sha256 } = token;
    AuditToken { audience, lifetime_seconds, token_id, kid, role_arn, run_id, signing_input_sha256 }
}
