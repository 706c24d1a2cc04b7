//! `POST /v1/identity-tokens`: the mint.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;

use super::fields::Fields;
use crate::domain::access::Minter;
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::lifetime::Lifetime;
use crate::domain::policy;
use crate::domain::principal::Principal;
use crate::domain::requester::Requester;
use crate::domain::role_arn::RoleArn;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Bearer, ClientOrigin, Json};
use crate::http::state::IssuerState;
use crate::issuer::mint::MintCall;
use crate::wire::mint::{MintRequest, MintedToken};
use crate::wire::problem::Problem;
use crate::wire::secret_text::SecretText;

/// Mints an identity token for the principal whose credential is presented: its own, its run's, or a platform's, which
/// names it.
#[utoipa::path(post, path = "/v1/identity-tokens", tag = "tokens", request_body = MintRequest,
    security(("bearer" = [])), responses(
    (status = 200, description = "The token, and when it really ends.", body = MintedToken),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn mint(
    State(state): State<IssuerState>,
    Bearer(minter): Bearer<Minter>,
    ClientOrigin(origin): ClientOrigin,
    Json(body): Json<MintRequest>,
) -> Result<Response, ProblemAnswer> {
    let mut fields = Fields::default();
    let request = policy::MintRequest {
        audience: body.audience.as_deref().and_then(|text| fields.parse("audience", text, Audience::parse)),
        lifetime: body.lifetime_seconds.and_then(|seconds| fields.parse("lifetime_seconds", seconds, Lifetime::new)),
        role: body.role_arn.as_deref().and_then(|text| fields.parse("role_arn", text, RoleArn::parse)),
    };
    let team = body.team_uid.as_deref().and_then(|text| fields.parse("team_uid", text, TeamUid::parse));
    let named = body.on_behalf_of.as_deref();
    let on_behalf_of = named.and_then(|text| fields.parse("on_behalf_of", text, Principal::parse));
    fields.finish()?;
    let issuer = state.issuer()?;
    let call = MintCall { team, on_behalf_of, request };
    let minted = issuer
        .mint(&minter, &call, &origin)
        .await
        .map_err(|error| ProblemAnswer::from(error).asked_by(Requester::of_minter(&minter, call.team.as_ref())))?;
    let answer = MintedToken {
        token: SecretText(minted.token),
        expires_at: minted.expires_at,
        issuer: minted.issuer.to_string(),
        subject: minted.grant.subject().to_string(),
        audience: minted.grant.audience().to_string(),
        token_id: minted.token_id.to_string(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}
