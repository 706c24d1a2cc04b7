//! `/_sandbox/…`: what the typed handle does, over HTTP, for tests in other languages and for demonstrations.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::fault::Fault;
use super::handle::Handle;
use super::parts::Sandbox;

pub(super) fn routes(handle: Handle) -> Router<Arc<Sandbox>> {
    let faults = post(|Shared(handle): Shared<Handle>, Json(fault): Json<Fault>| async move {
        handle.inject(fault);
        StatusCode::NO_CONTENT
    })
    .delete(|Shared(handle): Shared<Handle>| async move {
        handle.clear_faults();
        StatusCode::NO_CONTENT
    });
    let expire = post(|Shared(handle): Shared<Handle>| async move {
        handle.expire_sessions();
        StatusCode::NO_CONTENT
    });
    let calls = get(|Shared(handle): Shared<Handle>| async move { Json(json!(handle.all_calls())) });
    let trail = get(|Shared(handle): Shared<Handle>| async move { Json::<Value>(json!(handle.trail())) });
    Router::new()
        .route("/_sandbox/faults", faults)
        .route("/_sandbox/expire-sessions", expire)
        .route("/_sandbox/calls", calls)
        .route("/_sandbox/trail", trail)
        .layer(middleware::from_fn(refuse_browsers))
        .with_state(handle)
}

/// A web page must not drive the stand-in: its requests carry an `Origin`, or a host that only a rebound name has.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    // HTTP/2 says it in the URI.
    let said = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = said.or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str)).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if request.headers().contains_key(header::ORIGIN) || !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    next.run(request).await
}
