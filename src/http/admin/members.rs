//! `/v1/teams/{team}/members`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfDelete, OfList, OfRead};
use super::page::{self, PageOf, PageQuery};
use super::{Admin, names};
use crate::domain::team::Membership;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::state::IssuerState;
use crate::wire::admin::member::Member;
use crate::wire::admin::page::Page;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(add, remove))
}

/// Lists who may act in the team.
#[utoipa::path(get, path = "/v1/teams/{team}/members", operation_id = "list_members", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), PageQuery),
    responses((status = 200, description = "A page of members", body = Page<Member>), OfList))]
async fn list(
    Admin(admin): Admin,
    Segments(team): Segments<String>,
    PageOf(page): PageOf,
) -> Result<Json<Page<Member>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.members(&names::uid(&team)?, &page).await?, shown)))
}

/// Lets a person act in the team; they may be in several.
#[utoipa::path(put, path = "/v1/teams/{team}/members/{user}", operation_id = "add_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid")),
    responses((status = 201, description = "They are a member now", body = Member), (status = 200, description = "They were one", body = Member), OfRead))]
async fn add(
    Admin(admin): Admin,
    Segments((team, user)): Segments<(String, String)>,
) -> Result<(StatusCode, Json<Member>), ProblemAnswer> {
    let (member, new) = admin.add_member(&names::uid(&team)?, &names::uid(&user)?).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(shown(member))))
}

/// Ends a membership. When it has returned, no mint of the person in the team can still commit.
#[utoipa::path(delete, path = "/v1/teams/{team}/members/{user}", operation_id = "remove_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid")),
    responses((status = 204, description = "They are no member any more"), OfDelete))]
async fn remove(
    Admin(admin): Admin,
    Segments((team, user)): Segments<(String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    admin.remove_member(&names::uid(&team)?, &names::uid(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(membership: Membership) -> Member {
    Member {
        user_uid: membership.user.to_string(),
        team_uid: membership.team.to_string(),
        created_at: membership.created_at,
    }
}
