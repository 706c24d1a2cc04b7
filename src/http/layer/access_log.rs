//! One log line and two metrics for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::request_id::RequestId;

/// Logs and counts each answer under its route's pattern. Neither path nor query is logged: both may hold what
/// a caller pasted into the wrong place.
pub async fn record(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let response = next.run(request).await;
    let took = began.elapsed();
    let status = response.status().as_u16();
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(target: "brevet::access", method, route, status, micros, request_id = id, "request");
    // Any method is a label only as one of ours: a caller must not be able to make new series.
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let labels = [("method", method), ("route", route), ("status", status.to_string())]
        .map(|(name, value)| metrics::Label::new(name, value))
        .to_vec();
    metrics::counter!("brevet_http_requests_total", labels.clone()).increment(1);
    metrics::histogram!("brevet_http_request_seconds", labels).record(took.as_secs_f64());
    response
}
