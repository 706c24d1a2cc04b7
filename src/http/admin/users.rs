//! `/v1/users`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::{InstallationReader, PeopleRegistrar};
use crate::domain::id::UserUid;
use crate::domain::{label, team};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::{ChangeUser, NewUser};
use crate::wire::admin::page::Page;
use crate::wire::admin::user as wire;
use crate::wire::admin::user::User;
use crate::wire::patch::Patch;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the people.
#[utoipa::path(get, path = "/v1/users", operation_id = "list_users", tag = "People", params(PageQuery),
    responses((status = 200, description = "A page of people", body = Page<User>), OfList))]
async fn list(Of(admin): Of<InstallationReader>, PageOf(page): PageOf) -> Result<Json<Page<User>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.users(&page).await?, shown)))
}

/// Makes a person known. Which teams they act in are memberships.
#[utoipa::path(post, path = "/v1/users", operation_id = "create_user", tag = "People", params(IdempotencyHeader),
    request_body = wire::CreateUser,
    responses((status = 201, description = "The person", body = User, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    Of(admin): Of<PeopleRegistrar>,
    request: Create<wire::CreateUser>,
) -> Result<Created<User>, ProblemAnswer> {
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_user(new, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.uid.clone(), Some(made.version), made))
}

/// Shows a person.
#[utoipa::path(get, path = "/v1/users/{user}", operation_id = "read_user", tag = "People",
    params(("user" = String, Path, description = "The person's uid")),
    responses((status = 200, description = "The person", body = User, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    Segments(user): Segments<String>,
) -> Result<Versioned<User>, ProblemAnswer> {
    let user = shown(admin.user(&names::uid(&user)?).await?);
    Ok(Versioned(user.clone(), user.version))
}

/// Changes a person, or disables them in every team at once.
#[utoipa::path(patch, path = "/v1/users/{user}", operation_id = "change_user", tag = "People",
    params(("user" = String, Path, description = "The person's uid"), IfMatchHeader),
    request_body = wire::ChangeUser,
    responses((status = 200, description = "The person", body = User, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(user): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangeUser>,
) -> Result<Versioned<User>, ProblemAnswer> {
    let user = names::uid(&user)?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let user = shown(admin.change_user(&user, expected, change).await?);
    Ok(Versioned(user.clone(), user.version))
}

/// Deletes a person for ever: name and e-mail are erased, the uid is never used again.
#[utoipa::path(delete, path = "/v1/users/{user}", operation_id = "delete_user", tag = "People",
    params(("user" = String, Path, description = "The person's uid"), IfMatchHeader),
    responses((status = 204, description = "They are deleted"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(user): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_user(&names::uid(&user)?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn new(body: wire::CreateUser) -> Result<NewUser, Faults> {
    let mut fields = Fields::default();
    let uid = fields.optional("uid", body.uid, |uid| UserUid::parse(&uid));
    let name = fields.name(&body.name);
    let email = fields.optional("email", body.email, |email| label::email(&email));
    fields.finish((|| Some(NewUser { uid: uid?, name: name?, email: email? }))())
}

fn asked(body: wire::ChangeUser) -> Result<ChangeUser, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| label::name(&name));
    let email = fields.patch("email", body.email, |email| label::email(&email)).map(|patch| match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(email) => Some(Some(email)),
    });
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    fields.finish((|| Some(ChangeUser { name: name?, email: email?, disabled: disabled? }))())
}

fn shown(user: team::User) -> User {
    User {
        uid: user.uid.to_string(),
        name: user.name,
        email: user.email,
        created_at: user.created_at,
        disabled_at: user.disabled_at,
        version: user.version,
    }
}
