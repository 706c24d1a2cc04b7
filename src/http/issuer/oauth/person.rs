//! The grants of people's terminals: an approved device, a browser's code, a refresh token.

use super::asked::{Asked, refuse_narrowing};
use crate::domain::secret::Secret;
use crate::http::error::oauth::OAuthAnswer;
use crate::http::state::IssuerState;
use crate::issuer::oauth::refusals::GrantRefused;
use crate::issuer::oauth::{OAuthError, Presented};
use crate::issuer::sign_in::SessionTokens;
use crate::store::CodeShown;
use crate::wire::secret_text::SecretText;
use crate::wire::session::SessionTokens as Answer;

/// `urn:ietf:params:oauth:grant-type:device_code` (RFC 8628, section 3.4).
pub(super) async fn device(state: &IssuerState, asked: &Asked) -> Result<Answer, OAuthAnswer> {
    let (client, form) = (public(&asked.presented)?, &asked.form);
    refuse_narrowing(form)?;
    let code = form.require("device_code")?;
    Ok(answer(state.issuer()?.redeem_device(client, code, &asked.origin).await?))
}

/// `authorization_code` (RFC 6749, section 4.1.3, with RFC 7636).
pub(super) async fn code(state: &IssuerState, asked: &Asked) -> Result<Answer, OAuthAnswer> {
    let (client, form) = (public(&asked.presented)?, &asked.form);
    refuse_narrowing(form)?;
    let text = |name| form.require(name).map(Secret::expose);
    let shown = CodeShown { client, redirect_uri: text("redirect_uri")?, verifier: text("code_verifier")? };
    Ok(answer(state.issuer()?.redeem_code(form.require("code")?, shown, &asked.origin).await?))
}

/// `refresh_token` (RFC 6749, section 6).
pub(super) async fn refresh(state: &IssuerState, asked: &Asked) -> Result<Answer, OAuthAnswer> {
    let (client, form) = (public(&asked.presented)?, &asked.form);
    refuse_narrowing(form)?;
    let token = form.require("refresh_token")?;
    Ok(answer(state.issuer()?.refresh_session(client, token, &asked.origin).await?))
}

/// The name of a client that is public, and so proves nothing.
pub(super) fn public(presented: &Presented) -> Result<&str, OAuthAnswer> {
    match presented {
        Presented::Named { client_id } => Ok(client_id.expose()),
        Presented::Nobody => Err(OAuthAnswer::invalid_request("client_id is required")),
        Presented::Secret { .. } | Presented::Assertion { .. } => {
            Err(OAuthError::from(GrantRefused::Authenticated).into())
        }
    }
}

/// As terminals get it, here and at `POST /v1/sessions`.
pub(in crate::http::issuer) fn answer(tokens: SessionTokens) -> Answer {
    Answer {
        access_token: SecretText(tokens.access_token),
        token_type: "Bearer".to_owned(),
        expires_in: tokens.expires_in,
        refresh_token: SecretText(tokens.refresh_token),
        session_id: tokens.session.to_string(),
        user_uid: tokens.user.to_string(),
        session_expires_at: tokens.session_ends_at,
    }
}
