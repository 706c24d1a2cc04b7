//! `/v1/platform-keys`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use time::{Duration, OffsetDateTime};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::Of;
use super::{Admin, names};
use crate::domain::authority::InstallationReader;
use crate::domain::label;
use crate::domain::platform::{PlatformRight, PlatformRights};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader, with_key};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin::NewPlatformKey;
use crate::store::{self, PlatformKeyChange};
use crate::wire::admin::page::{Page, WithKey};
use crate::wire::admin::platform_key::{ChangePlatformKey, CreatePlatformKey, PlatformKey};

/// Shortest life of a key, in seconds.
const LIFE_MIN: u32 = 60;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists the keys of platforms, revoked ones among them, without their secrets.
#[utoipa::path(get, path = "/v1/platform-keys", operation_id = "list_platform_keys", tag = "Platforms", params(PageQuery),
    responses((status = 200, description = "A page of platform keys", body = Page<PlatformKey>), OfList))]
async fn list(
    Of(admin): Of<InstallationReader>,
    PageOf(page): PageOf,
) -> Result<Json<Page<PlatformKey>>, ProblemAnswer> {
    Ok(Json(page::answer(admin.platform_keys(&page).await?, shown)))
}

/// Makes a platform's key and shows it, this once.
#[utoipa::path(post, path = "/v1/platform-keys", operation_id = "create_platform_key", tag = "Platforms",
    params(IdempotencyHeader), request_body = CreatePlatformKey,
    responses((status = 201, description = "The platform key", body = WithKey<PlatformKey>, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    State(state): State<IssuerState>,
    Admin(admin): Admin,
    request: Create<CreatePlatformKey>,
) -> Result<Created<WithKey<PlatformKey>>, ProblemAnswer> {
    let new = new(request.body, state.issuer()?.now()).map_err(ProblemAnswer::fields)?;
    let made = with_key(admin.create_platform_key(new, request.repeatable).await?, shown);
    Ok(Created::below(&request.at, &made.resource.id.clone(), Some(made.resource.version), made))
}

/// Shows a platform's key, without its secret.
#[utoipa::path(get, path = "/v1/platform-keys/{id}", operation_id = "read_platform_key", tag = "Platforms",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, description = "The platform key", body = PlatformKey, headers(("ETag" = String))), OfRead))]
async fn read(
    Of(admin): Of<InstallationReader>,
    Segments(id): Segments<String>,
) -> Result<Versioned<PlatformKey>, ProblemAnswer> {
    let key = shown(admin.platform_key(names::handle(&id, "platform key")?).await?);
    Ok(Versioned(key.clone(), key.version))
}

/// Changes a platform's name, teams or rights. When it has returned, nothing that was taken off still mints, in runs
/// that the key opened either.
#[utoipa::path(patch, path = "/v1/platform-keys/{id}", operation_id = "change_platform_key", tag = "Platforms",
    params(("id" = String, Path, description = "The key's id"), IfMatchHeader), request_body = ChangePlatformKey,
    responses((status = 200, description = "The platform key", body = PlatformKey, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangePlatformKey>,
) -> Result<Versioned<PlatformKey>, ProblemAnswer> {
    let id = names::handle(&id, "platform key")?;
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let key = shown(admin.change_platform_key(id, expected, change).await?);
    Ok(Versioned(key.clone(), key.version))
}

/// Revokes a platform's key. When it has returned, nothing is minted with it nor in the runs it opened.
#[utoipa::path(delete, path = "/v1/platform-keys/{id}", operation_id = "delete_platform_key", tag = "Platforms",
    params(("id" = String, Path, description = "The key's id"), IfMatchHeader),
    responses((status = 204, description = "It is revoked"), OfDelete))]
async fn delete(
    Admin(admin): Admin,
    Segments(id): Segments<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    admin.delete_platform_key(names::handle(&id, "platform key")?, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreatePlatformKey, now: OffsetDateTime) -> Result<NewPlatformKey, Faults> {
    let mut fields = Fields::default();
    let name = fields.name(&body.name);
    let teams = names::teams(&mut fields, body.teams);
    let rights = rights(&mut fields, body.rights);
    let expires_at = fields.optional("expires_in_seconds", body.expires_in_seconds, |seconds| {
        if seconds < LIFE_MIN { Err("must be at least 60") } else { Ok(now + Duration::seconds(seconds.into())) }
    });
    let new = (|| Some(NewPlatformKey { name: name?, teams: teams?, rights: rights?, expires_at: expires_at? }))();
    fields.finish(new)
}

fn asked(body: ChangePlatformKey) -> Result<PlatformKeyChange, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |text| label::name(&text));
    let list = fields.required_patch("teams", body.teams, Ok::<_, &str>);
    let teams = match list {
        Some(Some(list)) => names::teams(&mut fields, list).map(Some),
        kept => kept.map(|_| None),
    };
    let list = fields.required_patch("rights", body.rights, Ok::<_, &str>);
    let rights = match list {
        Some(Some(list)) => rights(&mut fields, list).map(Some),
        kept => kept.map(|_| None),
    };
    fields.finish((|| Some(PlatformKeyChange { name: name?, teams: teams?, rights: rights? }))())
}

fn rights(fields: &mut Fields, list: Vec<String>) -> Option<PlatformRights> {
    let known = PlatformRight::ALL.map(PlatformRight::as_str).join(", ");
    let rights = fields.list("rights", PlatformRight::ALL.len(), list, |fields, at, word| {
        fields.parse(at, PlatformRight::parse(&word).ok_or_else(|| format!("must be one of {known}")))
    });
    rights.map(|rights| rights.into_iter().collect())
}

fn shown(key: store::PlatformKey) -> PlatformKey {
    PlatformKey {
        id: key.id.to_string(),
        name: key.name,
        teams: key.teams.iter().map(ToString::to_string).collect(),
        rights: key.rights.iter().map(|right| right.to_string()).collect(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
        version: key.version,
    }
}
