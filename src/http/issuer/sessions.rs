//! `/v1/sessions`: opening, listing and ending one's own sessions.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;

use super::oauth::person;
use crate::domain::access::SessionOwner;
use crate::domain::id::SessionId;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::extract::{Bearer, ClientOrigin, Json, Segments};
use crate::http::state::IssuerState;
use crate::wire::problem::Problem;
use crate::wire::session::{OpenSession, SessionEntry, SessionList, SessionTokens};

/// Redeems an enrolment code, once, for a session of 12 hours.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = OpenSession, responses(
    (status = 201, description = "The session; its tokens are shown this once.", body = SessionTokens),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn open(
    State(state): State<IssuerState>,
    ClientOrigin(origin): ClientOrigin,
    Json(body): Json<OpenSession>,
) -> Result<Response, ProblemAnswer> {
    let opened = state.issuer()?.open_session(&body.code.0, body.device.as_deref(), &origin).await?;
    let answer = person::answer(opened);
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

/// The person's live sessions, the newest first.
#[utoipa::path(get, path = "/v1/sessions", tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, description = "The sessions.", body = SessionList),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn list(
    State(state): State<IssuerState>,
    Bearer(owner): Bearer<SessionOwner>,
) -> Result<Response, ProblemAnswer> {
    let sessions = state.issuer()?.sessions(&owner).await?;
    let items = sessions.into_iter().map(|session| SessionEntry {
        session_id: session.id.to_string(),
        origin: session.origin.to_string(),
        device: session.device,
        address: session.opened_from.address.map(|address| address.to_string()),
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        current: session.id == owner.session,
    });
    let answer = SessionList { items: items.collect() };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

/// Ends one of the person's sessions: its tokens are nobody's at once.
#[utoipa::path(delete, path = "/v1/sessions/{session_id}", tag = "sessions", security(("bearer" = [])),
    params(("session_id" = String, Path, description = "Which session.")), responses(
    (status = 204, description = "It is ended."),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn end(
    State(state): State<IssuerState>,
    Bearer(owner): Bearer<SessionOwner>,
    ClientOrigin(origin): ClientOrigin,
    Segments(session): Segments<String>,
) -> Result<StatusCode, ProblemAnswer> {
    let missing = || ProblemAnswer::new(Code::SessionNotFound, "session_id names no live session of this person");
    let session = SessionId::parse(&session).ok_or_else(missing)?;
    let ended = state.issuer()?.end_session(&owner, session, &origin).await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}
