//! One listener with every route of an issuer, where the admin API shares the public one (`BREVET_ADMIN_LISTEN=same`).

use axum::Router;

use super::state::IssuerState;
use super::{admin, issuer, paths};

/// The public routes and the admin API together.
pub fn router(state: IssuerState) -> Router {
    let outside = issuer::oauth::metadata::before_the_path(state.url());
    paths::listener_beside(state, issuer::routes().merge(admin::routes()), outside)
}
