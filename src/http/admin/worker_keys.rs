//! `/v1/worker-keys`.

use axum::Json;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::audience::Audience;
use crate::domain::authority::InstallationReader;
use crate::domain::id::TeamUid;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader, with_key};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::NewWorkerKey;
use crate::store;
use crate::wire::admin::page::{Page, WithKey};
use crate::wire::admin::worker_key::{ChangeWorkerKey, CreateWorkerKey, WorkerKey};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the keys of workers, revoked ones among them, without their secrets.
#[utoipa::path(get, path = "/v1/worker-keys", operation_id = "list_worker_keys", tag = "Workers", params(PageQuery),
    responses((status = 200, description = "A page of worker keys", body = Page<WorkerKey>), OfList))]
async fn list(Of(admin): Of<InstallationReader>, PageOf(page): PageOf) -> Result<Json<Page<WorkerKey>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.worker_keys(&page).await?, shown)))
}

/// Makes a worker's key and shows it, this once. Its audience is on no team's list, nor STS, nor the issuer's URL.
#[utoipa::path(post, path = "/v1/worker-keys", operation_id = "create_worker_key", tag = "Workers",
    params(IdempotencyHeader), request_body = CreateWorkerKey,
    responses((status = 201, description = "The worker key", body = WithKey<WorkerKey>, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    Admin(admin): Admin,
    request: Create<CreateWorkerKey>,
) -> Result<Created<WithKey<WorkerKey>>, ProblemAnswer> {
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = with_key(admin.create_worker_key(new, request.repeatable).await?, shown);
    Ok(Created::below(&request.at, &made.resource.id.clone(), Some(made.resource.version), made))
}

/// Shows a worker's key, without its secret.
#[utoipa::path(get, path = "/v1/worker-keys/{id}", operation_id = "read_worker_key", tag = "Workers",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, description = "The worker key", body = WorkerKey, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    Segments(id): Segments<String>,
) -> Result<Versioned<WorkerKey>, ProblemAnswer> {
    let key = shown(admin.worker_key(names::handle(&id, "worker key")?).await?);
    Ok(Versioned(key.clone(), key.version))
}

/// Changes which teams a worker serves.
#[utoipa::path(patch, path = "/v1/worker-keys/{id}", operation_id = "change_worker_key", tag = "Workers",
    params(("id" = String, Path, description = "The key's id"), IfMatchHeader), request_body = ChangeWorkerKey,
    responses((status = 200, description = "The worker key", body = WorkerKey, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeWorkerKey>,
) -> Result<Versioned<WorkerKey>, ProblemAnswer> {
    let id = names::handle(&id, "worker key")?;
    let teams = asked(body).map_err(ProblemAnswer::fields)?;
    let key = shown(admin.change_worker_key(id, expected, teams).await?);
    Ok(Versioned(key.clone(), key.version))
}

/// Revokes a worker's key. When it has returned, no exchange with it can still commit.
#[utoipa::path(delete, path = "/v1/worker-keys/{id}", operation_id = "delete_worker_key", tag = "Workers",
    params(("id" = String, Path, description = "The key's id"), IfMatchHeader),
    responses((status = 204, description = "It is revoked"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_worker_key(names::handle(&id, "worker key")?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreateWorkerKey) -> Result<NewWorkerKey, Faults> {
    let mut fields = Fields::default();
    let name = fields.name(&body.name);
    let audience = fields.parse("audience", Audience::parse(&body.audience));
    let teams = names::teams(&mut fields, body.teams);
    fields.finish((|| Some(NewWorkerKey { name: name?, audience: audience?, teams: teams? }))())
}

fn asked(body: ChangeWorkerKey) -> Result<Option<Vec<TeamUid>>, Faults> {
    let mut fields = Fields::default();
    let list = fields.required_patch("teams", body.teams, Ok::<_, &str>);
    let list = list.and_then(|list| match list {
        None => Some(None),
        Some(list) => names::teams(&mut fields, list).map(Some),
    });
    fields.finish(list)
}

fn shown(key: store::WorkerKey) -> WorkerKey {
    WorkerKey {
        id: key.id.to_string(),
        name: key.name,
        audience: key.audience.to_string(),
        teams: key.teams.iter().map(ToString::to_string).collect(),
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
        version: key.version,
    }
}
