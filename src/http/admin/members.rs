//! `/v1/teams/{team}/members`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::OfTeam;
use super::{names, users};
use crate::domain::authority::{Registrar, RegistryReader};
use crate::domain::role::TeamRole;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::{ChangeMember, NewUser};
use crate::store;
use crate::wire::admin::member as wire;
use crate::wire::admin::member::Member;
use crate::wire::admin::page::Page;
use crate::wire::admin::user::CreateUser;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, add, change, remove))
}

/// Lists who may act in the team, and as what.
#[utoipa::path(get, path = "/v1/teams/{team}/members", operation_id = "list_members", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), PageQuery),
    responses((status = 200, description = "A page of members", body = Page<Member>), OfList))]
async fn list(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    PageOf(page): PageOf,
) -> Result<Json<Page<Member>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.members(&team, &page).await?, shown)))
}

/// Makes a new person known, as a member of the team.
#[utoipa::path(post, path = "/v1/teams/{team}/members", operation_id = "create_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), IdempotencyHeader),
    request_body = wire::CreateMember,
    responses((status = 201, description = "The member", body = Member, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    OfTeam(admin, team): OfTeam<Registrar>,
    request: Create<wire::CreateMember>,
) -> Result<Created<Member>, ProblemAnswer> {
    let (new, role) = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_member(&team, new, role, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.user_uid.clone(), Some(made.version), made))
}

/// Shows one member.
#[utoipa::path(get, path = "/v1/teams/{team}/members/{user}", operation_id = "read_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid")),
    responses((status = 200, description = "The member", body = Member, headers(("ETag" = String))), OfRead))]
async fn read(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    Segments((_, user)): Segments<(String, String)>,
) -> Result<Versioned<Member>, ProblemAnswer> {
    let member = shown(admin.member(&team, &names::uid(&user)?).await?);
    Ok(Versioned(member.clone(), member.version))
}

/// Lets a person who is known act in the team as a plain member; they may be in several.
///
/// Others than operators add only people who are in no team that is not theirs; of the rest they learn nothing.
#[utoipa::path(put, path = "/v1/teams/{team}/members/{user}", operation_id = "add_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid")),
    responses((status = 201, description = "They are a member now", body = Member), (status = 200, description = "They were one", body = Member), OfRead))]
async fn add(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, user)): Segments<(String, String)>,
) -> Result<(StatusCode, Versioned<Member>), ProblemAnswer> {
    let (member, new) = admin.add_member(&team, &names::uid(&user)?).await?;
    let member = shown(member);
    let version = member.version;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Versioned(member, version)))
}

/// Gives a member another role, or disables or enables them in this team.
///
/// When a disable has returned, no mint of the person in the team can still commit; a role that was taken is gone with
/// the next request.
#[utoipa::path(patch, path = "/v1/teams/{team}/members/{user}", operation_id = "change_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid"), IfMatchHeader),
    request_body = wire::ChangeMember,
    responses((status = 200, description = "The member", body = Member, headers(("ETag" = String))), OfChange))]
async fn change(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, user)): Segments<(String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangeMember>,
) -> Result<Versioned<Member>, ProblemAnswer> {
    let user = names::uid(&user)?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let member = shown(admin.change_member(&team, &user, expected, change).await?);
    Ok(Versioned(member.clone(), member.version))
}

/// Ends a membership. When it has returned, no mint of the person in the team can still commit.
#[utoipa::path(delete, path = "/v1/teams/{team}/members/{user}", operation_id = "remove_member", tag = "Members",
    params(("team" = String, Path, description = "The team's uid"), ("user" = String, Path, description = "The person's uid")),
    responses((status = 204, description = "They are no member any more"), OfDelete))]
async fn remove(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, user)): Segments<(String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    admin.remove_member(&team, &names::uid(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: wire::CreateMember) -> Result<(NewUser, TeamRole), Faults> {
    let wire::CreateMember { uid, name, email, role: word } = body;
    let mut fields = Fields::default();
    let role = fields.optional("role", word, |word| role(&word));
    match (users::new(CreateUser { uid, name, email }), fields.finish(role)) {
        (Ok(user), Ok(role)) => Ok((user, role.unwrap_or(TeamRole::Member))),
        (user, role) => Err(user.err().into_iter().chain(role.err()).flatten().collect()),
    }
}

fn asked(body: wire::ChangeMember) -> Result<ChangeMember, Faults> {
    let mut fields = Fields::default();
    let role = fields.required_patch("role", body.role, |word| role(&word));
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    fields.finish(role.zip(disabled).map(|(role, disabled)| ChangeMember { role, disabled }))
}

fn role(word: &str) -> Result<TeamRole, &'static str> {
    TeamRole::parse(word).ok_or("must be member, auditor or admin")
}

fn shown(member: store::Member) -> Member {
    let store::Member { membership, name, email } = member;
    Member {
        user_uid: membership.user.to_string(),
        team_uid: membership.team.to_string(),
        name,
        email,
        role: membership.role.to_string(),
        created_at: membership.created_at,
        disabled_at: membership.disabled_at,
        version: membership.version,
    }
}
