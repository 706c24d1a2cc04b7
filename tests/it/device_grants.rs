//! The device grant over HTTP: a device asks, a person approves, the device polls (RFC 8628).

use brevet::domain::audit::{Action, Origin};
use brevet::domain::clock::Clock;
use brevet::domain::id::TeamUid;
use brevet::domain::session::SignedIn;
use brevet::issuer::limits::LimitNumbers;
use brevet::issuer::sign_in::{DeviceAsked, DeviceRefused};
use brevet::limit::rate::Rate;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, ISSUER, Options};

const BEGIN: &str = "/oauth2/device_authorization";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn origin() -> Origin {
    Origin { address: Some("198.51.100.7".parse().unwrap()), user_agent: Some("browser/1".to_owned()) }
}

async fn begin(app: &App, more: &[(&str, &str)]) -> Value {
    let answer = app.form(BEGIN, &[&[("client_id", "brevet-cli")], more].concat()).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, Some("no-store")), "{answer}");
    answer.json()
}

async fn asked(app: &App, begun: &Value) -> DeviceAsked {
    app.issuer.device_asked(begun["user_code"].as_str().unwrap(), &origin()).await.unwrap()
}

async fn poll(app: &App, begun: &Value) -> Answer {
    let code = begun["device_code"].as_str().unwrap();
    app.form("/oauth2/token", &[("grant_type", GRANT), ("client_id", "brevet-cli"), ("device_code", code)]).await
}

async fn error(app: &App, begun: &Value) -> String {
    let answer = poll(app, begun).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer}");
    answer.json()["error"].as_str().unwrap().to_owned()
}

/// A person of `team-1` who has signed in with a code.
async fn person(app: &App) -> SignedIn {
    let team = TeamUid::parse("team-1").unwrap();
    if app.store.team(&team).await.unwrap().is_none() {
        app.team("team-1").await;
    }
    let user = app.person("person-1", &[&team]).await;
    let code = app.code(&user).await;
    app.issuer.sign_in_with_code(&brevet::domain::secret::Secret::new(code), None, &origin()).await.unwrap()
}

#[tokio::test]
async fn a_device_is_let_in_by_a_person_and_mints_like_them() {
    let app = App::start().await;
    let signed_in = person(&app).await;
    let begun = begin(&app, &[("device_name", "build host"), ("team", "team-1")]).await;
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(600), &json!(5)));
    assert_eq!(begun["verification_uri"], json!(format!("{ISSUER}/device")));
    let user_code = begun["user_code"].as_str().unwrap();
    assert_eq!(begun["verification_uri_complete"], json!(format!("{ISSUER}/device?user_code={user_code}")));
    assert_eq!(begun["device_code"].as_str().unwrap().len(), 43);
    assert_eq!(error(&app, &begun).await, "authorization_pending");

    // As a person types it.
    let typed = user_code.to_lowercase().replace('-', " ");
    let shown = app.issuer.device_asked(&typed, &origin()).await.unwrap();
    assert_eq!(shown.device.as_deref(), Some("build host"));
    assert_eq!(shown.from.address, Some(crate::support::app::ADDRESS.parse().unwrap()), "the address that asked");
    assert_eq!(shown.team_name, None, "whoever asks for a team learns nothing of it");
    let known = app.issuer.device_for(shown.id, &signed_in.user).await.unwrap();
    assert_eq!(known.team_name.as_deref(), Some("Team team-1"));
    app.issuer.approve_device(shown.id, &signed_in, None, &origin()).await.unwrap();
    assert!(matches!(app.issuer.device_by_id(shown.id).await, Err(DeviceRefused::Unknown)), "it waits no more");

    app.clock.advance(Duration::seconds(5));
    let answer = poll(&app, &begun).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, Some("no-store")), "{answer}");
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(tokens["user_uid"], "person-1");
    assert!(tokens["refresh_token"].as_str().unwrap().starts_with("bvt_rt_"));
    let access = tokens["access_token"].as_str().unwrap();
    let minted = app.mint(access, &json!({})).await.json();
    assert_eq!(minted["subject"], "scoped_principal:team-1/user:person-1");
    let listed = app.get("/v1/sessions", Some(access)).await.json();
    assert_eq!(listed["items"][0]["device"], "build host");
    assert_eq!(listed["items"][0]["origin"], "enrolment_code");
    assert_eq!(error(&app, &begun).await, "invalid_grant", "once");

    let rows = app.rows(Action::DeviceApprove).await;
    assert_eq!(rows[0].origin, origin(), "approved from the browser's address");
    assert_eq!(rows[0].target, Some(format!("device:{}", shown.id)));
    let opened = app.rows(Action::SessionOpen).await;
    assert_eq!(opened[0].target.as_deref(), Some(&*format!("session:{}", tokens["session_id"].as_str().unwrap())));
}

#[tokio::test]
async fn a_device_is_told_to_wait_longer_denied_or_too_late() {
    let app = App::start().await;
    let begun = begin(&app, &[]).await;
    assert_eq!(error(&app, &begun).await, "authorization_pending");
    app.clock.advance(Duration::seconds(2));
    assert_eq!(error(&app, &begun).await, "slow_down");
    app.clock.advance(Duration::seconds(5));
    assert_eq!(error(&app, &begun).await, "slow_down", "it is 10 s now");
    app.clock.advance(Duration::seconds(15));
    assert_eq!(error(&app, &begun).await, "authorization_pending", "15 s");
    let id = asked(&app, &begun).await.id;
    app.issuer.deny_device(id, None, None, &origin()).await.unwrap();
    assert_eq!(error(&app, &begun).await, "access_denied");
    let signed_in = person(&app).await;
    let again = app.issuer.approve_device(id, &signed_in, None, &origin()).await;
    assert!(matches!(again, Err(DeviceRefused::Undecidable(_))), "{again:?}");

    let late = begin(&app, &[]).await;
    let id = asked(&app, &late).await.id;
    app.clock.advance(Duration::minutes(10));
    let approved = app.issuer.approve_device(id, &signed_in, None, &origin()).await;
    assert!(matches!(approved, Err(DeviceRefused::Undecidable(_))), "{approved:?}");
    assert_eq!(error(&app, &late).await, "expired_token");
    assert_eq!(app.rows(Action::DeviceDeny).await.len(), 1);
}

#[tokio::test]
async fn a_person_who_was_switched_off_lets_no_device_in() {
    let app = App::start().await;
    let signed_in = person(&app).await;
    let begun = begin(&app, &[]).await;
    app.issuer.approve_device(asked(&app, &begun).await.id, &signed_in, None, &origin()).await.unwrap();
    let off = brevet::store::UserChange { disabled_at: Some(Some(app.clock.now())), ..Default::default() };
    app.store.update_user(&signed_in.user, None, &off, &app.event()).await.unwrap();
    assert_eq!(error(&app, &begun).await, "access_denied");
    app.issuer.audit().drain().await;
    assert_eq!(app.refusals(Action::SessionOpen).await, ["user_not_alive"]);
    assert_eq!(app.rows(Action::SessionOpen).await.len(), 1, "none was opened");
}

#[tokio::test]
async fn requests_that_break_a_rule_get_an_exact_answer() {
    let app = App::start().await;
    let long = "x".repeat(201);
    for (path, parameters, status, code) in [
        (BEGIN, vec![], 400, "invalid_request"),
        (BEGIN, vec![("client_id", "other")], 401, "invalid_client"),
        (BEGIN, vec![("client_id", "brevet-cli"), ("client_secret", "x")], 401, "invalid_client"),
        (BEGIN, vec![("client_id", "brevet-cli"), ("scope", "openid")], 400, "invalid_scope"),
        (BEGIN, vec![("client_id", "brevet-cli"), ("device_name", &long)], 400, "invalid_request"),
        (BEGIN, vec![("client_id", "brevet-cli"), ("device_name", "a\u{1b}[2J")], 400, "invalid_request"),
        (BEGIN, vec![("client_id", "brevet-cli"), ("team", "a/b")], 400, "invalid_request"),
        ("/oauth2/token", vec![("grant_type", GRANT)], 400, "invalid_request"),
        ("/oauth2/token", vec![("grant_type", GRANT), ("client_id", "brevet-cli")], 400, "invalid_request"),
        ("/oauth2/token", vec![("grant_type", GRANT), ("client_id", "x"), ("device_code", "x")], 401, "invalid_client"),
        (
            "/oauth2/token",
            vec![("grant_type", GRANT), ("client_id", "brevet-cli"), ("device_code", "x")],
            400,
            "invalid_grant",
        ),
    ] {
        let answer = app.form(path, &parameters).await;
        assert_eq!((answer.status.as_u16(), answer.json()["error"].as_str()), (status, Some(code)), "{parameters:?}");
    }
    for wrong in ["", "BCDF", "ABCD-EFGH"] {
        assert!(matches!(app.issuer.device_asked(wrong, &origin()).await, Err(DeviceRefused::Form(_))), "{wrong}");
    }
}

/// 20^8 codes are no secret from whoever may try them as fast as a machine can.
#[tokio::test]
async fn user_codes_are_tried_a_few_times_a_minute_from_one_address_and_in_all() {
    // So few come back in a minute that none does while the test runs.
    let (failures, user_codes) = (Rate::new(1, 30).unwrap(), Rate::new(1, 600).unwrap());
    let limits = LimitNumbers { failures, user_codes, ..LimitNumbers::for_cores(2).unwrap() };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let begun = begin(&app, &[]).await;
    let at = |last: u8| Origin { address: Some([203, 0, 113, last].into()), user_agent: None };
    let guess = async |from: Origin| app.issuer.device_asked("BCDF-GHJK", &from).await;
    for _ in 0..30 {
        assert!(matches!(guess(at(1)).await, Err(DeviceRefused::Unknown)));
    }
    assert!(matches!(guess(at(1)).await, Err(DeviceRefused::Limited(_))), "one address");
    let code = begun["user_code"].as_str().unwrap();
    let right = app.issuer.device_asked(code, &at(1)).await;
    assert!(matches!(right, Err(DeviceRefused::Limited(_))), "the right one is not looked up either");
    assert!(app.issuer.device_asked(code, &at(2)).await.is_ok(), "others are not held up by it");
    // Many addresses: the whole installation's share. One that nobody has tried from may share the rate of another by
    // chance; where three in a row are refused at once, it is that share.
    let (mut tried, mut refused) = (0, 0);
    for last in 3..=u8::MAX {
        let mut within = 0;
        while within < 30 {
            match guess(at(last)).await {
                Err(DeviceRefused::Unknown) => within += 1,
                Err(DeviceRefused::Limited(_)) => break,
                other => panic!("after {tried} and {within}: {other:?}"),
            }
        }
        tried += within;
        refused = if within == 0 { refused + 1 } else { 0 };
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "after {tried}");
    assert!((500..=600).contains(&tried), "{tried}");
    app.issuer.audit().drain().await;
    let counted: u32 = app.rows(Action::SignIn).await.iter().map(|row| row.count).sum();
    assert!(counted > 500, "every refusal is counted: {counted}");
}

#[tokio::test]
async fn threat_41_devices_that_ask_are_so_many_from_one_address() {
    let limits = LimitNumbers { failures: Rate::new(1, 5).unwrap(), ..LimitNumbers::for_cores(2).unwrap() };
    let app = App::with(Options { limits, ..Options::default() }).await;
    for _ in 0..5 {
        begin(&app, &[]).await;
    }
    let answer = app.form(BEGIN, &[("client_id", "brevet-cli")]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
    assert_eq!(
        (answer.json()["error"].as_str(), answer.header("retry-after").is_some()),
        (Some("temporarily_unavailable"), true)
    );
    app.issuer.audit().drain().await;
    assert_eq!(app.refusals(Action::SessionOpen).await, ["rate_limited"], "those that ask are no rows of their own");
    assert_eq!(app.rows(Action::SessionOpen).await.len(), 1);
}

/// The table holds nothing from which a code could be computed without the installation's key.
#[tokio::test]
async fn threat_31_codes_are_kept_as_what_cannot_be_turned_back() {
    let app = App::start().await;
    let begun = begin(&app, &[]).await;
    let file = std::fs::read(app.dir.path().join("brevet.db")).unwrap();
    let wal = std::fs::read(app.dir.path().join("brevet.db-wal")).unwrap_or_default();
    for secret in ["device_code", "user_code"] {
        let text = begun[secret].as_str().unwrap();
        for form in [text.to_owned(), text.replace('-', "")] {
            let found = [&file, &wal].iter().any(|bytes| bytes.windows(form.len()).any(|at| at == form.as_bytes()));
            assert!(!found, "{secret} is in the database");
        }
    }
    let rows = app.rows(Action::Bootstrap).await;
    assert_eq!(rows.len(), 1, "the key was made, once");
    assert_eq!(rows[0].target.as_deref(), Some("installation_key:user_codes"));
    begin(&app, &[]).await;
    assert_eq!(app.rows(Action::Bootstrap).await.len(), 1);
}

#[tokio::test]
async fn threat_41_a_device_that_does_not_slow_down_is_stopped_at_the_door() {
    let failures = Rate::new(1, 3).unwrap();
    let limits = LimitNumbers { failures, ..Options::default().limits };
    let app = App::with(Options { limits, ..Options::default() }).await;
    let begun = begin(&app, &[]).await;
    assert_eq!(error(&app, &begun).await, "authorization_pending");
    for _ in 0..3 {
        assert_eq!(error(&app, &begun).await, "slow_down");
    }
    for _ in 0..2 {
        let stopped = poll(&app, &begun).await;
        assert_eq!(stopped.status, StatusCode::TOO_MANY_REQUESTS, "{stopped}");
        assert!(stopped.header("retry-after").is_some(), "{stopped}");
    }
    app.issuer.audit().drain().await;
    assert_eq!(app.refusals(Action::SessionOpen).await, ["rate_limited"]);
}
