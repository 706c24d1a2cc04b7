//! Token exchange at the token endpoint (RFC 8693, section 2).

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::asked::{Asked, refuse_narrowing};
use super::form::Form;
use crate::domain::audience::Audience;
use crate::domain::policy::MintRequest;
use crate::http::error::oauth::{OAuthAnswer, OAuthCode};
use crate::http::state::IssuerState;
use crate::issuer::oauth::{Exchanged, Presented, Wanted};
use crate::wire::secret_text::SecretText;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// The answer to an exchange (RFC 8693, section 2.2.1).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExchangeAnswer {
    /// An opaque credential of the service account, or the identity token where one was asked for.
    #[schema(value_type = String)]
    access_token: SecretText,
    /// `urn:ietf:params:oauth:token-type:access_token`, or `…:jwt` for an identity token.
    #[schema(example = "urn:ietf:params:oauth:token-type:access_token")]
    issued_token_type: &'static str,
    /// `Bearer`; `N_A` for an identity token, which is not shown to this issuer.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long it lasts from now.
    #[schema(example = 900)]
    expires_in: i64,
}

impl IntoResponse for ExchangeAnswer {
    fn into_response(self) -> Response {
        ([(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")], axum::Json(self)).into_response()
    }
}

/// The workload's token is what shows for the client; its `client_id` says as which service account.
pub(super) async fn exchange(state: &IssuerState, asked: &Asked) -> Result<ExchangeAnswer, OAuthAnswer> {
    let Asked { presented, form, origin } = asked;
    let wanted = wanted(form)?;
    let Presented::Named { client_id } = presented else {
        return Err(OAuthAnswer::invalid_request(
            "client_id must name the service account, and the subject_token alone shows for it: leave other credentials out",
        ));
    };
    let subject_token = form.require("subject_token")?;
    let issuer = state.issuer()?;
    let exchanged = issuer.exchange_subject_token(client_id, subject_token, &wanted, origin).await?;
    Ok(answer(exchanged, issuer.now()))
}

fn answer(exchanged: Exchanged, now: OffsetDateTime) -> ExchangeAnswer {
    match exchanged {
        Exchanged::AccessToken(issued) => ExchangeAnswer {
            access_token: SecretText(issued.token),
            issued_token_type: ACCESS_TOKEN,
            token_type: "Bearer",
            expires_in: issued.expires_in,
        },
        Exchanged::IdentityToken(minted) => ExchangeAnswer {
            expires_in: (minted.expires_at - now).whole_seconds(),
            access_token: SecretText(minted.token),
            issued_token_type: JWT,
            token_type: "N_A",
        },
    }
}

/// What is asked for; every parameter of the RFC is read, and none is ignored.
pub fn wanted(form: &Form) -> Result<Wanted, OAuthAnswer> {
    let text = |name| form.get(name).map(crate::domain::secret::Secret::expose);
    if text("actor_token").or(text("actor_token_type")).is_some() {
        return Err(OAuthAnswer::invalid_request("actor_token is not taken: a workload speaks for itself"));
    }
    let subject_type = form.require("subject_token_type")?.expose();
    if ![JWT, ID_TOKEN, ACCESS_TOKEN].contains(&subject_type) {
        let words = format!("subject_token_type must be one of: {JWT}, {ID_TOKEN}, {ACCESS_TOKEN}");
        return Err(OAuthAnswer::invalid_request(words));
    }
    match text("requested_token_type") {
        None | Some(ACCESS_TOKEN) => {
            refuse_narrowing(form)?;
            Ok(Wanted::AccessToken)
        }
        Some(JWT) => {
            let named = text("audience").ok_or_else(|| {
                OAuthAnswer::invalid_request("audience is required: an identity token is for one relying party")
            })?;
            if text("scope").or(text("resource")).is_some() {
                let words = "leave scope and resource out: audience alone says for whom an identity token is";
                return Err(OAuthAnswer::new(OAuthCode::InvalidTarget, words));
            }
            let audience = Audience::parse(named);
            let audience =
                audience.map_err(|rule| OAuthAnswer::new(OAuthCode::InvalidTarget, format!("audience {rule}")))?;
            Ok(Wanted::IdentityToken(MintRequest { audience: Some(audience), ..MintRequest::default() }))
        }
        Some(_) => {
            let words = format!("requested_token_type must be one of: {ACCESS_TOKEN}, {JWT}");
            Err(OAuthAnswer::invalid_request(words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(form: &str) -> Result<String, String> {
        match wanted(&Form::parse(form.as_bytes()).unwrap()) {
            Ok(Wanted::AccessToken) => Ok("access token".to_owned()),
            Ok(Wanted::IdentityToken(request)) => Ok(request.audience.unwrap().to_string()),
            Err(answer) => Err(answer.code().as_str().to_owned()),
        }
    }

    #[test]
    fn every_parameter_of_the_rfc_is_read_and_none_ignored() {
        let jwt = format!("subject_token_type={JWT}");
        for (more, expected) in [
            (String::new(), Ok("access token")),
            (format!("&requested_token_type={ACCESS_TOKEN}"), Ok("access token")),
            (format!("&requested_token_type={JWT}&audience=sts.amazonaws.com"), Ok("sts.amazonaws.com")),
            (format!("&requested_token_type={JWT}"), Err("invalid_request")),
            (format!("&requested_token_type={JWT}&audience=a%20b"), Err("invalid_target")),
            (format!("&requested_token_type={JWT}&audience=a&resource=b"), Err("invalid_target")),
            (format!("&requested_token_type={JWT}&audience=a&scope=b"), Err("invalid_target")),
            (format!("&requested_token_type={ID_TOKEN}&audience=a"), Err("invalid_request")),
            ("&audience=a".to_owned(), Err("invalid_target")),
            ("&resource=a".to_owned(), Err("invalid_target")),
            ("&scope=a".to_owned(), Err("invalid_scope")),
            ("&actor_token=a".to_owned(), Err("invalid_request")),
            ("&actor_token_type=a".to_owned(), Err("invalid_request")),
        ] {
            let answer = asked(&format!("{jwt}{more}"));
            assert_eq!(answer.as_deref().map_err(String::as_str), expected, "{more}");
        }
        assert!(asked(&format!("subject_token_type={ID_TOKEN}")).is_ok());
        assert!(asked("").is_err() && asked("subject_token_type=jwt").is_err());
    }
}
