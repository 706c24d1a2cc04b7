//! `/v1/audit`.

use axum::Json;
use axum::extract::FromRequestParts;
use http::request::Parts;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use super::answers::OfList;
use super::fields::Fields;
use super::page::{self, PageQuery};
use super::query::Members;
use crate::domain::audit::{Action, Decision, RecordedEvent, TokenFacts};
use crate::domain::id::{TeamUid, TokenId};
use crate::domain::principal::Principal;
use crate::http::error::ProblemAnswer;
use crate::http::state::IssuerState;
use crate::store::{EventFilter, Page};
use crate::wire::admin::audit::{AuditEvent, AuditToken};
use crate::wire::admin::page::Page as PageAnswer;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The filters of the audit log, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Search reads")]
struct AuditQuery {
    /// Rows of this team.
    team: Option<String>,
    /// Rows for this principal: `user:<uid>` or `service_account:<uid>`.
    principal: Option<String>,
    /// The row of the token with this `jti`.
    token_id: Option<String>,
    /// Rows of this action, such as `token.mint`.
    action: Option<String>,
    /// Rows with this decision: `allowed` or `refused`.
    decision: Option<String>,
    /// Rows from this time on, RFC 3339.
    since: Option<String>,
    /// Rows before this time, RFC 3339.
    until: Option<String>,
}

/// What is searched for, and which page of it.
struct Search(EventFilter, Page);

/// Searches the audit log, the newest row first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "search_audit", tag = "Audit", params(AuditQuery, PageQuery),
    responses((status = 200, description = "A page of audit rows", body = PageAnswer<AuditEvent>), OfList))]
async fn list(
    Admin(admin): Admin,
    Search(filter, page): Search,
) -> Result<Json<PageAnswer<AuditEvent>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.audit(&filter, &page).await?, shown)))
}

impl<S: Sync> FromRequestParts<S> for Search {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let known = ["team", "principal", "token_id", "action", "decision", "since", "until", "limit", "after"];
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
        let time = |text: String| OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| "must be a time of RFC 3339");
        let since = fields.optional("since", members.take("since"), time);
        let until = fields.optional("until", members.take("until"), time);
        let search = (|| {
            let (team, principal, token) = (team?, principal?, token?);
            let filter = EventFilter {
                team,
                principal,
                token,
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

fn shown(event: RecordedEvent) -> AuditEvent {
    AuditEvent {
        id: event.id.to_string(),
        at: event.at,
        action: event.action.to_string(),
        decision: event.decision.as_str().to_owned(),
        reason: event.reason,
        credential_kind: event.credential.map(|(kind, _)| kind.to_string()),
        credential_id: event.credential.map(|(_, id)| id.to_string()),
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
