//! `/v1/teams`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::{Of, OfTeam};
use super::{Admin, names};
use crate::domain::authority::{InstallationReader, RegistryReader, TeamAdmin, TeamFounder};
use crate::domain::id::TeamUid;
use crate::domain::{label, team};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::{ChangeTeam, NewTeam};
use crate::wire::admin::page::Page;
use crate::wire::admin::team as wire;
use crate::wire::admin::team::Team;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the teams.
#[utoipa::path(get, path = "/v1/teams", operation_id = "list_teams", tag = "Teams", params(PageQuery),
    responses((status = 200, description = "A page of teams", body = Page<Team>), OfList))]
async fn list(Of(admin): Of<InstallationReader>, PageOf(page): PageOf) -> Result<Json<Page<Team>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.teams(&page).await?, shown)))
}

/// Makes a team. Its tokens are for AWS STS until its audiences say otherwise.
#[utoipa::path(post, path = "/v1/teams", operation_id = "create_team", tag = "Teams",
    params(IdempotencyHeader),
    request_body = wire::CreateTeam,
    responses((status = 201, description = "The team", body = Team, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(Of(admin): Of<TeamFounder>, request: Create<wire::CreateTeam>) -> Result<Created<Team>, ProblemAnswer> {
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_team(new, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.uid.clone(), Some(made.version), made))
}

/// Shows a team.
#[utoipa::path(get, path = "/v1/teams/{team}", operation_id = "read_team", tag = "Teams",
    params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "The team", body = Team, headers(("ETag" = String))), OfRead))]
async fn read(OfTeam(admin, team): OfTeam<RegistryReader>) -> Result<Versioned<Team>, ProblemAnswer> {
    let team = shown(admin.team(&team).await?);
    Ok(Versioned(team.clone(), team.version))
}

/// Renames a team; operators also disable and enable it. When a disable has returned, no mint of the team can still
/// commit.
#[utoipa::path(patch, path = "/v1/teams/{team}", operation_id = "change_team", tag = "Teams",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = wire::ChangeTeam,
    responses((status = 200, description = "The team", body = Team, headers(("ETag" = String))), OfChange))]
async fn change(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangeTeam>,
) -> Result<Versioned<Team>, ProblemAnswer> {
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let team = shown(admin.change_team(&team, expected, change).await?);
    Ok(Versioned(team.clone(), team.version))
}

/// Deletes a team for ever. Its uid is never used again, and nothing of it mints any more.
#[utoipa::path(delete, path = "/v1/teams/{team}", operation_id = "delete_team", tag = "Teams",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    responses((status = 204, description = "It is deleted"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(team): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_team(&names::uid(&team)?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: wire::CreateTeam) -> Result<NewTeam, Faults> {
    let mut fields = Fields::default();
    let uid = fields.optional("uid", body.uid, |uid| TeamUid::parse(&uid));
    let name = fields.name(&body.name);
    fields.finish(uid.zip(name).map(|(uid, name)| NewTeam { uid, name }))
}

fn asked(body: wire::ChangeTeam) -> Result<ChangeTeam, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| label::name(&name));
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    fields.finish(name.zip(disabled).map(|(name, disabled)| ChangeTeam { name, disabled }))
}

fn shown(team: team::Team) -> Team {
    Team {
        uid: team.uid.to_string(),
        name: team.name,
        external_id: team.external_id,
        created_at: team.created_at,
        disabled_at: team.disabled_at,
        version: team.version,
    }
}
