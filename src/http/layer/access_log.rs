//! One log line and two metrics for each request.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use http::{Method, StatusCode};
use metrics::{Counter, Histogram, Label};

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

    /// Logs the answer, and counts it by its route's pattern.
    pub fn record(&self, response: &Response, id: &RequestId, counts: &Counts) {
        let took = self.began.elapsed();
        let status = response.status();
        let (method, route) = (self.method.as_str(), self.route.as_ref().map_or("unmatched", MatchedPath::as_str));
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (number, id) = (status.as_u16(), &*id.0);
        tracing::info!(target: "brevet::access", method, route, status = number, micros, request_id = id, "request");
        let count = counts.of(route, counted(&self.method), status);
        count.requests.increment(1);
        count.seconds.record(took.as_secs_f64());
    }
}

/// The metrics of one router, each looked up in the process's registry once: that takes several times as long as to
/// count.
#[derive(Default)]
pub struct Counts(RwLock<HashMap<String, OfRoute>>);

type OfRoute = HashMap<(&'static str, StatusCode), Count>;

#[derive(Clone)]
struct Count {
    requests: Counter,
    seconds: Histogram,
}

impl Counts {
    fn of(&self, route: &str, method: &'static str, status: StatusCode) -> Count {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get(route).and_then(|counts| counts.get(&(method, status))) {
            return count.clone();
        }
        drop(known);
        let labels = [("method", method), ("route", route), ("status", status.as_str())]
            .map(|(name, value)| Label::new(name, value.to_owned()))
            .to_vec();
        let count = Count {
            requests: metrics::counter!("brevet_http_requests_total", labels.clone()),
            seconds: metrics::histogram!("brevet_http_request_seconds", labels),
        };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(route.to_owned()).or_default().insert((method, status), count.clone());
        count
    }
}

/// The method as a label: any is only as one of ours, because a caller must not be able to make new series.
fn counted(method: &Method) -> &'static str {
    ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("other")
}
