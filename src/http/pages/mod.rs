//! What people see in a browser: the device page, sign-in, the decision, and what became of it. Server-rendered, no
//! script; the templates and the one stylesheet lie beside the handlers.
//!
//! Owns HTML, the browser's cookie, and what guards a page: Host, Origin, form token, Content-Security-Policy. Does not
//! own what a step does (`issuer::sign_in`). `/v1` takes no cookie, and nothing here hands one to it.
//! May import: every lower floor, and http's extractors, errors, layers and state.

mod asker;
mod authorize;
mod callback;
mod confirm;
mod cookie;
mod device;
mod early;
mod outcome;
mod page;
mod posted;
mod query;
mod refused;
mod sign_in;
mod style;
mod visit;

use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

pub use self::early::Early;
use super::state::IssuerState;
use crate::issuer::sign_in::upstream::CALLBACK;

/// The path of the authorization endpoint.
const AUTHORIZE: &str = "/oauth2/authorize";
/// Where a device's user code is typed.
const DEVICE: &str = "/device";
/// Where a browser says who it is.
const SIGN_IN: &str = "/sign-in";
/// Where it decides.
const CONFIRM: &str = "/sign-in/confirm";

/// The pages. They are for people: the OpenAPI document has nothing of them.
pub fn routes() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new()
        .route(AUTHORIZE, get(authorize::begin))
        .route(DEVICE, get(device::show).post(device::take))
        .route(SIGN_IN, get(sign_in::show).post(sign_in::take))
        .route(&format!("{CALLBACK}/{{provider}}"), get(callback::take))
        .route(CONFIRM, get(confirm::show).post(confirm::take))
        .route(outcome::DONE, get(outcome::done))
        .route(outcome::DENIED, get(outcome::denied))
        .route(style::SHEET, get(style::sheet))
        .route(style::MARK, get(style::mark))
}
