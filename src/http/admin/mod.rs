//! The admin API: one file per resource, each with its router, its handlers and its conversions.
//!
//! Owns parsing of requests into domain values, every fault named by member, and the shapes of answers. Does not own
//! rules that need the state (`issuer::admin`). Every handler takes its capability as an argument: an [`Admin`], which
//! only a live operator's key gives, an [`capability::Of`] or an [`capability::OfTeam`]. There is no route here
//! without one but the document itself.

mod administrators;
mod answers;
mod audiences;
mod audit;
mod capability;
mod effective_settings;
mod enrolment_codes;
mod identities;
mod key_schedule;
mod members;
mod names;
mod openapi;
mod platform_keys;
mod policy;
mod provider_settings;
mod public_keys;
mod remaining_link;
mod remaining_sessions;
mod roles;
mod runs;
mod service_account_keys;
mod service_accounts;
mod sessions;
mod signing_keys;
mod team_issuers;
mod teams;
pub mod trust_rules;
mod upstream_providers;
mod users;
mod worker_keys;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::middleware::from_fn;
use http::request::Parts;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::domain::access::Operator;
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Bearer, ClientOrigin};
use crate::http::paths;
use crate::http::state::IssuerState;
use crate::issuer::admin::Administration;

pub use openapi::document;

/// The issuer in an operator's hands.
pub(super) struct Admin(Administration);

impl FromRequestParts<IssuerState> for Admin {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        let Bearer(operator) = Bearer::<Operator>::from_request_parts(parts, state).await?;
        let ClientOrigin(origin) = match ClientOrigin::from_request_parts(parts, state).await {
            Ok(origin) => origin,
            Err(never) => match never {},
        };
        Ok(Self(state.issuer()?.administration(operator, origin)))
    }
}

/// The routes of each resource with their description.
const PARTS: [fn() -> OpenApiRouter<IssuerState>; 26] = [
    openapi::router,
    administrators::router,
    teams::router,
    audiences::router,
    roles::router,
    policy::router,
    team_issuers::router,
    provider_settings::router,
    effective_settings::router,
    users::router,
    sessions::router,
    identities::router,
    upstream_providers::router,
    remaining_sessions::router,
    runs::router,
    members::router,
    enrolment_codes::router,
    service_accounts::router,
    service_account_keys::router,
    public_keys::router,
    trust_rules::router,
    platform_keys::router,
    worker_keys::router,
    signing_keys::router,
    key_schedule::router,
    audit::router,
];

/// The description of all of them.
fn description() -> OpenApi {
    let mut all = OpenApiRouter::<IssuerState>::new().into_openapi();
    for part in PARTS {
        all.merge(part().into_openapi());
    }
    all
}

/// The routes of the admin listener, to be merged with others or served by themselves. Each description is dropped before
/// the next is made: all at once take five MiB, and the heap would not shrink again.
pub fn routes() -> Router<IssuerState> {
    let all = PARTS.iter().fold(Router::new(), |all, part| all.merge(part()));
    all.route_layer(from_fn(remaining_link::add))
}

/// The routes of the admin listener, complete.
pub fn router(state: IssuerState) -> Router {
    paths::listener(state, routes())
}
