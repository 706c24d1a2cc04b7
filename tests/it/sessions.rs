//! Sessions: opened with a code, once; listed and ended by their owner alone.

use std::sync::Arc;

use axum::body::Body;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::store::UserChange;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, request};
use crate::support::entropy::SeededEntropy;

async fn open(app: &App, body: &Value) -> Answer {
    app.post("/v1/sessions", None, body).await
}

async fn end(app: &App, bearer: &str, session: &str) -> Answer {
    app.send(request(Method::DELETE, &format!("/v1/sessions/{session}"), Some(bearer), Body::empty())).await
}

#[tokio::test]
async fn a_code_opens_one_session_whose_access_token_lasts_a_quarter_hour() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let person = app.person("person-1", &[&team]).await;
    let code = app.code(&person).await;
    let opened = open(&app, &json!({ "code": code, "device": "laptop" })).await;
    insta::assert_snapshot!("opened", opened.to_string());
    let bearer = opened.json()["access_token"].as_str().unwrap().to_owned();
    insta::assert_snapshot!("whoami_person", app.get("/v1/whoami", Some(&bearer)).await.to_string());
    insta::assert_snapshot!("listed", app.get("/v1/sessions", Some(&bearer)).await.to_string());
    let again = open(&app, &json!({ "code": code })).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::FORBIDDEN, "enrolment_code_refused"));
    let rows = app.rows(Action::SessionOpen).await;
    assert_eq!(
        rows.iter().map(|row| row.principal.as_ref().unwrap().to_string()).collect::<Vec<_>>(),
        ["user:person-1"]
    );
    app.clock.advance(Duration::minutes(15) - Duration::seconds(1));
    assert_eq!(app.get("/v1/whoami", Some(&bearer)).await.status, StatusCode::OK);
    app.clock.advance(Duration::seconds(1));
    assert_eq!(app.get("/v1/whoami", Some(&bearer)).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_redeem_one_code_exactly_one_wins() {
    let app = Arc::new(App::start().await);
    let code = app.code(&app.person("person-1", &[]).await).await;
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let (app, code) = (app.clone(), code.clone());
            tokio::spawn(async move { open(&app, &json!({ "code": code })).await.status })
        })
        .collect();
    let mut won = 0;
    for one in tries {
        won += usize::from(one.await.unwrap() == StatusCode::CREATED);
    }
    assert_eq!((won, app.rows(Action::SessionOpen).await.len()), (1, 1));
}

#[tokio::test]
async fn codes_that_open_nothing_all_look_alike_and_the_count_says_why() {
    let app = App::start().await;
    let person = app.person("person-1", &[]).await;
    let (used, late) = (app.code(&person).await, app.code(&person).await);
    assert_eq!(open(&app, &json!({ "code": used })).await.status, StatusCode::CREATED);
    let unknown = OpaqueCredential::generate(CredentialKind::Enrolment, &SeededEntropy::new(9));
    let unknown = unknown.secret().expose().to_owned();
    app.clock.advance(Duration::minutes(10));
    let fresh = app.code(&person).await;
    let change = UserChange { disabled_at: Some(Some(app.clock.now())), ..UserChange::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();
    for code in [&used, &late, &unknown, &fresh] {
        let answer = open(&app, &json!({ "code": code })).await;
        assert_eq!(
            (answer.status, answer.json()["detail"].as_str().unwrap()),
            (StatusCode::FORBIDDEN, "code is not known, expired, or was used before: ask for a new one")
        );
    }
    app.issuer.audit().drain().await;
    let mut reasons = app.refusals(Action::SessionOpen).await;
    reasons.sort();
    assert_eq!(reasons, ["enrolment_code_expired", "enrolment_code_unknown", "enrolment_code_used", "user_not_alive"]);
}

#[tokio::test]
async fn clumsy_and_hostile_requests_get_an_exact_answer_and_the_code_stays_good() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let code = app.code(&app.person("person-1", &[]).await).await;
    let long = "x".repeat(201);
    for (body, detail) in [
        (json!({}), "code is required"),
        (json!({ "code": null }), "code must be a string"),
        (json!({ "code": "" }), "code is not a Brevet credential (those begin with bvt_)"),
        (json!({ "code": "123-456" }), "code is not a Brevet credential (those begin with bvt_)"),
        (json!({ "code": code[..50] }), "code is cut short or mistyped (its checksum does not fit)"),
        (json!({ "code": format!(" {code}") }), "code is not a Brevet credential (those begin with bvt_)"),
        (json!({ "code": key }), "code must be an enrolment code (bvt_en_…)"),
        (
            json!({ "code": code, "device": long }),
            "device must have at most 200 characters, none of them a control character",
        ),
        (
            json!({ "code": code, "device": "a\u{1b}[2J" }),
            "device must have at most 200 characters, none of them a control character",
        ),
        (json!({ "code": code, "user": "person-2" }), "user is not a member of this request"),
    ] {
        let answer = open(&app, &body).await;
        assert_eq!(
            (answer.status, answer.json()["detail"].as_str().unwrap()),
            (StatusCode::BAD_REQUEST, detail),
            "{body}"
        );
    }
    assert_eq!(open(&app, &json!({ "code": code })).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn threat_20_a_session_is_ended_by_its_owner_alone_and_mints_nothing_from_then_on() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (one, other) = (app.person("person-1", &[&team]).await, app.person("person-2", &[&team]).await);
    let (mine, second, theirs) = (app.sign_in(&one).await, app.sign_in(&one).await, app.sign_in(&other).await);
    let sessions = app.get("/v1/sessions", Some(&mine)).await.json();
    let of = |current: bool| {
        let items = sessions["items"].as_array().unwrap();
        let entry = items.iter().find(|entry| entry["current"] == json!(current)).unwrap();
        entry["session_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(app.mint(&second, &json!({})).await.status, StatusCode::OK);
    for session in [of(false).as_str(), "nothing", "019b7ca9-8c88-7b4a-b9a5-17cec22a630b", "%ff", "%2e%2e"] {
        let answer = end(&app, &theirs, session).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{session}: {answer}");
    }
    assert_eq!(end(&app, &mine, &of(false)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.mint(&second, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(end(&app, &mine, &of(false)).await.code(), "session_not_found");
    assert_eq!(app.mint(&mine, &json!({})).await.status, StatusCode::OK);
    assert_eq!(end(&app, &mine, &of(true)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.get("/v1/whoami", Some(&mine)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/v1/whoami", Some(&theirs)).await.status, StatusCode::OK);
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    assert_eq!(app.get("/v1/sessions", Some(&key)).await.code(), "not_permitted");
}

#[tokio::test]
async fn whoami_tells_every_kind_of_caller_what_it_may_mint() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, _) = app.worker("https://worker.example.com", &[&team]).await;
    let administrator = app.administrator().await;
    for (name, bearer) in [("whoami_agent", &key), ("whoami_worker", &worker), ("whoami_administrator", &administrator)]
    {
        insta::assert_snapshot!(name, app.get("/v1/whoami", Some(bearer)).await.to_string());
    }
}
