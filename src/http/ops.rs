//! The ops listener: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use time::OffsetDateTime;

use super::state::IssuerState;
use crate::domain::signing_key::{self, KeyState};
use crate::issuer::Issuer;
use crate::issuer::keys::KeyRing;
use crate::issuer::readiness::Part;

/// Bounds of the buckets of every histogram, in seconds.
const BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// How often samples are counted into buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Makes this process's metrics readable: the recorder is the process's, so it is installed once, by the
/// composition root, inside its runtime.
pub fn recorder() -> Result<PrometheusHandle, BuildError> {
    let metrics = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    tokio::spawn(keep_small(metrics.clone()));
    Ok(metrics)
}

/// Until they are counted, samples lie in memory one by one: where nobody reads the metrics, without end.
async fn keep_small(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

#[derive(Clone)]
struct Ops {
    state: IssuerState,
    metrics: Arc<PrometheusHandle>,
}

/// The ops routes of an issuer. They carry no secret, and still belong on a private listener.
pub fn router(state: IssuerState, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Ops { state, metrics: Arc::new(metrics) })
}

/// The process runs and answers; nothing else is asked.
async fn healthz() -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(json!({ "status": "ok" }))).into_response()
}

/// Whether this replica can mint, and which part cannot. Without the database it is not ready, though it goes on
/// publishing.
async fn readyz(State(ops): State<Ops>) -> Response {
    if ops.state.is_stopping() {
        let parts = json!({ "issuer": "this replica is stopping" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "parts": parts }))).into_response();
    }
    let parts = match ops.state.issuer() {
        Ok(issuer) => issuer.readiness().await,
        Err(starting) => {
            let parts = json!({ "issuer": starting.to_string() });
            return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "parts": parts }))).into_response();
        }
    };
    let ready = parts.iter().all(|part| part.fault.is_none());
    let told = |part: Part| match (part.fault, part.warning) {
        (Some(fault), _) => fault,
        (None, Some(warning)) => format!("warning: {warning}"),
        (None, None) => "ok".to_owned(),
    };
    let parts: serde_json::Map<_, _> =
        parts.into_iter().map(|part| (part.name.to_owned(), json!(told(part)))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(json!({ "ready": ready, "parts": parts }))).into_response()
}

/// Prometheus text. Gauges are read now, counters were kept along the way.
async fn render(State(ops): State<Ops>) -> Response {
    if let Ok(issuer) = ops.state.issuer() {
        gauges(issuer);
    }
    ops.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4"), (CACHE_CONTROL, "no-store")], ops.metrics.render()).into_response()
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; 2^53 is enough for all of these")]
fn gauges(issuer: &Issuer) {
    let stats = issuer.audit().stats();
    metrics::gauge!("brevet_mints_waiting").set(issuer.mints_waiting() as f64);
    metrics::gauge!("brevet_audit_queue_depth").set(stats.queued as f64);
    metrics::gauge!("brevet_audit_last_batch_rows").set(stats.last_batch as f64);
    metrics::counter!("brevet_audit_batches_total").absolute(stats.batches);
    metrics::counter!("brevet_audit_rows_total").absolute(stats.committed);
    metrics::counter!("brevet_audit_not_alive_total").absolute(stats.not_alive);
    metrics::counter!("brevet_audit_failed_total").absolute(stats.failed);
    metrics::gauge!("brevet_clock_off_seconds").set(issuer.keys().snapshot().clock_off as f64 / 1000.0);
    for ring in issuer.every_ring() {
        keys(&ring, issuer.now());
    }
}

/// The keys of one issuer. No label names a key: its series would stay after it has gone.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts and seconds fit")]
fn keys(ring: &KeyRing, now: OffsetDateTime) {
    let snapshot = ring.snapshot();
    let issuer = ring.url().to_string();
    for state in [KeyState::Next, KeyState::Active, KeyState::Retired, KeyState::Gone, KeyState::Revoked] {
        let labels = [("issuer", issuer.clone()), ("state", state.as_str().to_owned())];
        let ages: Vec<_> = snapshot
            .keys
            .iter()
            .filter(|key| key.state(now) == state)
            .map(|key| (now - key.times.publish_from).as_seconds_f64())
            .collect();
        metrics::gauge!("brevet_signing_keys", &labels).set(ages.len() as f64);
        if matches!(state, KeyState::Next | KeyState::Active | KeyState::Retired) {
            metrics::gauge!("brevet_signing_key_age_seconds", &labels).set(ages.into_iter().fold(0.0, f64::max));
        }
    }
    let labels = [("issuer", issuer)];
    let published = signing_key::published(&snapshot.keys, now).len();
    metrics::gauge!("brevet_signing_keys_published", &labels).set(published as f64);
    if let Ok(times) = signing_key::signing_key(&snapshot.keys, now).map(|key| key.times) {
        // Planned or, until it is, due; negative where it is overdue.
        let due = times.sign_from.map(|from| snapshot.schedule.turn_until(from));
        let ahead = times.sign_until.or(due).map_or(f64::INFINITY, |at| (at - now).as_seconds_f64());
        metrics::gauge!("brevet_signing_key_next_hand_over_seconds", &labels).set(ahead);
    }
    metrics::gauge!("brevet_public_keys_warnings", &labels).set(ring.public_warnings().len() as f64);
    if let Some(looked) = snapshot.row.probed_at {
        metrics::gauge!("brevet_public_keys_seen_age_seconds", &labels).set((now - looked).as_seconds_f64());
    }
}
