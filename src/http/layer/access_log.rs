//! One log line and two metrics for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::Method;

use super::request_id::RequestId;

/// What is remembered of a request until it is answered. Neither path nor query: both may hold what a caller pasted
/// into the wrong place.
pub struct Seen {
    began: Instant,
    method: Method,
    route: Option<MatchedPath>,
}

impl Seen {
    /// Of a request that has just come.
    pub fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { began: Instant::now(), method: request.method().clone(), route }
    }

    /// Logs and counts the answer under its route's pattern.
    pub fn record(&self, response: &Response, id: &RequestId) {
        let took = self.began.elapsed();
        let status = response.status().as_u16();
        let (method, route) = (self.method.as_str(), self.route.as_ref().map_or("unmatched", MatchedPath::as_str));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(target: "brevet::access", method, route, status, micros, request_id = &*id.0, "request");
        let labels = [("method", counted(&self.method)), ("route", route), ("status", response.status().as_str())]
            .map(|(name, value)| metrics::Label::new(name, value.to_owned()))
            .to_vec();
        metrics::counter!("brevet_http_requests_total", labels.clone()).increment(1);
        metrics::histogram!("brevet_http_request_seconds", labels).record(took.as_secs_f64());
    }
}

/// The method as a label: any is only as one of ours, because a caller must not be able to make new series.
fn counted(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    }
}
