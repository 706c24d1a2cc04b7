//! `/v1/teams/{team}/runs`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfDelete, OfList, OfRead};
use super::capability::OfTeam;
use crate::domain::access::RunsOf;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::id::RunId;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::extract::Segments;
use crate::http::resource::page::{self, PageQuery};
use crate::http::resource::runs::{Asked, RunsQuery, shown};
use crate::http::state::IssuerState;
use crate::wire::admin::page::Page;
use crate::wire::run::Run;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, end))
}

/// Lists the runs of a team, the newest first, whoever opened them.
#[utoipa::path(get, path = "/v1/teams/{team}/runs", operation_id = "list_team_runs", tag = "Runs of teams",
    params(("team" = String, Path, description = "The team's uid"), RunsQuery, PageQuery),
    responses((status = 200, description = "A page of runs", body = Page<Run>), OfList))]
async fn list(
    OfTeam(reading, team): OfTeam<TeamReader>,
    Asked(asked): Asked<false>,
) -> Result<Json<Page<Run>>, ProblemAnswer> {
    let now = reading.now();
    let page = reading.runs_of(&team, asked.filter(RunsOf::InTeam(team.clone()), now), &asked.page).await?;
    Ok(Json(page::answer(page, |run| shown(run, now))))
}

/// Shows a run of a team.
#[utoipa::path(get, path = "/v1/teams/{team}/runs/{run_id}", operation_id = "read_team_run", tag = "Runs of teams",
    params(("team" = String, Path, description = "The team's uid"), ("run_id" = String, Path, description = "Which run")),
    responses((status = 200, description = "The run", body = Run), OfRead))]
async fn read(
    OfTeam(reading, team): OfTeam<TeamReader>,
    Segments((_, run)): Segments<(String, String)>,
) -> Result<Json<Run>, ProblemAnswer> {
    Ok(Json(shown(reading.run_of(&team, &id(&run)?).await?, reading.now())))
}

/// Ends a run of a team before its time. When it has returned, its bearer gets no token.
#[utoipa::path(delete, path = "/v1/teams/{team}/runs/{run_id}", operation_id = "end_team_run", tag = "Runs of teams",
    params(("team" = String, Path, description = "The team's uid"), ("run_id" = String, Path, description = "Which run")),
    responses((status = 204, description = "It is over"), OfDelete))]
async fn end(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    Segments((_, run)): Segments<(String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    admin.end_run_of(&team, &id(&run)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn id(text: &str) -> Result<RunId, ProblemAnswer> {
    RunId::parse(text).map_err(|_| ProblemAnswer::new(Code::NotFound, "no such run"))
}
