//! `POST /oauth2/backchannel_logout` (OpenID Connect Back-Channel Logout 1.0).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, PRAGMA};
use utoipa::ToSchema;

use super::form::Form;
use crate::http::error::oauth::{OAuthAnswer, OAuthProblem};
use crate::http::extract::ClientOrigin;
use crate::http::state::IssuerState;

/// The parameters of the form, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler reads")]
pub struct BackchannelLogoutRequest {
    /// The logout token of a provider at which people sign in here.
    logout_token: String,
}

/// Ends the sessions of somebody who has signed out at their provider; nothing is minted in them from then on.
#[utoipa::path(post, path = "/oauth2/backchannel_logout", tag = "oauth", security(()),
    request_body(content = BackchannelLogoutRequest, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "They are ended, or there were none."),
    (status = 400, description = "`invalid_request`: the logout token is refused", body = OAuthProblem),
    (status = 413, description = "`invalid_request`: the body is too large", body = OAuthProblem),
    (status = 429, description = "`temporarily_unavailable`: too many requests", body = OAuthProblem),
    (status = 500, description = "`server_error`", body = OAuthProblem),
    (status = 503, description = "`temporarily_unavailable`", body = OAuthProblem)))]
pub async fn backchannel_logout(
    State(state): State<IssuerState>,
    ClientOrigin(origin): ClientOrigin,
    form: Form,
) -> Result<Response, OAuthAnswer> {
    let token = form.require("logout_token")?;
    state.issuer()?.upstream_logout(token, &origin).await?;
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")]).into_response())
}
