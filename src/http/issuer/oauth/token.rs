//! `POST /oauth2/token`: one route, one arm a grant (RFC 6749, section 3.2).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, refuse_narrowing};
use super::client;
use super::form::Form;
use super::person;
use super::token_exchange::{ExchangeAnswer, exchange};
use crate::domain::audit::Action;
use crate::http::error::oauth::{OAuthAnswer, OAuthCode, OAuthProblem};
use crate::http::extract::ClientOrigin;
use crate::http::state::IssuerState;
use crate::issuer::oauth::{GrantType, IssuedToken};
use crate::wire::secret_text::SecretText;
use crate::wire::session::SessionTokens;

/// The parameters of the form, for the OpenAPI document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the grants read")]
pub struct TokenRequest {
    /// `client_credentials`, `urn:ietf:params:oauth:grant-type:token-exchange`, or for people `authorization_code`,
    /// `urn:ietf:params:oauth:grant-type:device_code`, `refresh_token`.
    grant_type: String,
    /// The service account's uid, not needed beside `Authorization: Basic`; for people `brevet-cli`.
    client_id: Option<String>,
    /// A key of the service account. Not beside `Authorization: Basic`.
    client_secret: Option<String>,
    /// A JWT signed with a registered key (RFC 7523), instead of a secret.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
    /// Token exchange: a JWT of an issuer that a trust rule of the service account names.
    subject_token: Option<String>,
    /// Token exchange: `urn:ietf:params:oauth:token-type:jwt`, `…:id_token` or `…:access_token`.
    subject_token_type: Option<String>,
    /// Token exchange: `urn:ietf:params:oauth:token-type:access_token`, the default, or `…:jwt` for an identity token.
    requested_token_type: Option<String>,
    /// Token exchange: for whom the identity token is.
    audience: Option<String>,
    /// Device grant: what the device authorization endpoint gave.
    device_code: Option<String>,
    /// Authorization code: what the browser brought back.
    code: Option<String>,
    /// Authorization code: the same as at the authorization endpoint, byte for byte.
    redirect_uri: Option<String>,
    /// Authorization code: what `code_challenge` was made of (RFC 7636).
    code_verifier: Option<String>,
    /// Refresh: the newest refresh token of the session.
    refresh_token: Option<String>,
}

/// The answer to a grant (RFC 6749, section 5.1).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// An opaque credential of the service account: a bearer for the mint.
    #[schema(value_type = String)]
    access_token: SecretText,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long it lasts from now: 15 minutes, or what is left of the key it was got with.
    #[schema(example = 900)]
    expires_in: i64,
}

/// What the grants answer.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what the grants answer")]
enum TokenAnswers {
    /// To client credentials.
    Token(TokenAnswer),
    /// To a token exchange.
    Exchange(ExchangeAnswer),
    /// To a person's device, code or refresh token.
    Session(SessionTokens),
}

impl From<IssuedToken> for TokenAnswer {
    fn from(issued: IssuedToken) -> Self {
        Self { access_token: SecretText(issued.token), token_type: "Bearer", expires_in: issued.expires_in }
    }
}

impl IntoResponse for TokenAnswer {
    fn into_response(self) -> Response {
        ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], axum::Json(self)).into_response()
    }
}

/// Gives a service account a short-lived access token, and a person's terminal the tokens of its session.
#[utoipa::path(post, path = "/oauth2/token", tag = "oauth", security(("client_secret_basic" = []), ()),
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "The access token. An exchange also says `issued_token_type`.", body = inline(TokenAnswers)),
    (status = 400, description = "`invalid_request`, `unsupported_grant_type`, `invalid_scope`, `invalid_target`, `invalid_grant`; to a device also `authorization_pending`, `slow_down`, `access_denied`, `expired_token`",
        body = OAuthProblem),
    (status = 401, description = "`invalid_client`", body = OAuthProblem, headers(("WWW-Authenticate" = String))),
    (status = 413, description = "`invalid_request`: the body is too large", body = OAuthProblem),
    (status = 429, description = "`temporarily_unavailable`: too many requests", body = OAuthProblem),
    (status = 500, description = "`server_error`", body = OAuthProblem),
    (status = 503, description = "`temporarily_unavailable`", body = OAuthProblem)))]
pub async fn token(
    State(state): State<IssuerState>,
    ClientOrigin(origin): ClientOrigin,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthAnswer> {
    let grant = form.require("grant_type")?;
    let known = GrantType::ALL.map(GrantType::as_str).join(", ");
    let grant = GrantType::parse(grant.expose()).ok_or_else(|| {
        OAuthAnswer::new(OAuthCode::UnsupportedGrantType, format!("grant_type must be one of: {known}"))
    })?;
    let presented = client::presented(&headers, &form)?;
    let asked = Asked { presented, form, origin };
    match grant {
        GrantType::ClientCredentials => client_credentials(&state, &asked).await.map(IntoResponse::into_response),
        GrantType::TokenExchange => exchange(&state, &asked).await.map(IntoResponse::into_response),
        GrantType::AuthorizationCode => person::code(&state, &asked).await.map(unstored),
        GrantType::DeviceCode => person::device(&state, &asked).await.map(unstored),
        GrantType::RefreshToken => person::refresh(&state, &asked).await.map(unstored),
    }
}

fn unstored(tokens: SessionTokens) -> Response {
    ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], axum::Json(tokens)).into_response()
}

/// The client's authentication is its grant (RFC 6749, section 4.4).
async fn client_credentials(state: &IssuerState, asked: &Asked) -> Result<TokenAnswer, OAuthAnswer> {
    let Asked { presented, form, origin } = asked;
    refuse_narrowing(form)?;
    let issuer = state.issuer()?;
    let client = issuer.client(presented, Action::AccessTokenIssue, origin).await?;
    Ok(issuer.issue_access_token(&client, origin).await?.into())
}
