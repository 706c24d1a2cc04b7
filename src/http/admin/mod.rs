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

/// The routes of the admin listener with their OpenAPI description, to be merged with others or served by themselves.
pub fn routes() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new()
        .merge(openapi::router())
        .merge(administrators::router())
        .merge(teams::router())
        .merge(audiences::router())
        .merge(roles::router())
        .merge(policy::router())
        .merge(team_issuers::router())
        .merge(provider_settings::router())
        .merge(effective_settings::router())
        .merge(users::router())
        .merge(sessions::router())
        .merge(identities::router())
        .merge(upstream_providers::router())
        .merge(remaining_sessions::router())
        .merge(runs::router())
        .merge(members::router())
        .merge(enrolment_codes::router())
        .merge(service_accounts::router())
        .merge(service_account_keys::router())
        .merge(public_keys::router())
        .merge(trust_rules::router())
        .merge(platform_keys::router())
        .merge(worker_keys::router())
        .merge(signing_keys::router())
        .merge(key_schedule::router())
        .merge(audit::router())
        .route_layer(from_fn(remaining_link::add))
}

/// The routes of the admin listener, complete.
pub fn router(state: IssuerState) -> Router {
    paths::listener(state, routes())
}
