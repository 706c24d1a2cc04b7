//! The public documents: bytes from memory, for anyone, whatever else goes on.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::domain::id::TeamUid;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::extract::Segments;
use crate::http::state::IssuerState;
use crate::issuer::publish::{Document, Published};
use crate::issuer::refusals::Unavailable;
use crate::wire::problem::Problem;

/// The discovery document (OpenID Connect Discovery 1.0, section 3).
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "documents", responses(
    (status = 200, description = "The members that AWS needs.", content_type = "application/json"),
    (status = 304, description = "Unchanged since the given ETag.")))]
pub async fn discovery(State(state): State<IssuerState>, headers: HeaderMap) -> Result<Response, ProblemAnswer> {
    serve(&state, &headers, |published| &published.discovery)
}

/// The public keys, the signing key first (RFC 7517, section 5).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "documents", responses(
    (status = 200, description = "The JSON Web Key Set.", content_type = "application/json"),
    (status = 304, description = "Unchanged since the given ETag.")))]
pub async fn jwks(State(state): State<IssuerState>, headers: HeaderMap) -> Result<Response, ProblemAnswer> {
    serve(&state, &headers, |published| &published.jwks)
}

/// The discovery document of a team's private issuer.
#[utoipa::path(get, path = "/t/{team}/.well-known/openid-configuration", tag = "documents",
    params(("team" = String, Path, description = "The team's uid, byte for byte")), responses(
    (status = 200, description = "The members that AWS needs.", content_type = "application/json"),
    (status = 304, description = "Unchanged since the given ETag."),
    (status = 404, description = "The team has no private issuer, or has one no more.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn team_discovery(
    State(state): State<IssuerState>,
    Segments(team): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, ProblemAnswer> {
    let published = of_team(&state, &team).await?;
    answer(&published.discovery, published.max_age, &headers)
}

/// The public keys of a team's private issuer, the signing key first.
#[utoipa::path(get, path = "/t/{team}/.well-known/jwks.json", tag = "documents",
    params(("team" = String, Path, description = "The team's uid, byte for byte")), responses(
    (status = 200, description = "The JSON Web Key Set.", content_type = "application/json"),
    (status = 304, description = "Unchanged since the given ETag."),
    (status = 404, description = "The team has no private issuer, or has one no more.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn team_jwks(
    State(state): State<IssuerState>,
    Segments(team): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, ProblemAnswer> {
    let published = of_team(&state, &team).await?;
    answer(&published.jwks, published.max_age, &headers)
}

/// What the private issuer of `team` publishes. A team without one, one that never was and one that is gone are
/// answered alike. Another replica may have made an issuer a moment ago, so that one look is allowed.
async fn of_team(state: &IssuerState, team: &str) -> Result<Arc<Published>, ProblemAnswer> {
    let none = || ProblemAnswer::new(Code::NotFound, "there is no such issuer");
    let team = TeamUid::parse(team).map_err(|_| none())?;
    if let Some(published) = state.teams().current(&team) {
        return Ok(published);
    }
    // Until the database has answered nobody knows: a cache must not learn that there is nothing.
    state.issuer()?.look_for_private_issuers().await;
    state.teams().current(&team).ok_or_else(none)
}

fn serve(
    state: &IssuerState,
    headers: &HeaderMap,
    which: impl FnOnce(&Published) -> &Document,
) -> Result<Response, ProblemAnswer> {
    let published = state.publication().current().ok_or(Unavailable::Starting)?;
    answer(which(&published), published.max_age, headers)
}

/// Answers with a document, or that it is unchanged.
pub(super) fn answer(document: &Document, max_age: u32, headers: &HeaderMap) -> Result<Response, ProblemAnswer> {
    let unchanged = headers.get_all(IF_NONE_MATCH).iter().any(|seen| names(seen, &document.etag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(document.body.clone()))
    };
    let out = response.headers_mut();
    if !unchanged {
        out.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let cache = format!("public, max-age={max_age}");
    for (name, value) in [(CACHE_CONTROL, cache.as_str()), (ETAG, document.etag.as_str())] {
        out.insert(name, HeaderValue::from_str(value).map_err(ProblemAnswer::internal)?);
    }
    // Public keys are for everyone, and no cookie is ever read.
    out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

/// Weak comparison (RFC 9110, section 13.1.2): a cache may have weakened the tag.
fn names(seen: &HeaderValue, etag: &str) -> bool {
    let seen = seen.to_str().unwrap_or_default();
    seen.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_a_star_and_a_weakened_tag_name_the_document() {
        for (seen, named) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("a", false),
            ("\"A\"", false),
            ("", false),
        ] {
            assert_eq!(names(&HeaderValue::from_str(seen).unwrap(), "\"a\""), named, "{seen}");
        }
    }
}
