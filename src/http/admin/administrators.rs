//! `/v1/administrators`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::InstallationReader;
use crate::domain::label;
use crate::domain::role::InstallationRole;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader, with_key};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::store::{self, AdministratorChange};
use crate::wire::admin::administrator::{Administrator, ChangeAdministrator, CreateAdministrator};
use crate::wire::admin::page::{Page, WithKey};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the administrators of the installation.
#[utoipa::path(get, path = "/v1/administrators", operation_id = "list_administrators", tag = "Administrators",
    params(PageQuery),
    responses((status = 200, description = "A page of administrators", body = Page<Administrator>), OfList))]
async fn list(
    Of(admin): Of<InstallationReader>,
    PageOf(page): PageOf,
) -> Result<Json<Page<Administrator>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.administrators(&page).await?, shown)))
}

/// Makes an administrator and shows its key, this once. The key of the first start ends with an operator.
#[utoipa::path(post, path = "/v1/administrators", operation_id = "create_administrator", tag = "Administrators",
    params(IdempotencyHeader), request_body = CreateAdministrator,
    responses((status = 201, description = "The administrator", body = WithKey<Administrator>, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    Admin(admin): Admin,
    request: Create<CreateAdministrator>,
) -> Result<Created<WithKey<Administrator>>, ProblemAnswer> {
    let (name, role) = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = with_key(admin.create_administrator(name, role, request.repeatable).await?, shown);
    Ok(Created::below(&request.at, &made.resource.id.clone(), Some(made.resource.version), made))
}

/// Shows an administrator.
#[utoipa::path(get, path = "/v1/administrators/{id}", operation_id = "read_administrator", tag = "Administrators",
    params(("id" = String, Path, description = "The administrator's id")),
    responses((status = 200, description = "The administrator", body = Administrator, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    Segments(id): Segments<String>,
) -> Result<Versioned<Administrator>, ProblemAnswer> {
    let administrator = shown(admin.administrator(names::handle(&id, "administrator")?).await?);
    Ok(Versioned(administrator.clone(), administrator.version))
}

/// Renames an administrator, or gives it another role, from its next request on. The last operator stays one.
#[utoipa::path(patch, path = "/v1/administrators/{id}", operation_id = "change_administrator", tag = "Administrators",
    params(("id" = String, Path, description = "The administrator's id"), IfMatchHeader),
    request_body = ChangeAdministrator,
    responses((status = 200, description = "The administrator", body = Administrator, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeAdministrator>,
) -> Result<Versioned<Administrator>, ProblemAnswer> {
    let id = names::handle(&id, "administrator")?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let administrator = shown(admin.change_administrator(id, expected, change).await?);
    Ok(Versioned(administrator.clone(), administrator.version))
}

/// Deletes an administrator and revokes its key; never the last operator.
#[utoipa::path(delete, path = "/v1/administrators/{id}", operation_id = "delete_administrator", tag = "Administrators",
    params(("id" = String, Path, description = "The administrator's id"), IfMatchHeader),
    responses((status = 204, description = "It is deleted"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_administrator(names::handle(&id, "administrator")?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreateAdministrator) -> Result<(String, InstallationRole), Faults> {
    let mut fields = Fields::default();
    let name = fields.name(&body.name);
    let role = fields.optional("role", body.role, |word| role(&word));
    fields.finish(name.zip(role).map(|(name, role)| (name, role.unwrap_or(InstallationRole::Operator))))
}

fn asked(body: ChangeAdministrator) -> Result<AdministratorChange, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| label::name(&name));
    let role = fields.required_patch("role", body.role, |word| role(&word));
    fields.finish(name.zip(role).map(|(name, role)| AdministratorChange { name, role }))
}

fn role(word: &str) -> Result<InstallationRole, &'static str> {
    InstallationRole::parse(word).ok_or("must be operator or auditor")
}

fn shown(administrator: store::Administrator) -> Administrator {
    Administrator {
        id: administrator.id.to_string(),
        name: administrator.name,
        role: administrator.role.to_string(),
        created_at: administrator.created_at,
        expires_at: administrator.expires_at,
        version: administrator.version,
    }
}
