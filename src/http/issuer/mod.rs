//! The issuer's public routes: documents, pages, mint, sessions, runs, whoami, exchange.
//!
//! Owns how they parse and what their answers look like. Does not own what they do (`issuer`) nor the shape of
//! errors (`http::error`).
//! May import: every lower floor, and http's extractors, errors, layers and state.

pub mod documents;
pub mod exchange;
pub mod fields;
pub mod mint;
pub mod oauth;
pub mod runs;
pub mod sessions;
pub mod whoami;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::state::IssuerState;
use super::{pages, paths};

/// The public routes with their OpenAPI description, which is a tenth of the admin routes'.
pub(in crate::http) fn described() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new()
        .routes(routes!(documents::discovery))
        .routes(routes!(documents::jwks))
        .routes(routes!(documents::team_discovery))
        .routes(routes!(documents::team_jwks))
        .routes(routes!(mint::mint))
        .routes(routes!(oauth::metadata::oauth_metadata))
        .routes(routes!(oauth::token::token))
        .routes(routes!(oauth::device::device_authorization))
        .routes(routes!(oauth::revoke::revoke))
        .routes(routes!(oauth::backchannel_logout::backchannel_logout))
        .routes(routes!(whoami::whoami))
        .routes(routes!(sessions::open, sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(runs::open, runs::list))
        .routes(routes!(runs::read, runs::end))
        .routes(routes!(exchange::exchange))
        .routes(routes!(exchange::liveness).layer(DefaultBodyLimit::max(exchange::LIVENESS_BODY_MAX)))
        .merge(pages::routes())
}

/// The public routes, to be merged with others or served by themselves.
pub fn routes() -> Router<IssuerState> {
    described().into()
}

/// The public listener by itself.
pub fn router(state: IssuerState) -> Router {
    let outside = oauth::metadata::before_the_path(state.url());
    paths::listener_beside(state, routes(), outside)
}
