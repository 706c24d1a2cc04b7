//! `/v1/teams/{team}/service-accounts/{uid}/keys`.

use axum::Json;
use http::StatusCode;
use time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfCreate, OfDelete, OfList};
use super::capability::OfTeam;
use super::names;
use crate::domain::authority::{Registrar, RegistryReader};
use crate::domain::label;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::resource::create::{Create, Created, IdempotencyHeader, with_key};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::state::IssuerState;
use crate::issuer::admin::{NewServiceAccountKey, RotateServiceAccountKey};
use crate::store::KeyInfo;
use crate::wire::admin::page::{Page, WithKey};
use crate::wire::admin::service_account::{
    CreateServiceAccountKey, RotateServiceAccountKey as RotateBody, ServiceAccountKey,
};

/// Shortest and longest life of a key that ends, in seconds: a minute and ten years.
pub(super) const LIFE: std::ops::RangeInclusive<u32> = 60..=315_360_000;

/// How long an old key goes on beside the new one, in seconds: a day unless said otherwise, 30 days at most.
const OVERLAP_DEFAULT: u32 = 86_400;
const OVERLAP_MAX: u32 = 2_592_000;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete)).routes(routes!(rotate))
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

/// Makes a new key for an old one, which ends after an overlap: both in one step, so that neither is forgotten.
#[utoipa::path(post, path = "/v1/teams/{team}/service-accounts/{uid}/keys/{id}/rotate",
    operation_id = "rotate_service_account_key", tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The old key's id"), IdempotencyHeader),
    request_body = RotateBody,
    responses((status = 201, description = "The new key", body = WithKey<ServiceAccountKey>, headers(("Location" = String))), OfCreate))]
async fn rotate(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
    request: Create<RotateBody>,
) -> Result<Created<WithKey<ServiceAccountKey>>, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "key")?);
    let change = rotation(request.body).map_err(ProblemAnswer::fields)?;
    let made = with_key(admin.rotate_service_account_key(&team, &uid, id, change, request.repeatable).await?, shown);
    // The new key stands beside the old one, not below it.
    let keys = request.at.rsplitn(3, '/').nth(2).unwrap_or_default().to_owned();
    Ok(Created::below(&keys, &made.resource.id.clone(), None, made))
}

fn rotation(body: RotateBody) -> Result<RotateServiceAccountKey, Faults> {
    let mut fields = Fields::default();
    let overlap = body.overlap_seconds.unwrap_or(OVERLAP_DEFAULT);
    let in_time = if overlap <= OVERLAP_MAX { Ok(overlap) } else { Err("must be 0 to 2592000") };
    let overlap = fields.parse("overlap_seconds", in_time);
    let body = CreateServiceAccountKey { name: body.name, expires_in_seconds: body.expires_in_seconds };
    match (fields.finish(overlap), new(body)) {
        (Ok(overlap), Ok(new)) => Ok(RotateServiceAccountKey { new, overlap: Duration::seconds(overlap.into()) }),
        (overlap, new) => Err(overlap.err().into_iter().chain(new.err()).flatten().collect()),
    }
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
