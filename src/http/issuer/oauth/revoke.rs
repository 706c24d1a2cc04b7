//! `POST /oauth2/revoke` (RFC 7009).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, StatusCode};
use utoipa::ToSchema;

use super::client;
use super::form::Form;
use crate::domain::audit::Action;
use crate::http::error::oauth::{OAuthAnswer, OAuthProblem};
use crate::http::extract::ClientOrigin;
use crate::http::state::IssuerState;
use crate::issuer::oauth::Presented;

/// The parameters of the form, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler reads")]
pub struct RevokeRequest {
    /// The access token to be given up; for people either token, with which the session ends.
    token: String,
    /// `access_token` or `refresh_token`; the token itself says what it is, so that no hint changes anything.
    token_type_hint: Option<String>,
    /// The service account's uid, not needed beside `Authorization: Basic`; for people `brevet-cli`.
    client_id: Option<String>,
    /// A key of the service account. Not beside `Authorization: Basic`.
    client_secret: Option<String>,
    /// A JWT signed with a registered key (RFC 7523), instead of a secret.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
}

/// Gives up an access token of one's own, or a person's session; nothing is minted with it from then on.
#[utoipa::path(post, path = "/oauth2/revoke", tag = "oauth", security(("client_secret_basic" = []), ()),
    request_body(content = RevokeRequest, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "It is over, or never was."),
    (status = 400, description = "`invalid_request`, `invalid_grant`: it is another client's, `unsupported_token_type`", body = OAuthProblem),
    (status = 401, description = "`invalid_client`", body = OAuthProblem, headers(("WWW-Authenticate" = String))),
    (status = 413, description = "`invalid_request`: the body is too large", body = OAuthProblem),
    (status = 429, description = "`temporarily_unavailable`: too many requests", body = OAuthProblem),
    (status = 500, description = "`server_error`", body = OAuthProblem),
    (status = 503, description = "`temporarily_unavailable`", body = OAuthProblem)))]
pub async fn revoke(
    State(state): State<IssuerState>,
    ClientOrigin(origin): ClientOrigin,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthAnswer> {
    let token = form.require("token")?;
    let presented = client::presented(&headers, &form)?;
    let issuer = state.issuer()?;
    if let Presented::Named { client_id } = &presented {
        // A public client shows for itself what only it has: the token.
        issuer.give_up_session(client_id.expose(), token, &origin).await?;
        return Ok(done());
    }
    let client = issuer.client(&presented, Action::AccessTokenRevoke, &origin).await?;
    issuer.revoke_access_token(&client, token, &origin).await?;
    Ok(done())
}

fn done() -> Response {
    (StatusCode::OK, [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")]).into_response()
}
