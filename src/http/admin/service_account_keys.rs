//! `/v1/teams/{team}/service-accounts/{uid}/keys`.

use axum::Json;
use http::StatusCode;
use time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfCreate, OfDelete, OfList};
use super::capability::OfTeam;
use super::create::{Create, Created, IdempotencyHeader, with_key};
use super::fields::{Faults, Fields};
use super::names;
use super::page::{self, PageOf, PageQuery};
use crate::domain::authority::{Registrar, RegistryReader};
use crate::domain::label;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::state::IssuerState;
use crate::issuer::admin::NewServiceAccountKey;
use crate::store::KeyInfo;
use crate::wire::admin::page::{Page, WithKey};
use crate::wire::admin::service_account::{CreateServiceAccountKey, ServiceAccountKey};

/// Shortest and longest life of a key that ends, in seconds: a minute and ten years.
const LIFE: std::ops::RangeInclusive<u32> = 60..=315_360_000;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// Lists an agent's keys, revoked ones among them, without their secrets.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}/keys", operation_id = "list_service_account_keys",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), PageQuery),
    responses((status = 200, description = "A page of keys", body = Page<ServiceAccountKey>), OfList))]
async fn list(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    Segments((_, uid)): Segments<(String, String)>,
    PageOf(page): PageOf,
) -> Result<Json<Page<ServiceAccountKey>>, ProblemAnswer> {
    let keys = admin.service_account_keys(&team, &names::uid(&uid)?, &page).await?;
    Ok(Json(page::answer(keys, shown)))
}

/// Makes a key and shows it, this once.
#[utoipa::path(post, path = "/v1/teams/{team}/service-accounts/{uid}/keys", operation_id = "create_service_account_key",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IdempotencyHeader),
    request_body = CreateServiceAccountKey,
    responses((status = 201, description = "The key", body = WithKey<ServiceAccountKey>, headers(("Location" = String))), OfCreate))]
async fn create(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid)): Segments<(String, String)>,
    request: Create<CreateServiceAccountKey>,
) -> Result<Created<WithKey<ServiceAccountKey>>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = admin.create_service_account_key(&team, &uid, new, request.repeatable).await?;
    let made = with_key(made, shown);
    Ok(Created::below(&request.at, &made.resource.id.clone(), None, made))
}

/// Revokes a key. When it has returned, no mint with it can still commit.
#[utoipa::path(delete, path = "/v1/teams/{team}/service-accounts/{uid}/keys/{id}",
    operation_id = "delete_service_account_key", tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The key's id")),
    responses((status = 204, description = "It is revoked"), OfDelete))]
async fn delete(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "key")?);
    admin.delete_service_account_key(&team, &uid, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreateServiceAccountKey) -> Result<NewServiceAccountKey, Faults> {
    let mut fields = Fields::default();
    let name = fields.optional("name", body.name, |name| label::name(&name));
    let life = fields.optional("expires_in_seconds", body.expires_in_seconds, |seconds| {
        if LIFE.contains(&seconds) { Ok(Duration::seconds(seconds.into())) } else { Err("must be 60 to 315360000") }
    });
    fields.finish(name.zip(life).map(|(name, life)| NewServiceAccountKey { name, life }))
}

fn shown(key: KeyInfo) -> ServiceAccountKey {
    ServiceAccountKey {
        id: key.id.to_string(),
        name: (!key.name.is_empty()).then_some(key.name),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}
