//! The OpenAPI 3.1 document, made from the handlers: public, worker and admin routes of the issuer.

use axum::{Json, Router, routing};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{self as spec, path::PathItem};

use super::surface;
use crate::http::state::IssuerState;
use crate::wire::problem::{FieldError, Problem};

/// What every 401 to the admin API asks for.
const OPERATOR: &str = "administrator_key";

#[derive(OpenApi)]
#[openapi(
    info(title = "Brevet", description = "The issuer's API. Errors of `/v1` are `application/problem+json`; docs/errors.md \
        has the catalogue. In a change an omitted member keeps and `null` clears; unknown members are refused. Lists are \
        pages: send `next` as `after`. Every versioned resource has an `ETag`, and `If-Match` is honoured."),
    components(schemas(Problem, FieldError)),
    servers((url = "/", description = "The admin listener for the admin routes, the public listener for the others"))
)]
struct Head;

pub(super) fn router() -> Router<IssuerState> {
    Router::new().route("/openapi.json", routing::get(async || Json(document())))
}

/// The whole document.
pub fn document() -> spec::OpenApi {
    let mut admin = surface().into_openapi();
    for item in admin.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.security.get_or_insert_with(|| vec![SecurityRequirement::new(OPERATOR, [""; 0])]);
        }
    }
    let mut document = Head::openapi();
    document.merge(crate::http::issuer::openapi());
    document.merge(admin);
    let components = document.components.get_or_insert_default();
    for (name, description) in [
        (OPERATOR, "An administrator's key, `bvt_ad_…`"),
        ("access_token", "A person's access token, `bvt_at_…`"),
        ("service_account_key", "A service account's key, `bvt_sa_…`"),
        ("worker_key", "A worker's key, `bvt_wk_…`"),
    ] {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        components.add_security_scheme(name, SecurityScheme::Http(bearer));
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut spec::path::Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}
