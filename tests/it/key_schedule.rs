//! `/v1/signing-keys` and its schedule over HTTP: versions, pages, who may look, and what is noted.

use brevet::domain::audit::Action;
use brevet::domain::clock::Clock as _;
use brevet::domain::signing_key::signing_key;
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use time::Duration;

use crate::support::house::House;

const SCHEDULE: &str = "/v1/signing-keys/schedule";

#[tokio::test]
async fn a_schedule_is_changed_by_version_and_each_change_is_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let house = House::new().await;
    let read = house.admin("GET", SCHEDULE, None).await;
    let version = read.header("etag").to_owned();
    assert!(version.len() > 2 && read.json()["clock_error_seconds"] == 5, "{read:?}");
    // What else happens to the keys is no change of the numbers.
    house.must("POST", "/v1/signing-keys/prepare", Some(json!({"algorithm": "ES256"}))).await;
    assert_eq!(house.admin("GET", SCHEDULE, None).await.header("etag"), version);

    let longer = json!({"rotation_period_seconds": 40 * 86_400});
    let changed = house.call_with(&house.first, "PATCH", SCHEDULE, Some(longer), &[("if-match", &version)]).await;
    assert_eq!((changed.status, &changed.json()["rotation_period_seconds"]), (StatusCode::OK, &json!(3_456_000)));
    let second = changed.header("etag").to_owned();
    assert_ne!(second, version);
    let stale = json!({"rotation_period_seconds": 50 * 86_400});
    let refused = house.call_with(&house.first, "PATCH", SCHEDULE, Some(stale), &[("if-match", &version)]).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{}", refused.short());
    assert!(refused.short().contains("version_mismatch"), "{}", refused.short());
    assert_eq!(house.admin("GET", SCHEDULE, None).await.header("etag"), second, "nothing was changed");

    for (body, said) in [
        (json!({"max_age_seconds": 59}), "max_age_seconds must be from 60 to 86400"),
        (json!({"clock_error_seconds": 0}), "clock_error_seconds must be from 1 to 60"),
        (json!({"oldest_snapshot_seconds": 9}), "oldest_snapshot_seconds must be from 10 to 3600"),
        (json!({"oldest_snapshot_seconds": 3600}), "keep_after_sign_seconds is 10800 and must be at least 11110"),
        (json!({"clock_error_seconds": 60, "publish_before_sign_seconds": 86_459}), "at least 86460: max(86400, "),
    ] {
        let refused = house.admin("PATCH", SCHEDULE, Some(body)).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && refused.short().contains(said), "{}", refused.short());
    }
    house.must("PATCH", SCHEDULE, Some(json!({"clock_error_seconds": 10, "oldest_snapshot_seconds": 30}))).await;
    let rows = house.app.rows(Action::SigningKeyReschedule).await;
    assert_eq!(rows.len(), 2, "one row a change, none for a refusal");
    assert!(rows.iter().all(|row| row.credential.is_some() && row.target.is_some()), "{rows:?}");
    let line = "brevet_signing_key_commands_total{action=\"signing_key.reschedule\"} 2";
    assert!(counted.render().contains(line), "{}", counted.render());
}

#[tokio::test]
async fn keys_come_in_pages_and_an_auditor_sees_all_of_them_and_changes_none() {
    let house = House::new().await;
    let auditor = house.must("POST", "/v1/administrators", Some(json!({"name": "Eve", "role": "auditor"}))).await;
    let auditor = auditor["key"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        house.must("POST", "/v1/signing-keys/prepare", Some(json!({"algorithm": "ES256"}))).await;
        house.clock.advance(Duration::SECOND);
    }
    let all = house.must("GET", "/v1/signing-keys", None).await;
    let kids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert!(kids(&all).len() == 5 && all["next"].is_null() && all["items"][0]["state"] == "active", "{all}");
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = house.call(&auditor, "GET", &format!("/v1/signing-keys?limit=2{after}"), None).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.short());
        let page = page.json();
        assert!(kids(&page).len() <= 2, "{page}");
        seen.extend(kids(&page));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, kids(&all));
    for after in ["x", "AAAA"] {
        let refused = house.admin("GET", &format!("/v1/signing-keys?after={after}"), None).await;
        assert!(refused.short().contains("after must be the next of an earlier page"), "{}", refused.short());
    }
    for path in ["/v1/signing-keys/plan", SCHEDULE, "/v1/signing-keys/documents"] {
        assert_eq!(house.call(&auditor, "GET", path, None).await.status, StatusCode::OK, "{path}");
    }
    for (method, path) in [("PATCH", SCHEDULE), ("POST", "/v1/signing-keys/rotate")] {
        let refused = house.call(&auditor, method, path, Some(json!({}))).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.short());
    }
}

#[tokio::test]
async fn a_prepare_while_signing_moves_is_refused_with_the_date() {
    let house = House::new().await;
    // The first administrator's key does not outlive the lead time.
    let operator = house.must("POST", "/v1/administrators", Some(json!({"name": "Ada"}))).await;
    let operator = operator["key"].as_str().unwrap().to_owned();
    house.app.plan_hand_over().await;
    let now = house.clock.now();
    let at = signing_key(&house.app.issuer.keys().snapshot().keys, now).unwrap().times.sign_until.unwrap();
    house.clock.advance(at - Duration::seconds(30) - now);
    house.app.issuer.round().await;
    let body = json!({"algorithm": "ES256"});
    let refused = house.call(&operator, "POST", "/v1/signing-keys/prepare", Some(body)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.short());
    let until = at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let told = format!("signing moves to the standby at {}", &until[..19]);
    assert!(refused.short().contains(&told) && refused.short().contains("try again after that"), "{}", refused.short());
}

#[tokio::test]
async fn the_documents_of_an_issuer_with_a_path_are_exported_at_every_address_they_have() {
    let house = House::new().await;
    let exported = house.must("GET", "/v1/signing-keys/documents", None).await;
    let items = exported["items"].as_array().unwrap();
    let paths: Vec<_> = items.iter().map(|item| item["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/brevet/.well-known/jwks.json",
            "/brevet/.well-known/openid-configuration",
            "/brevet/.well-known/oauth-authorization-server",
            "/.well-known/oauth-authorization-server/brevet",
        ]
    );
    // Byte for byte what is served, at each address.
    for item in items {
        let request = http::Request::get(item["path"].as_str().unwrap()).body(axum::body::Body::empty()).unwrap();
        let served = house.send(crate::support::house::Listener::Public, request).await;
        assert_eq!((served.status, served.text.as_str()), (StatusCode::OK, item["body"].as_str().unwrap()), "{item}");
        assert_eq!(
            (served.header("etag"), served.header("cache-control")),
            (item["etag"].as_str().unwrap(), item["cache_control"].as_str().unwrap())
        );
    }
}
