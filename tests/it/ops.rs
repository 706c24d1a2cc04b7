//! The ops listener, and the net under every handler.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use brevet::http::layer::{self, Naming};
use brevet::http::ops;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, send};

async fn ask(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn readiness_is_honest_and_metrics_name_no_caller() {
    let app = App::start().await;
    let router = ops::router(app.state.clone(), ops::recorder().unwrap());
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    app.token(&key, "sts.amazonaws.com").await;
    app.mint(&key, &json!({ "audience": "elsewhere" })).await;
    let ready = ask(&router, "/readyz").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(
        ready.json(),
        json!({ "ready": true, "parts": { "database": "ok", "keys": "ok", "clock": "ok", "audit": "ok", "admission": "ok" } })
    );
    let metrics = String::from_utf8(ask(&router, "/metrics").await.body).unwrap();
    for name in [
        "brevet_tokens_total{action=\"token.mint\"}",
        "brevet_refusals_total{action=\"token.mint\",reason=\"audience_not_allowed\"}",
        "brevet_audit_queue_depth",
        "brevet_audit_last_batch_rows",
        "brevet_signing_seconds_bucket",
        "brevet_signing_key_age_seconds",
        "brevet_http_requests_total{method=\"POST\",route=\"/brevet/v1/identity-tokens\",status=\"200\"}",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    for private in [key.as_str(), "team-1", "agent-1", "192.0.2.7", "elsewhere"] {
        assert!(!metrics.contains(private), "{private}");
    }
    app.store.close().await;
    app.clock.advance(Duration::minutes(2));
    let unready = ask(&router, "/readyz").await;
    assert_eq!((unready.status, &unready.json()["ready"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::Bool(false)));
    assert_ne!(unready.json()["parts"]["database"], json!("ok"));
    assert_eq!(ask(&router, "/healthz").await.status, StatusCode::OK, "the process itself is well");
}

#[tokio::test]
async fn a_panic_is_a_clean_500_that_says_nothing_of_it() {
    let app = App::start().await;
    let naming = Naming { clock: app.clock.clone(), entropy: app.entropy.clone() };
    let handler = || async {
        assert!(std::hint::black_box(false), "secret-of-the-panic");
    };
    let answer = ask(&layer::wrap(Router::new().route("/x", get(handler)), naming), "/x").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
    assert!(!answer.to_string().contains("secret-of-the-panic"));
}
