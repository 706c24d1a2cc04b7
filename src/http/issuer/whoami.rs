//! `GET /v1/whoami`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;

use crate::http::error::ProblemAnswer;
use crate::http::extract::Bearer;
use crate::http::state::IssuerState;
use crate::issuer::callers::Known;
use crate::wire::problem::Problem;
use crate::wire::whoami::{Whoami, WhoamiTeam};

/// Who the bearer is, and what it may mint.
#[utoipa::path(get, path = "/v1/whoami", tag = "tokens", security(("bearer" = [])), responses(
    (status = 200, description = "The bearer.", body = Whoami),
    (status = "default", description = "See the error catalogue.", body = Problem,
        content_type = "application/problem+json")))]
pub async fn whoami(State(state): State<IssuerState>, Bearer(known): Bearer<Known>) -> Result<Response, ProblemAnswer> {
    let whoami = state.issuer()?.whoami(&known).await?;
    let answer = Whoami {
        credential_kind: whoami.caller.kind.to_string(),
        credential_id: whoami.caller.credential.to_string(),
        expires_at: whoami.expires_at,
        actor_type: whoami.principal.as_ref().map(|principal| principal.actor_type().to_string()),
        principal_uid: whoami.principal.as_ref().map(|principal| principal.uid().to_owned()),
        teams: whoami
            .teams
            .iter()
            .map(|team| WhoamiTeam {
                team_uid: team.uid.to_string(),
                name: team.name.clone(),
                issuer: Some(team.issuer.to_string()),
                subject: team.subject.as_ref().map(ToString::to_string),
                audiences: team.audiences.iter().map(ToString::to_string).collect(),
                roles: team.roles.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}
