//! A canary of each kind of secret through every way in, right and wrong: found in no log, no answer but the one that
//! shows it, no audit row.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::secret::Secret;
use brevet::http::layer::{self, Naming};
use brevet::store::{EventFilter, Page};
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::support::app::{App, request, send};
use crate::support::logs::Logs;

const WORKER: &str = "https://worker.example.com";

/// Every way to hand the issuer a text, as a credential and as something else. Labels are not among them: they are
/// shown to whoever opened the run.
fn presented(canary: &str) -> Vec<Request<Body>> {
    let mut requests = Vec::new();
    let routes = [
        (Method::POST, "/v1/identity-tokens"),
        (Method::POST, "/v1/runs"),
        (Method::GET, "/v1/runs"),
        (Method::GET, "/v1/runs/0123456789abcdefABCD"),
        (Method::DELETE, "/v1/runs/0123456789abcdefABCD"),
        (Method::GET, "/v1/whoami"),
        (Method::GET, "/v1/sessions"),
        (Method::POST, "/v1/worker/exchange"),
        (Method::POST, "/v1/worker/liveness"),
    ];
    for (method, path) in routes {
        requests.push(request(method.clone(), path, Some(canary), Body::from("{}")));
        // Cut, lengthened, and with what does not belong behind it.
        for text in [&canary[..canary.len() - 1], &format!("{canary}x"), &format!("{canary} {canary}")] {
            requests.push(request(method.clone(), path, Some(text), Body::from("{}")));
        }
        requests.push(request(method, &format!("{path}?token={canary}&after={canary}"), None, Body::from("{}")));
    }
    for body in [
        json!({"audience": canary}),
        json!({"role_arn": canary}),
        json!({"on_behalf_of": canary}),
        json!({"team_uid": canary}),
        json!({"code": canary}),
        json!({"token": canary}),
        json!({"tokens": [canary]}),
        json!({(canary): 1}),
    ] {
        for path in ["/v1/identity-tokens", "/v1/runs", "/v1/sessions", "/v1/worker/exchange", "/v1/worker/liveness"] {
            requests.push(request(Method::POST, path, None, Body::from(body.to_string())));
            requests.push(request(Method::POST, path, Some(canary), Body::from(body.to_string())));
        }
    }
    requests
}

#[tokio::test]
async fn threat_31_a_canary_of_each_kind_is_in_no_log_answer_or_row() {
    let logs = Logs::capture();
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let person = app.person("person-1", &[&team]).await;
    let session = app.sign_in(&person).await;
    let code = app.code(&person).await;
    let (worker, _) = app.worker(WORKER, &[&team]).await;
    let (platform, _) = app.platform(&[&team]).await;
    let (run, _) = app.run(&key, &json!({"audiences": [WORKER]})).await;
    let (ended, ended_id) = app.run(&key, &json!({})).await;
    app.end_run(&key, &ended_id).await;
    let administrator = app.administrator().await;
    let token = app.token(&key, WORKER).await;
    let unknown = CredentialKind::ALL
        .map(|kind| OpaqueCredential::generate(kind, app.entropy.as_ref()).secret().expose().to_owned());
    let known = [key, session, code, worker.clone(), platform, run.clone(), ended, administrator, token];
    let canaries: Vec<_> = known.into_iter().chain(unknown).collect();

    let mut answers = String::new();
    for canary in &canaries {
        for sent in presented(canary) {
            let answer = app.send(sent).await;
            // Only a token or a bearer that is made here is shown, and it is another one.
            answers.push_str(&answer.to_string());
        }
        for shown in [json!({"token": canary}), json!({"tokens": [canary]})] {
            let path = if shown.get("token").is_some() { "/v1/worker/exchange" } else { "/v1/worker/liveness" };
            answers.push_str(&app.post(path, Some(&worker), &shown).await.to_string());
        }
        // What a panic says is nobody's to read.
        let secret = Secret::new(canary.clone());
        let said = format!("{secret:?} {}", secret.expose());
        let handler = move || async move {
            if std::hint::black_box(true) {
                std::panic::resume_unwind(Box::new(said));
            }
        };
        let naming = Naming { clock: app.clock.clone(), entropy: app.entropy.clone() };
        let router = layer::wrap(Router::new().route("/", get(handler)), naming);
        let answer = send(&router, Request::get("/").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        answers.push_str(&answer.to_string());
        write!(answers, "{secret:?} {:?}", OpaqueCredential::parse(canary)).unwrap();
    }
    app.issuer.audit().drain().await;
    let mut rows = String::new();
    let mut page = Page::default();
    loop {
        let found = app.store.events(&EventFilter::default(), &page).await.unwrap();
        write!(rows, "{:?}", found.items).unwrap();
        page.after = found.next;
        if page.after.is_none() {
            break;
        }
    }
    let logged = logs.text();
    assert!(logged.len() > 1000 && rows.len() > 1000 && answers.len() > 1000);
    for canary in &canaries {
        // The random part alone, too: a prefix may be named, what is behind it may not.
        let core = &canary[8..canary.len() - 6];
        for (place, text) in [("log", &logged), ("answers", &answers), ("rows", &rows)] {
            assert!(!text.contains(core), "{}… is in the {place}", &canary[..8]);
        }
    }
}
