//! What every request passes through, from the outside in: request id, a pause after many refusals, access log and metrics, the writing of
//! error answers, security headers, a net for panics, a deadline, the body limit.
//!
//! Does not own what a route does. Nothing here logs a path, a query, a header or a body.

pub mod access_log;
pub mod answer;
pub mod client_address;
pub mod deadline;
pub mod pace;
pub mod panic;
pub mod request_id;
pub mod security_headers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;

/// Longest body that `/v1` takes, in bytes.
pub const BODY_MAX: usize = 64 * 1024;
/// How long a request of `/v1` may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What names requests: time and randomness.
#[derive(Clone)]
pub struct Naming {
    /// Tells the millisecond.
    pub clock: Arc<dyn Clock>,
    /// Makes the rest.
    pub entropy: Arc<dyn Entropy>,
}

/// Wraps the routes of `/v1` and the public documents.
pub fn wrap(router: Router, naming: Naming) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(deadline::keep))
        .layer(CatchPanicLayer::custom(panic::caught))
        .layer(from_fn(security_headers::add))
        .layer(from_fn(answer::write))
        .layer(from_fn(access_log::record))
        .layer(from_fn_with_state(Arc::new(pace::Pace::default()), pace::keep))
        .layer(from_fn_with_state(naming, request_id::assign))
}
