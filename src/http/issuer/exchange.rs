//! `/v1/worker/exchange` and `/v1/worker/liveness`: for workers, under their own key.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;

use crate::domain::access::Exchanger;
use crate::domain::settings::{EffectiveSettings, Sourced};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Bearer, ClientOrigin, Json, LivenessAsker};
use crate::http::state::IssuerState;
use crate::issuer::exchange::{Exchanged, RECHECK_AFTER};
use crate::issuer::liveness::{Alive, TOKENS_MAX};
use crate::wire::exchange::{Exchange, ExchangeRequest, Liveness, LivenessAnswer, LivenessRequest, WorkerSettings};
use crate::wire::problem::Problem;
use crate::wire::secret_text::SecretText;

/// Longest body of a liveness question, in bytes: a hundred tokens of 2.5 kB, about twice what ours have.
pub const LIVENESS_BODY_MAX: usize = 256 * 1024;

/// Exchanges a caller's live token, minted for the worker's audience, for settings and a token for STS.
#[utoipa::path(post, path = "/v1/worker/exchange", tag = "worker", request_body = ExchangeRequest,
    security(("bearer" = [])), responses(
    (status = 200, description = "What the worker may do for the caller.", body = Exchange),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn exchange(
    State(state): State<IssuerState>,
    Bearer(worker): Bearer<Exchanger>,
    ClientOrigin(origin): ClientOrigin,
    Json(body): Json<ExchangeRequest>,
) -> Result<Response, ProblemAnswer> {
    let exchanged = state.issuer()?.exchange(&worker, &body.token.0, &origin).await?;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer(exchanged)?)).into_response())
}

/// Whether callers are still alive, for at most 100 tokens at once.
#[utoipa::path(post, path = "/v1/worker/liveness", tag = "worker", request_body = LivenessRequest,
    security(("bearer" = [])), responses(
    (status = 200, description = "One answer for each token, in their order.", body = LivenessAnswer),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn liveness(
    State(state): State<IssuerState>,
    Bearer(LivenessAsker(worker)): Bearer<LivenessAsker>,
    Json(body): Json<LivenessRequest>,
) -> Result<Response, ProblemAnswer> {
    if body.tokens.is_empty() || body.tokens.len() > TOKENS_MAX {
        return Err(ProblemAnswer::field("tokens", format!("must hold 1 to {TOKENS_MAX} tokens")));
    }
    let tokens: Vec<_> = body.tokens.into_iter().map(|token| token.0).collect();
    let alive = state.issuer()?.liveness(&worker, &tokens).await?;
    let items = alive.into_iter().map(|alive| match alive {
        Alive::Yes { settings_version } => {
            Liveness { alive: true, reason: None, settings_version: Some(settings_version) }
        }
        Alive::No { reason } => Liveness { alive: false, reason: Some(reason.to_owned()), settings_version: None },
    });
    let answer = LivenessAnswer { items: items.collect() };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

fn answer(exchanged: Exchanged) -> Result<Exchange, ProblemAnswer> {
    let minted = exchanged.minted;
    Ok(Exchange {
        identity_token: SecretText(minted.token),
        identity_token_expires_at: minted.expires_at,
        token_id: minted.token_id.to_string(),
        subject: minted.grant.subject().to_string(),
        run_id: exchanged.run.as_ref().map(|run| run.id.to_string()),
        run_ends_at: exchanged.run.map(|run| run.ends_at),
        session_name: exchanged.session_name.to_string(),
        settings: settings(&exchanged.settings)?,
        settings_version: exchanged.settings_version,
        recheck_after_seconds: RECHECK_AFTER,
    })
}

fn settings(effective: &EffectiveSettings) -> Result<WorkerSettings, ProblemAnswer> {
    let (role, region) = effective.first_hop().map_err(ProblemAnswer::internal)?;
    let models = effective.models.value.iter().map(|(name, model)| (name.clone(), model.to_string())).collect();
    let allowed = |said: &Sourced<Vec<_>>| said.value.iter().map(ToString::to_string).collect();
    Ok(WorkerSettings {
        region: region.to_string(),
        role_arn: role.to_string(),
        session_duration_seconds: effective.session_duration.value.seconds(),
        models,
        allowed_models: effective.allowed_models.as_ref().map(allowed),
        session_tags: effective.session_tags.value,
        source_identity: effective.source_identity.value,
        base_url: effective.base_url.as_ref().map(|url| url.value.to_string()),
        sts_endpoint: effective.sts_endpoint.as_ref().map(|url| url.value.to_string()),
    })
}
