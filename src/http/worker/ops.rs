//! The worker's ops listener: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::worker::Worker;

#[derive(Clone)]
struct Ops {
    worker: Arc<Worker>,
    metrics: PrometheusHandle,
    stopping: CancellationToken,
}

/// The ops routes of a worker; `metrics` is the process's (`http::ops::recorder`), `stopping` is cancelled before the
/// worker takes no more. They carry no secret, and still belong on a private listener.
pub fn router(worker: Arc<Worker>, metrics: PrometheusHandle, stopping: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Ops { worker, metrics, stopping })
}

async fn healthz() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(json!({ "status": "ok" }))).into_response()
}

/// Whether a caller could be told apart now: without the issuer's keys nobody can.
async fn readyz(State(ops): State<Ops>) -> Response {
    if ops.stopping.is_cancelled() {
        let body = Json(json!({ "ready": false, "parts": { "worker": "this replica is stopping" } }));
        return (StatusCode::SERVICE_UNAVAILABLE, [(CACHE_CONTROL, "no-store")], body).into_response();
    }
    let ready = ops.worker.is_ready().await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let keys = if ready { "ok" } else { "the issuer's keys cannot be read" };
    let body = Json(json!({ "ready": ready, "parts": { "issuer_keys": keys } }));
    (status, [(CACHE_CONTROL, "no-store")], body).into_response()
}

async fn render(State(ops): State<Ops>) -> Response {
    ops.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")], ops.metrics.render()).into_response()
}
