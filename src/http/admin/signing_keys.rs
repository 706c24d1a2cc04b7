//! `/v1/signing-keys`.

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use super::answers::OfRead;
use crate::domain::signing_key;
use crate::http::error::ProblemAnswer;
use crate::http::state::IssuerState;
use crate::issuer::admin::KeyAt;
use crate::wire::admin::signing_key::{SigningKey, SigningKeys};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Lists the issuer's signing keys and what they are now: the signing one first, then those to come, then the rest.
#[utoipa::path(get, path = "/v1/signing-keys", operation_id = "list_signing_keys", tag = "Signing keys",
    responses((status = 200, description = "The keys, without anything secret", body = SigningKeys), OfRead))]
async fn list(Admin(admin): Admin) -> Result<Json<SigningKeys>, ProblemAnswer> {
    let items = admin.signing_keys().await?.into_iter().map(shown).collect();
    Ok(Json(SigningKeys { items }))
}

fn shown(KeyAt { key, state }: KeyAt) -> SigningKey {
    let signing_key::KeyTimes { publish_from, sign_from, sign_until, publish_until, revoked_at, .. } = key.times;
    SigningKey {
        kid: key.kid.to_string(),
        algorithm: key.kind.algorithm().to_string(),
        bits: key.kind.bits(),
        state: state.as_str().to_owned(),
        publish_from,
        sign_from,
        sign_until,
        publish_until,
        revoked_at,
    }
}
