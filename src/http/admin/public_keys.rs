//! `/v1/teams/{team}/service-accounts/{uid}/public-keys`.

use axum::Json;
use http::StatusCode;
use time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfCreate, OfDelete, OfList};
use super::capability::OfTeam;
use super::names;
use super::service_account_keys::LIFE;
use crate::crypto::client_key;
use crate::crypto::jwk::thumbprint;
use crate::domain::authority::{Registrar, RegistryReader};
use crate::domain::client_key::{ClientKey, KeySource};
use crate::domain::label;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Segments;
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::state::IssuerState;
use crate::issuer::admin::NewPublicKey;
use crate::wire::admin::page::Page;
use crate::wire::admin::public_key::{CreatePublicKey, PublicKey};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

/// Lists an agent's public keys, revoked ones among them.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}/public-keys", operation_id = "list_public_keys",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), PageQuery),
    responses((status = 200, description = "A page of public keys", body = Page<PublicKey>), OfList))]
async fn list(
    OfTeam(admin, team): OfTeam<RegistryReader>,
    Segments((_, uid)): Segments<(String, String)>,
    PageOf(page): PageOf,
) -> Result<Json<Page<PublicKey>>, ProblemAnswer> {
    let keys = admin.public_keys(&team, &names::uid(&uid)?, &page).await?;
    Ok(Json(page::answer(keys, shown)))
}

/// Registers a public key, or where the keys are, so that the agent can prove itself with `private_key_jwt`.
#[utoipa::path(post, path = "/v1/teams/{team}/service-accounts/{uid}/public-keys", operation_id = "create_public_key",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IdempotencyHeader),
    request_body = CreatePublicKey,
    responses((status = 201, description = "The public key", body = PublicKey, headers(("Location" = String))), OfCreate))]
async fn create(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid)): Segments<(String, String)>,
    request: Create<CreatePublicKey>,
) -> Result<Created<PublicKey>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let key = shown(admin.create_public_key(&team, &uid, new, request.repeatable).await?);
    Ok(Created::below(&request.at, &key.id.clone(), None, key))
}

/// Revokes a public key. When it has returned, no mint with an access token got with it can still commit.
#[utoipa::path(delete, path = "/v1/teams/{team}/service-accounts/{uid}/public-keys/{id}",
    operation_id = "delete_public_key", tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The public key's id")),
    responses((status = 204, description = "It is revoked"), OfDelete))]
async fn delete(
    OfTeam(admin, team): OfTeam<Registrar>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
) -> Result<StatusCode, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "public key")?);
    admin.delete_public_key(&team, &uid, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn new(body: CreatePublicKey) -> Result<NewPublicKey, Faults> {
    let mut fields = Fields::default();
    let name = fields.optional("name", body.name, |name| label::name(&name));
    let life = fields.optional("expires_in_seconds", body.expires_in_seconds, |seconds| {
        if LIFE.contains(&seconds) { Ok(Duration::seconds(seconds.into())) } else { Err("must be 60 to 315360000") }
    });
    let source = match (body.jwk, body.jwks_uri) {
        (Some(jwk), None) => {
            fields.parse("jwk", client_key::parse(&jwk)).map(|(kid, public)| KeySource::Jwk { kid, public })
        }
        (None, Some(uri)) => Some(KeySource::JwksUri(uri.into())),
        _ => {
            fields.refuse("jwk", "must stand, or jwks_uri instead: exactly one of them");
            None
        }
    };
    let new = name.zip(life).zip(source).map(|((name, life), source)| NewPublicKey { name, source, life });
    fields.finish(new)
}

fn shown(key: ClientKey) -> PublicKey {
    let (jwk, thumbprint, jwks_uri) = match &key.source {
        KeySource::Jwk { kid, public } => {
            let jwk = client_key::shown(kid.as_deref(), public);
            (Some(jwk), Some(thumbprint(public).to_string()), None)
        }
        KeySource::JwksUri(uri) => (None, None, Some(uri.to_string())),
    };
    PublicKey {
        id: key.id.to_string(),
        name: (!key.name.is_empty()).then_some(key.name),
        jwk,
        thumbprint,
        jwks_uri,
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}
