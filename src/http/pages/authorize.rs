//! `GET /oauth2/authorize`: where a terminal sends its person's browser (RFC 6749, section 4.1.1).

use axum::extract::State;
use axum::response::Response;

use super::SIGN_IN;
use super::page::{elsewhere, giving, redirect};
use super::query::pairs;
use super::refused::Refusal;
use super::visit::Visit;
use crate::domain::authorization::{Authorization, AuthorizationCode, AuthorizationRefused, Return};
use crate::domain::sign_in::Asker;
use crate::http::error::page::PageFault;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::state::IssuerState;
use crate::issuer::sign_in::browser::BrowserError;

/// Begins a way. A fault of client or redirect is shown; every other one goes back.
pub(super) async fn begin(State(state): State<IssuerState>, visit: Visit) -> Response {
    let answer = match Authorization::parse(&pairs(&visit.query)) {
        Ok(authorization) => Ok(begun(&state, &visit, authorization).await),
        Err(AuthorizationRefused::Shown(fault)) => Err(Refusal::Unanswerable(fault)),
        Err(AuthorizationRefused::Returned { back, code, words }) => {
            Ok(redirect(&back.with_error(code, words, state.url())))
        }
    };
    visit.answer(answer)
}

async fn begun(state: &IssuerState, visit: &Visit, authorization: Authorization) -> Response {
    let back = authorization.back.clone();
    let begun = match state.issuer() {
        Ok(issuer) => issuer.browser_begin(&Asker::Terminal(authorization), &visit.origin).await,
        Err(starting) => Err(starting.into()),
    };
    match begun {
        Ok(secret) => giving(elsewhere(&visit.frame, SIGN_IN), &secret),
        Err(error) => failed(state, &back, error),
    }
}

/// The terminal cannot see a status through the browser (RFC 6749, section 4.1.2.1), so it is told in its own words.
fn failed(state: &IssuerState, back: &Return, error: BrowserError) -> Response {
    let (code, words, fault) = match error {
        BrowserError::Unavailable(unavailable) => {
            let problem = ProblemAnswer::from(unavailable);
            let code = match problem.code() {
                Code::Internal => AuthorizationCode::ServerError,
                _ => AuthorizationCode::TemporarilyUnavailable,
            };
            let fault = PageFault { code: problem.code(), cause: problem.cause().map(str::to_owned) };
            (code, "the issuer cannot answer now: try again", Some(fault))
        }
        _ => (AuthorizationCode::TemporarilyUnavailable, "too many requests: try again later", None),
    };
    let mut response = redirect(&back.with_error(code, words, state.url()));
    if let Some(fault) = fault {
        response.extensions_mut().insert(fault);
    }
    response
}
