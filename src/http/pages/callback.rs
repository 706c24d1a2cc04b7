//! `GET /oauth2/callback/{provider}`: what a provider sends a browser back with (OpenID Connect Core 1.0, section 3.1.2.5).

use axum::extract::{Path, State};
use axum::response::Response;

use super::CONFIRM;
use super::page::{elsewhere, giving};
use super::query::{once, pairs};
use super::refused::Refusal;
use super::visit::Visit;
use crate::domain::secret::Secret;
use crate::http::state::IssuerState;
use crate::issuer::sign_in::upstream::UpstreamAnswer;

/// Takes the answer. `state` must be what this browser's secret makes of itself, so that nobody else's answer is
/// taken for its own.
pub(super) async fn take(State(state): State<IssuerState>, Path(provider): Path<String>, visit: Visit) -> Response {
    let answer = taken(&state, &visit, provider).await;
    visit.answer(answer)
}

async fn taken(state: &IssuerState, visit: &Visit, provider: String) -> Result<Response, Refusal> {
    let query = pairs(&visit.query);
    let member = |name: &str| once(&query, name).map(str::to_owned);
    let answer = UpstreamAnswer {
        provider: Some(provider),
        code: member("code").map(Secret::new),
        state: member("state"),
        iss: member("iss"),
        error: member("error"),
        error_description: member("error_description"),
    };
    let fresh = state.issuer()?.browser_returns(visit.secret()?, &answer, &visit.origin).await?;
    Ok(giving(elsewhere(&visit.frame, CONFIRM), &fresh))
}
