//! The one layer around all routes: each step is a function of its own, called in turn.
//!
//! One layer and not seven, because a router boxes each, and clones it with all below it for every request: seven cost
//! as much as the rest of HTTP.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::response::Response;
use axum::routing::Route;
use futures_util::FutureExt as _;
use http::Method;
use tower::{Layer, Service};

use super::access_log::{Counts, Seen};
use super::pace::Pace;
use super::request_id::RequestId;
use super::{BODY_MAX, Dress, Naming, answer, deadline, request_id, security_headers};

/// What holds for every request of a listener.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) naming: Naming,
    pub(super) counts: Arc<Counts>,
    /// How long an answer may take, if there is an end to it.
    pub(super) deadline: Option<Duration>,
    /// How often who asks is refused at once, where that is ours to say.
    pub(super) pace: Option<Arc<Pace>>,
    /// The answer where a handler has panicked.
    pub(super) panicked: fn(&RequestId) -> Response,
    pub(super) dress: Option<Arc<dyn Dress>>,
}

/// A route with everything that stands around it.
#[derive(Clone)]
pub(super) struct Passage<S> {
    route: S,
    rules: Rules,
}

impl Passage<()> {
    /// What puts a passage around a route.
    pub(super) fn layer(rules: Rules) -> impl Layer<Route, Service = Passage<Route>> + Clone {
        tower::layer::layer_fn(move |route| Passage { route, rules: rules.clone() })
    }
}

impl Service<Request> for Passage<Route> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Route as Service<Request>>::poll_ready(&mut self.route, context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId::new(&self.rules.naming);
        let (seen, head) = (Seen::of(&request), request.method() == Method::HEAD);
        request.extensions_mut().insert(id.clone());
        DefaultBodyLimit::max(BODY_MAX).apply(&mut request);
        let (limit, panicked) = (self.rules.deadline, self.rules.panicked);
        let dress = self.rules.dress.clone().filter(|dress| dress.covers(request.uri().path()));
        let (pace, network) = (self.rules.pace.clone(), Pace::network(&request));
        let counts = Arc::clone(&self.rules.counts);
        let answered = self.route.call(request);
        Box::pin(async move {
            let answered = AssertUnwindSafe(deadline::keep(limit, answered)).catch_unwind();
            let mut response = answered.await.unwrap_or_else(|_| panicked(&id));
            let late = pace.filter(|pace| !pace.allows(network, &response));
            if let Some(dress) = dress {
                response = dress.dress(response, &id, head);
            }
            security_headers::add(&mut response);
            answer::write(&mut response, &id, head);
            seen.record(&response, &id, &counts);
            request_id::tell(&mut response, &id);
            if let Some(pace) = late {
                pace.wait(network).await;
            }
            Ok(response)
        })
    }
}
