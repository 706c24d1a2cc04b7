//! `GET /.well-known/oauth-authorization-server`, under the issuer URL and where RFC 8414 puts it.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::HeaderMap;

use crate::domain::issuer_url::IssuerUrl;
use crate::http::error::ProblemAnswer;
use crate::http::issuer::documents;
use crate::http::state::IssuerState;
use crate::issuer::oauth::metadata::METADATA_PATH;

/// The metadata of the authorization server (RFC 8414): its endpoints, and only those that exist.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "documents", responses(
    (status = 200, description = "The endpoints, the grants, and how clients prove themselves.", content_type = "application/json"),
    (status = 304, description = "Unchanged since the given ETag.")))]
pub async fn oauth_metadata(State(state): State<IssuerState>, headers: HeaderMap) -> Result<Response, ProblemAnswer> {
    documents::answer(state.oauth_metadata(), state.publication().max_age(), &headers)
}

/// The same document for an issuer URL with a path, where the well-known part stands before that path (RFC 8414,
/// section 3.1): the one route outside the issuer URL. Without a path both are one, and there is nothing to add.
pub fn before_the_path(url: &IssuerUrl) -> Router<IssuerState> {
    if url.path().is_empty() {
        return Router::new();
    }
    Router::new().route(&format!("{METADATA_PATH}{}", url.path()), get(oauth_metadata))
}
