//! `/v1/users/{user}/sessions`: people's sessions, as operators and auditors see them.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfDelete, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::InstallationReader;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::state::IssuerState;
use crate::store::Session;
use crate::wire::admin::session::{UserSession, UserSessions};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, end_all)).routes(routes!(end))
}

/// Lists the living sessions of a person, the newest first.
#[utoipa::path(get, path = "/v1/users/{user}/sessions", operation_id = "list_user_sessions", tag = "People",
    params(("user" = String, Path, description = "The person's uid")),
    responses((status = 200, description = "The sessions", body = UserSessions), OfRead))]
async fn list(
    Of(reading): Of<InstallationReader>,
    Segments(user): Segments<String>,
) -> Result<Json<UserSessions>, ProblemAnswer> {
    let sessions = reading.sessions_of(&names::uid(&user)?).await?;
    Ok(Json(UserSessions { items: sessions.into_iter().map(shown).collect() }))
}

/// Ends every session of a person. When it has returned, nothing of them can still mint.
#[utoipa::path(delete, path = "/v1/users/{user}/sessions", operation_id = "end_user_sessions", tag = "People",
    params(("user" = String, Path, description = "The person's uid")),
    responses((status = 204, description = "They are ended"), OfDelete))]
async fn end_all(Admin(admin): Admin, Segments(user): Segments<String>) -> Result<StatusCode, ProblemAnswer> {
    admin.end_sessions_of(&names::uid(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one session of a person.
#[utoipa::path(delete, path = "/v1/users/{user}/sessions/{id}", operation_id = "end_user_session", tag = "People",
    params(("user" = String, Path, description = "The person's uid"), ("id" = String, Path, description = "The session's id")),
    responses((status = 204, description = "It is ended"), OfDelete))]
async fn end(
    Admin(admin): Admin,
    Segments((user, id)): Segments<(String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    admin.end_session_of(&names::uid(&user)?, names::handle(&id, "session")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(session: Session) -> UserSession {
    UserSession {
        session_id: session.id.to_string(),
        origin: session.origin.to_string(),
        device: session.device,
        address: session.opened_from.address.map(|address| address.to_string()),
        user_agent: session.opened_from.user_agent,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
    }
}
