//! `/v1/teams/{team}/issuer`.

use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfDelete, OfRead};
use super::capability::OfTeam;
use super::{Admin, names};
use crate::domain::authority::TeamReader;
use crate::domain::team::MintingIssuer;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin;
use crate::issuer::publish::JWKS_PATH;
use crate::wire::admin::team_issuer::{PrivateIssuer, TeamIssuers};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read, make, delete))
}

/// Shows the team's issuers and which of them mints.
#[utoipa::path(get, path = "/v1/teams/{team}/issuer", operation_id = "read_team_issuer", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "The issuers", body = TeamIssuers, headers(("ETag" = String))), OfRead))]
async fn read(OfTeam(admin, team): OfTeam<TeamReader>) -> Result<Versioned<TeamIssuers>, ProblemAnswer> {
    Ok(shown(&admin.team_issuers(&team).await?))
}

/// Makes the team's private issuer, with keys of its own; nothing where it is there. It is published at once and
/// mints when the policy's `issuer` becomes `private`.
#[utoipa::path(put, path = "/v1/teams/{team}/issuer", operation_id = "make_team_issuer", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    responses((status = 200, description = "The issuers", body = TeamIssuers, headers(("ETag" = String))), OfDelete))]
async fn make(
    Admin(admin): Admin,
    Segments(team): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<Versioned<TeamIssuers>, ProblemAnswer> {
    Ok(shown(&admin.make_team_issuer(&names::uid(&team)?, expected).await?))
}

/// Destroys the team's private issuer and its keys, for ever: its URL answers 404, its tokens are refused, and the
/// team never gets another one. Refused with 409 while it mints. Delete the identity providers in AWS first.
#[utoipa::path(delete, path = "/v1/teams/{team}/issuer", operation_id = "delete_team_issuer", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    responses((status = 204, description = "It is destroyed"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(team): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_team_issuer(&names::uid(&team)?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(found: &admin::TeamIssuers) -> Versioned<TeamIssuers> {
    let private = found.private.as_ref();
    let mints = match (found.mints, private) {
        (MintingIssuer::Private, Some(row)) => &row.url,
        _ => &found.shared,
    };
    let issuers = TeamIssuers {
        mints: found.mints.as_str().to_owned(),
        issuer: mints.to_string(),
        shared_issuer: found.shared.to_string(),
        private: private.map(|row| PrivateIssuer {
            issuer: row.url.to_string(),
            jwks_uri: row.url.join(JWKS_PATH),
            max_age_seconds: row.schedule.max_age,
            created_at: row.created_at,
        }),
        private_deleted_at: found.deleted_at,
        version: found.version,
    };
    Versioned(issuers, found.version)
}
