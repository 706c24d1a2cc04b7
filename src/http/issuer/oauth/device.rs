//! `POST /oauth2/device_authorization` (RFC 8628, section 3.1).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::refuse_narrowing;
use super::form::Form;
use super::{client, person};
use crate::domain::id::TeamUid;
use crate::domain::secret::Secret;
use crate::http::error::oauth::{OAuthAnswer, OAuthProblem};
use crate::http::extract::ClientOrigin;
use crate::http::state::IssuerState;
use crate::wire::secret_text::SecretText;

/// The page at which a person types the code, under the issuer URL.
pub const VERIFICATION_PATH: &str = "/device";

/// The parameters of the form, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the handler reads")]
pub struct DeviceAuthorizationRequest {
    /// `brevet-cli`.
    client_id: String,
    /// What to call the device on the page and in the list of sessions, at most 200 characters.
    device_name: Option<String>,
    /// The uid of the team that tokens are wanted for, to be shown on the page.
    team: Option<String>,
}

/// The answer (RFC 8628, section 3.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceAuthorizationAnswer {
    /// What the device polls the token endpoint with.
    #[schema(value_type = String)]
    device_code: SecretText,
    /// What its person types.
    #[schema(example = "BCDF-GHJK")]
    user_code: String,
    /// Where.
    #[schema(example = "https://id.example.com/device")]
    verification_uri: String,
    /// The same with the code in it.
    #[schema(example = "https://id.example.com/device?user_code=BCDF-GHJK")]
    verification_uri_complete: String,
    /// How long both codes last from now.
    #[schema(example = 600)]
    expires_in: i64,
    /// Seconds between two polls; each `slow_down` adds 5.
    #[schema(example = 5)]
    interval: u32,
}

/// Begins a sign-in on a device without a browser.
#[utoipa::path(post, path = "/oauth2/device_authorization", tag = "oauth",
    request_body(content = DeviceAuthorizationRequest, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "The codes, shown this once.", body = DeviceAuthorizationAnswer),
    (status = 400, description = "`invalid_request`, `invalid_scope`, `invalid_target`", body = OAuthProblem),
    (status = 401, description = "`invalid_client`", body = OAuthProblem, headers(("WWW-Authenticate" = String))),
    (status = 413, description = "`invalid_request`: the body is too large", body = OAuthProblem),
    (status = 429, description = "`temporarily_unavailable`: too many devices ask", body = OAuthProblem),
    (status = 500, description = "`server_error`", body = OAuthProblem),
    (status = 503, description = "`temporarily_unavailable`", body = OAuthProblem)))]
pub async fn device_authorization(
    State(state): State<IssuerState>,
    ClientOrigin(origin): ClientOrigin,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthAnswer> {
    let presented = client::presented(&headers, &form)?;
    let client = person::public(&presented)?;
    refuse_narrowing(&form)?;
    let device = form.get("device_name").map(Secret::expose);
    let team = form.get("team").map(|team| TeamUid::parse(team.expose())).transpose();
    let team = team.map_err(|rule| OAuthAnswer::invalid_request(format!("team {rule}")))?;
    let begun = state.issuer()?.device_authorization(client, device, team.as_ref(), &origin).await?;
    let (page, user_code) = (state.url().join(VERIFICATION_PATH), begun.user_code.to_text());
    let answer = DeviceAuthorizationAnswer {
        device_code: SecretText(begun.device_code),
        verification_uri_complete: format!("{page}?user_code={user_code}"),
        user_code,
        verification_uri: page,
        expires_in: begun.expires_in,
        interval: begun.interval,
    };
    Ok(([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], axum::Json(answer)).into_response())
}
