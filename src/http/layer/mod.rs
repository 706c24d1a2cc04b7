//! What every request passes through, from the outside in: request id, a pause before yet another refusal, access log
//! and metrics, the writing of error answers, security headers, another face for errors on pages, a net for panics, a
//! deadline, the body limit.
//!
//! Does not own what a route does. Nothing here logs a path, a query, a header or a body.

pub mod access_log;
pub mod answer;
pub mod client_address;
pub mod deadline;
pub mod pace;
pub mod panic;
mod passage;
pub mod request_id;
pub mod security_headers;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;

use self::passage::{Passage, Rules};
use self::request_id::RequestId;
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

/// Another face for the errors of some paths, put on before they are written.
pub trait Dress: Send + Sync {
    /// Whether errors on `path` get it.
    fn covers(&self, path: &str) -> bool;
    /// `bare`, an error or not, as it goes out; `head` says that nobody wants its body.
    fn dress(&self, bare: Response, id: &RequestId, head: bool) -> Response;
}

/// Wraps the routes of `/v1` and the public documents.
pub fn wrap(router: Router, naming: Naming) -> Router {
    router.layer(Passage::layer(rules(naming)))
}

/// The same with pages among the routes, whose errors are dressed.
pub fn wrap_dressed(router: Router, naming: Naming, dress: Arc<dyn Dress>) -> Router {
    router.layer(Passage::layer(Rules { dress: Some(dress), ..rules(naming) }))
}

/// Wraps routes whose answers come from elsewhere and take as long as they take; `panicked` answers where a handler
/// has panicked.
pub fn wrap_relay(router: Router, naming: Naming, panicked: fn(&RequestId) -> Response) -> Router {
    router.layer(Passage::layer(Rules { deadline: None, pace: None, panicked, ..rules(naming) }))
}

fn rules(naming: Naming) -> Rules {
    Rules {
        naming,
        counts: Arc::default(),
        deadline: Some(DEADLINE),
        pace: Some(Arc::default()),
        panicked: panic::caught,
        dress: None,
    }
}
