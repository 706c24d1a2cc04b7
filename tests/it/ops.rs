//! The ops listener, and the net under every handler.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock as _;
use brevet::domain::secret::Secret;
use brevet::http::layer::{self, Naming};
use brevet::http::ops;
use brevet::store::Target;
use http::{Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, Options, send};
use crate::support::postgres;

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
        json!({ "ready": true, "parts": {
            "database": "ok", "keys": "ok", "clock": "ok", "audit": "ok", "admission": "ok", "public_keys": "ok",
        } })
    );
    let metrics = String::from_utf8(ask(&router, "/metrics").await.body).unwrap();
    for name in [
        "brevet_tokens_total{action=\"token.mint\"}",
        "brevet_refusals_total{action=\"token.mint\",reason=\"audience_not_allowed\"}",
        "brevet_mints_waiting 0",
        "brevet_audit_queue_depth",
        "brevet_audit_last_batch_rows",
        "brevet_signing_seconds_bucket",
        "brevet_signing_key_age_seconds{issuer=\"https://id.example.com/brevet\",state=\"active\"} 0",
        "brevet_signing_keys{issuer=\"https://id.example.com/brevet\",state=\"next\"} 1",
        "brevet_signing_keys_published{issuer=\"https://id.example.com/brevet\"} 2",
        "brevet_signing_key_next_hand_over_seconds{issuer=\"https://id.example.com/brevet\"} 2592000",
        "brevet_public_keys_warnings{issuer=\"https://id.example.com/brevet\"} 0",
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

/// An app, a key of an agent in it, and the ops routes without the process's one recorder of metrics.
async fn observed(app: App) -> (App, String, Router) {
    let router = ops::router(app.state.clone(), PrometheusBuilder::new().build_recorder().handle());
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    app.token(&key, "sts.amazonaws.com").await;
    (app, key, router)
}

/// What the mint answers, and what `/readyz` says of the clock.
async fn minting(app: &App, key: &str, router: &Router) -> (u16, u16, String) {
    let minted = app.mint(key, &json!({})).await.status.as_u16();
    let ready = ask(router, "/readyz").await;
    (minted, ready.status.as_u16(), ready.json()["parts"]["clock"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn threat_7_a_replica_whose_clock_is_off_the_databases_signs_nothing() {
    let Some(database) = postgres::database() else { return };
    let target = Target::Postgres { url: Secret::new(database.url()) };
    let options = Options { target: Some(target), ..Options::default() };
    let (app, key, router) = observed(App::when(SystemClock.now(), options).await).await;
    for (off, sign) in [(30, ""), (-30, "-")] {
        app.clock.set(SystemClock.now() + Duration::seconds(off));
        app.issuer.round().await;
        let (minted, ready, clock) = minting(&app, &key, &router).await;
        assert_eq!((minted, ready), (503, 503), "{clock}");
        assert!(clock.starts_with(sign) && clock.ends_with(" ms off"), "{clock}");
        let jwks = app.get("/.well-known/jwks.json", None).await;
        assert_eq!(jwks.status, StatusCode::OK, "publishing goes on");
        app.clock.set(SystemClock.now());
        app.issuer.round().await;
        assert_eq!(minting(&app, &key, &router).await, (200, 200, "ok".to_owned()));
    }
}

#[tokio::test]
async fn threat_7_a_clock_that_jumps_signs_nothing_until_it_runs_evenly_again() {
    let (app, key, router) = observed(App::start().await).await;
    for jump in [6, -6] {
        app.clock.set(app.clock.now() + Duration::seconds(jump));
        let off = (503, 503, format!("{jump}000 ms off"));
        assert_eq!(minting(&app, &key, &router).await, off, "before any round");
        app.issuer.round().await;
        assert_eq!(minting(&app, &key, &router).await, off, "it may be the jump that is wrong");
        app.clock.advance(Duration::seconds(3));
        app.issuer.round().await;
        assert_eq!(minting(&app, &key, &router).await, (200, 200, "ok".to_owned()));
        // Time that passes is no jump, nor is what time synchronisation corrects in small steps.
        app.clock.advance(Duration::seconds(20));
        app.clock.set(app.clock.now() + Duration::seconds(jump / 2));
        assert_eq!(minting(&app, &key, &router).await.0, 200);
        app.issuer.round().await;
    }
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
