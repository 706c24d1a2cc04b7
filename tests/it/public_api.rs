//! The public routes as strangers see them: documents, headers, errors.

use std::sync::Arc;

use axum::body::Body;
use brevet::crypto::seal::Kek;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock;
use brevet::domain::id::IssuerId;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::http::state::IssuerState;
use brevet::issuer::bootstrap::{self, BootstrapError, Host, Publishing};
use brevet::issuer::publish::{Publication, Published, SavedError};
use brevet::store::{Store, Target};
use http::{Method, Request, StatusCode};
use serde_json::json;
use time::Duration;

use crate::support::app::{App, Options, request};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn threat_19_the_documents_are_what_aws_reads_and_nothing_private() {
    let app = App::start().await;
    let (discovery, jwks) = (app.get(DISCOVERY, None).await, app.get(JWKS, None).await);
    insta::assert_snapshot!("discovery", discovery.to_string());
    insta::assert_snapshot!("jwks", jwks.to_string());
    for key in jwks.json()["keys"].as_array().unwrap() {
        let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}

#[tokio::test]
async fn threat_17_documents_are_cacheable_conditional_and_free_of_cookies_and_challenges() {
    let app = App::start().await;
    for path in [DISCOVERY, JWKS] {
        let whole = app.get(path, None).await;
        assert_eq!(whole.status, StatusCode::OK);
        assert_eq!(whole.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(whole.header("access-control-allow-origin"), Some("*"));
        assert_eq!(whole.header("content-type"), Some("application/json"));
        let etag = whole.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "a strong tag: {etag}");
        for name in ["set-cookie", "www-authenticate", "location", "vary", "expires"] {
            assert_eq!(whole.header(name), None, "{name}");
        }
        let conditional = |tag: String| {
            let mut request = request(Method::GET, path, None, Body::empty());
            request.headers_mut().insert("if-none-match", tag.parse().unwrap());
            app.send(request)
        };
        let unchanged = conditional(etag.clone()).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(unchanged.header("etag"), Some(etag.as_str()));
        assert_eq!(unchanged.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(conditional("\"other\"".to_owned()).await.status, StatusCode::OK);
        let head = app.send(request(Method::HEAD, path, None, Body::empty())).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.header("etag"), Some(etag.as_str()));
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
        // A credential changes nothing, not even a bad one.
        assert_eq!(app.get(path, Some("rubbish")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn threat_6_nothing_a_client_sends_ends_up_in_a_url() {
    let app = App::start().await;
    let plain = app.get(DISCOVERY, None).await.body;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-original-url", "/evil"),
        ("origin", "https://evil.example"),
    ] {
        let mut request = request(Method::GET, DISCOVERY, None, Body::empty());
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(app.send(request).await.body, plain, "{name}");
    }
    let absolute = Request::get(format!("https://evil.example/brevet{DISCOVERY}")).body(Body::empty()).unwrap();
    assert_eq!(app.send(absolute).await.body, plain);
}

#[tokio::test]
async fn threat_17_publishing_goes_on_with_the_database_gone_and_minting_does_not() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    app.plan_hand_over().await;
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
    let before = app.get(JWKS, None).await.body;

    app.store.close().await;
    app.clock.advance(Duration::minutes(2));
    app.issuer.round().await;
    assert_eq!(app.get(JWKS, None).await.body, before);
    assert_eq!(app.get(DISCOVERY, None).await.status, StatusCode::OK);
    let refused = app.mint(&key, &json!({})).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(refused.code(), "unavailable");
    assert!(!String::from_utf8_lossy(&refused.body).contains("pool"), "{refused}");
    let parts = app.issuer.readiness().await;
    let faulty: Vec<_> = parts.iter().filter(|part| part.fault.is_some()).map(|part| part.name).collect();
    assert_eq!(faulty, ["database", "keys"]);

    // The rows' instants go on counting: at the hand-over the standby comes first, still without a database.
    app.clock.advance(Duration::days(30));
    app.issuer.round().await;
    let after = app.get(JWKS, None).await.json();
    let keys: serde_json::Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(after["keys"][0], keys["keys"][1]);
}

#[tokio::test]
async fn threat_17_the_last_documents_are_served_at_a_start_without_the_database() {
    let app = App::start().await;
    let served = app.get(JWKS, None).await.body;
    let file = app.dir.path().join("published.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let restarted = |url: &str, file: &std::path::Path| {
        let url = IssuerUrl::parse(url, Development::Off).unwrap();
        (Arc::new(Publication::new(url.clone(), Some(file.to_owned()))), url)
    };
    let (publication, url) = restarted("https://id.example.com/brevet", &file);
    let state = IssuerState::starting(url, publication.clone(), app.state.naming().clone());
    let starting = App { router: brevet::http::issuer::router(state.clone()), state, publication, ..app };
    assert_eq!(starting.get(JWKS, None).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(starting.publication.restore().unwrap());
    assert_eq!(starting.get(JWKS, None).await.body, served);
    let refused = starting.get("/v1/whoami", Some("bvt_sa_x")).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));

    // Another issuer's file, or a broken one, is named and not served.
    let (other, _) = restarted("https://other.example.com", &file);
    assert!(matches!(other.restore(), Err(SavedError::Content(_))));
    std::fs::write(&file, "{}").unwrap();
    let (broken, _) = restarted("https://id.example.com/brevet", &file);
    assert!(matches!(broken.restore(), Err(SavedError::Content(_))) && broken.current().is_none());
    let (none, _) = restarted("https://id.example.com/brevet", &file.with_extension("none"));
    assert!(!none.restore().unwrap());
}

#[tokio::test]
async fn every_error_of_a_route_is_a_problem_with_the_request_id_of_its_header() {
    let app = App::start().await;
    let post = |path: &str, kind: &str, body: Vec<u8>| {
        let request = Request::post(format!("/brevet{path}")).header("content-type", kind).body(Body::from(body));
        app.send(request.unwrap())
    };
    let code = || json!({ "code": "x" }).to_string().into_bytes();
    for (name, answer) in [
        ("unknown_route", app.get("/v1/nothing", None).await),
        ("wrong_method", app.get("/v1/identity-tokens", None).await),
        ("unsupported_media_type", post("/v1/sessions", "text/plain", code()).await),
        ("not_json", post("/v1/sessions", "application/json", b"code=x".to_vec()).await),
        ("body_too_large", post("/v1/sessions", "application/json", vec![b' '; 65_537]).await),
        ("missing_member", post("/v1/sessions", "application/json", b"{}".to_vec()).await),
        ("unknown_member", post("/v1/sessions", "application/json", br#"{"code":"x","user":"y"}"#.to_vec()).await),
        ("no_credential", post("/v1/identity-tokens", "application/json", b"{}".to_vec()).await),
        ("bad_credential", app.get("/v1/whoami", Some("bvt_sa_short")).await),
    ] {
        let (body, id) = (answer.json(), answer.header("x-request-id").unwrap_or_default().to_owned());
        assert_eq!(body["request_id"], json!(id), "{answer}");
        assert_eq!(body["status"], json!(answer.status.as_u16()));
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        insta::assert_snapshot!(name, answer.to_string());
    }
    let outside = Request::get("/v1/whoami").body(Body::empty()).unwrap();
    assert_eq!(app.send(outside).await.code(), "route_not_found", "all routes live under the issuer URL's path");
}

#[tokio::test]
async fn a_bearer_is_read_from_one_header_only() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let whoami = |headers: &[(&'static str, String)], query: &str| {
        let mut request = Request::get(format!("/brevet/v1/whoami{query}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        app.send(request.body(Body::empty()).unwrap())
    };
    let authorization = |value: String| ("authorization", value);
    for good in [format!("Bearer {key}"), format!("bearer {key}"), format!("BEARER  {key} ")] {
        assert_eq!(whoami(&[authorization(good)], "").await.status, StatusCode::OK);
    }
    for (headers, query, code) in [
        (vec![], format!("?access_token={key}"), "credential_required"),
        (vec![("cookie", format!("token={key}"))], String::new(), "credential_required"),
        (vec![("x-api-key", key.clone())], String::new(), "credential_required"),
        (vec![authorization(key.clone())], String::new(), "invalid_credential"),
        (vec![authorization(format!("Basic {key}"))], String::new(), "invalid_credential"),
        (vec![authorization(format!("Bearer {key}x"))], String::new(), "invalid_credential"),
        (
            vec![authorization(format!("Bearer {}", key.replace("bvt_sa_", "bvt_ad_")))],
            String::new(),
            "invalid_credential",
        ),
        (vec![authorization(format!("Bearer {key}")); 2], String::new(), "invalid_request"),
    ] {
        let answer = whoami(&headers, &query).await;
        assert_eq!(answer.code(), code, "{answer}");
        let challenge = answer.header("www-authenticate");
        match code {
            "credential_required" => assert_eq!(challenge, Some("Bearer")),
            "invalid_credential" => assert_eq!(challenge, Some("Bearer error=\"invalid_token\"")),
            _ => assert_eq!(challenge, None),
        }
        assert!(!answer.to_string().contains(&key[7..40]), "the answer repeats the credential: {answer}");
    }
}

#[tokio::test]
async fn threat_24_failed_attempts_of_an_address_are_limited_before_the_database_is_asked() {
    let limits = brevet::issuer::limits::LimitNumbers {
        failures: brevet::limit::rate::Rate::new(1, 3).unwrap(),
        ..Options::default().limits
    };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let team = app.team("team-1").await;
    let agent = app.agent(&team, "agent-1").await;
    let (key, id) = app.agent_key(&agent).await;
    assert_eq!(app.get("/v1/whoami", Some(&key)).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(app.get("/v1/whoami", Some("bvt_sa_short")).await.status, StatusCode::UNAUTHORIZED);
    }
    let limited = app.get("/v1/whoami", Some("bvt_sa_short")).await;
    assert_eq!((limited.status, limited.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    let seconds: u64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{limited}");
    // Credentials that were alive a moment ago are not held up by whoever else is behind their address; others are.
    assert_eq!(app.get("/v1/whoami", Some(&key)).await.status, StatusCode::OK);
    let (stranger, _) = app.agent_key(&agent).await;
    assert_eq!(app.get("/v1/whoami", Some(&stranger)).await.status, StatusCode::TOO_MANY_REQUESTS);
    // Dead ones are, and write no row then.
    app.store.revoke_service_account_key(&agent, id, &app.event()).await.unwrap();
    assert_eq!(app.get("/v1/whoami", Some(&key)).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(app.refusals(Action::Authenticate).await.is_empty());
}

#[tokio::test]
async fn threat_14_a_start_refuses_another_issuer_url_and_another_issuers_key() {
    let app = App::start().await;
    let host = Host { clock: app.clock.clone(), entropy: app.entropy.clone() };
    let other = IssuerUrl::parse("https://staging.example.com", Development::Off).unwrap();
    let refused = bootstrap::issuer(&app.store, &other, &host).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "the store belongs to issuer https://id.example.com/brevet, but the configured issuer URL is https://staging.example.com"
    );
    let kek = Kek::generate(app.entropy.as_ref()).unwrap();
    let foreign = IssuerId::new(uuid::Uuid::from_u128(9));
    let keys = crate::support::app::fixed_keys(foreign, &kek, app.clock.as_ref(), app.entropy.as_ref());
    let refused = bootstrap::refuse_foreign(&app.store, foreign, &keys).await;
    assert!(matches!(refused, Err(BootstrapError::ForeignKey(kid)) if kid == keys[0].kid));
}

#[tokio::test]
async fn certificates_and_max_age_are_published_as_a_start_asks_and_stay_where_it_asks_nothing() {
    let app = App::start().await;
    let host = Host { clock: app.clock.clone(), entropy: app.entropy.clone() };
    let restart = async |x5c, max_age| {
        let row = app.store.issuer().await.unwrap().unwrap();
        let asked = Publishing { x5c, max_age };
        let row = bootstrap::publishing(&app.store, row, asked, Development::Off, &host).await;
        app.issuer.round().await;
        let jwks = app.get(JWKS, None).await;
        let certificates: Vec<_> =
            jwks.json()["keys"].as_array().unwrap().iter().map(|key| key.get("x5c").is_some()).collect();
        (row.map(drop), certificates, jwks.header("cache-control").unwrap().to_owned())
    };
    for (x5c, max_age, certificates, cached) in [
        (None, None, false, 3600),
        (Some(true), None, true, 3600),
        (None, Some(600), true, 600),
        (None, None, true, 600),
        (Some(false), Some(3600), false, 3600),
    ] {
        let (row, found, header) = restart(x5c, max_age).await;
        assert!(row.is_ok(), "{row:?}");
        assert_eq!(
            (found, header),
            (vec![certificates; 2], format!("public, max-age={cached}")),
            "{x5c:?} {max_age:?}"
        );
    }
    // The waits of rotation were made for an hour.
    let (refused, _, header) = restart(Some(true), Some(86_400)).await;
    assert!(refused.unwrap_err().to_string().starts_with("publish_before_sign_seconds is 90000 and must be at least"));
    assert_eq!(header, "public, max-age=3600");
    let rows = app.rows(Action::AdminUpdate).await;
    let target = format!("issuer:{}", app.issuer.id());
    assert_eq!(rows.iter().filter(|row| row.target.as_ref() == Some(&target)).count(), 3, "one for each change");
}

#[tokio::test]
async fn a_first_start_makes_an_active_and_a_standby_key_once_and_a_wrong_kek_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let app = App::start().await;
    let host = Host { clock: app.clock.clone(), entropy: app.entropy.clone() };
    let store = Store::connect(&Target::Sqlite { path: dir.path().join("new.db") }).await.unwrap();
    store.migrate(app.clock.now()).await.unwrap();
    let url = IssuerUrl::parse("https://new.example.com", Development::Off).unwrap();
    let row = bootstrap::issuer(&store, &url, &host).await.unwrap();
    let kek = Kek::generate(app.entropy.as_ref()).unwrap();
    assert!(bootstrap::first_keys(&store, row.id, &kek, &host).await.unwrap());
    assert!(!bootstrap::first_keys(&store, row.id, &kek, &host).await.unwrap());
    let keys = store.signing_keys(row.id).await.unwrap();
    let words: Vec<_> =
        keys.iter().map(|key| (key.algorithm().as_str(), key.state(app.clock.now()).as_str())).collect();
    assert_eq!(words, [("RS256", "active"), ("RS256", "next")]);
    let published = Published::of(&url, &keys, brevet::crypto::jwk::X5c::On, 60, app.clock.now());
    let jwks: serde_json::Value = serde_json::from_slice(&published.jwks.body).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], json!(keys[0].kid.as_str()));
    assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key["x5c"].as_array().is_some_and(|c| c.len() == 1)));

    let other = Kek::generate(app.entropy.as_ref()).unwrap();
    let (sealed_by, given) = (kek.id().to_owned(), other.id().to_owned());
    let open = |kek| {
        brevet::issuer::keys::KeyRing::open(
            url.clone(),
            row.id,
            store.clone(),
            kek,
            app.clock.clone(),
            app.entropy.clone(),
        )
    };
    let refused = open(other).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        format!(
            "sealed with key-encryption key {sealed_by}, but the one given is {given}: give the one it was sealed with"
        )
    );
    assert!(open(kek).await.is_ok());
    assert!(bootstrap::administrator(&store, row.id, &host).await.unwrap().is_some());
    assert!(bootstrap::administrator(&store, row.id, &host).await.unwrap().is_none());
}
