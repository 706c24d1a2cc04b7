//! The authorization matrix: every operation of the OpenAPI document, every kind of caller, the exact status.
//!
//! Requests name things that are not there and carry no body, so nobody changes anything: a caller that may is
//! told so by a 404 or 415 instead of a 401 or 403, which also shows that who calls is asked before anything else.

use std::collections::BTreeMap;

use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::openapi::operations;
use crate::support::entropy::SeededEntropy;
use crate::support::house::{House, Listener, request};

/// Who may do an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Everyone, with or without any credential.
    Anyone,
    /// Every live credential.
    Known,
    /// Persons and service accounts, their runs, and platforms in their names.
    Principal,
    /// The same but for runs.
    RunOpener,
    /// The same, and administrators.
    RunKeeper,
    /// Persons.
    Person,
    /// Workers.
    Worker,
    /// Administrators.
    Operator,
}

use May::{Anyone, Known, Operator, Person, Principal, RunKeeper, RunOpener, Worker};

/// One row for each operation: who may, and what this request then gets.
const MATRIX: &[(&str, &str, May, u16)] = &[
    ("GET", "/.well-known/openid-configuration", Anyone, 200),
    ("GET", "/.well-known/jwks.json", Anyone, 200),
    ("GET", "/t/{team}/.well-known/openid-configuration", Anyone, 404),
    ("GET", "/t/{team}/.well-known/jwks.json", Anyone, 404),
    ("GET", "/.well-known/oauth-authorization-server", Anyone, 200),
    ("GET", "/openapi.json", Anyone, 200),
    // Who calls stands in the form, and a request without one is refused before that is asked.
    ("POST", "/oauth2/token", Anyone, 400),
    ("POST", "/oauth2/revoke", Anyone, 400),
    ("POST", "/v1/identity-tokens", Principal, 415),
    ("GET", "/v1/whoami", Known, 200),
    ("POST", "/v1/sessions", Anyone, 415),
    ("GET", "/v1/sessions", Person, 200),
    ("DELETE", "/v1/sessions/{session_id}", Person, 404),
    ("POST", "/v1/runs", RunOpener, 415),
    ("GET", "/v1/runs", RunKeeper, 200),
    ("GET", "/v1/runs/{run_id}", RunKeeper, 404),
    ("DELETE", "/v1/runs/{run_id}", RunKeeper, 404),
    ("POST", "/v1/worker/exchange", Worker, 415),
    ("POST", "/v1/worker/liveness", Worker, 415),
    ("GET", "/v1/administrators", Operator, 200),
    ("POST", "/v1/administrators", Operator, 415),
    ("GET", "/v1/administrators/{id}", Operator, 404),
    ("DELETE", "/v1/administrators/{id}", Operator, 404),
    ("GET", "/v1/teams", Operator, 200),
    ("POST", "/v1/teams", Operator, 415),
    ("GET", "/v1/teams/{team}", Operator, 404),
    ("PATCH", "/v1/teams/{team}", Operator, 415),
    ("DELETE", "/v1/teams/{team}", Operator, 404),
    ("GET", "/v1/teams/{team}/audiences", Operator, 404),
    ("PUT", "/v1/teams/{team}/audiences", Operator, 415),
    ("GET", "/v1/teams/{team}/roles", Operator, 404),
    ("PUT", "/v1/teams/{team}/roles", Operator, 415),
    ("GET", "/v1/teams/{team}/policy", Operator, 404),
    ("PATCH", "/v1/teams/{team}/policy", Operator, 415),
    ("GET", "/v1/teams/{team}/issuer", Operator, 404),
    ("PUT", "/v1/teams/{team}/issuer", Operator, 404),
    ("DELETE", "/v1/teams/{team}/issuer", Operator, 404),
    ("GET", "/v1/teams/{team}/provider-settings", Operator, 404),
    ("PATCH", "/v1/teams/{team}/provider-settings", Operator, 415),
    ("GET", "/v1/teams/{team}/members", Operator, 404),
    ("PUT", "/v1/teams/{team}/members/{user}", Operator, 404),
    ("DELETE", "/v1/teams/{team}/members/{user}", Operator, 404),
    ("GET", "/v1/teams/{team}/service-accounts", Operator, 404),
    ("POST", "/v1/teams/{team}/service-accounts", Operator, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}", Operator, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}", Operator, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}", Operator, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/keys", Operator, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/keys", Operator, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}", Operator, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}/rotate", Operator, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/public-keys", Operator, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/public-keys", Operator, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/public-keys/{id}", Operator, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/trust-rules", Operator, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/trust-rules", Operator, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Operator, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Operator, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Operator, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/provider-settings", Operator, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/provider-settings", Operator, 415),
    ("GET", "/v1/effective-settings", Operator, 400),
    ("GET", "/v1/users", Operator, 200),
    ("POST", "/v1/users", Operator, 415),
    ("GET", "/v1/users/{user}", Operator, 404),
    ("PATCH", "/v1/users/{user}", Operator, 415),
    ("DELETE", "/v1/users/{user}", Operator, 404),
    ("POST", "/v1/enrolment-codes", Operator, 415),
    ("GET", "/v1/worker-keys", Operator, 200),
    ("POST", "/v1/worker-keys", Operator, 415),
    ("GET", "/v1/worker-keys/{id}", Operator, 404),
    ("PATCH", "/v1/worker-keys/{id}", Operator, 415),
    ("DELETE", "/v1/worker-keys/{id}", Operator, 404),
    ("GET", "/v1/platform-keys", Operator, 200),
    ("POST", "/v1/platform-keys", Operator, 415),
    ("GET", "/v1/platform-keys/{id}", Operator, 404),
    ("PATCH", "/v1/platform-keys/{id}", Operator, 415),
    ("DELETE", "/v1/platform-keys/{id}", Operator, 404),
    ("GET", "/v1/signing-keys", Operator, 200),
    ("GET", "/v1/signing-keys/plan", Operator, 200),
    ("GET", "/v1/signing-keys/schedule", Operator, 200),
    ("PATCH", "/v1/signing-keys/schedule", Operator, 415),
    ("GET", "/v1/signing-keys/documents", Operator, 200),
    ("POST", "/v1/signing-keys/prepare", Operator, 415),
    ("POST", "/v1/signing-keys/rotate", Operator, 415),
    ("POST", "/v1/signing-keys/{kid}/distrust", Operator, 415),
    ("POST", "/v1/signing-keys/replace-all", Operator, 415),
    ("GET", "/v1/audit", Operator, 200),
];

/// What a caller presents, and what it is.
struct CallerKind {
    name: &'static str,
    /// Headers of the request.
    headers: Vec<(&'static str, String)>,
    /// What is appended to the path.
    query: String,
    /// Which operations are open to it; of the others it gets `refused`.
    may: &'static [May],
    refused: u16,
}

fn bearer(name: &'static str, credential: &str, may: &'static [May], refused: u16) -> CallerKind {
    CallerKind {
        name,
        headers: vec![("authorization", format!("Bearer {credential}"))],
        query: String::new(),
        may,
        refused,
    }
}

/// A house with one caller of every kind.
async fn callers() -> (House, Vec<CallerKind>) {
    let house = House::new().await;
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let keys = |account: &str| format!("/v1/teams/acme/service-accounts/{account}/keys");
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    house.must("PUT", "/v1/teams/acme/members/ada", None).await;
    for account in ["robot", "asleep"] {
        let body = json!({"uid": account, "name": account});
        house.must("POST", "/v1/teams/acme/service-accounts", Some(body)).await;
    }
    let agent = text(&house.must("POST", &keys("robot"), Some(json!({}))).await, "key");
    let short = text(&house.must("POST", &keys("robot"), Some(json!({"expires_in_seconds": 60}))).await, "key");
    let asleep = text(&house.must("POST", &keys("asleep"), Some(json!({}))).await, "key");
    let asleep_path = "/v1/teams/acme/service-accounts/asleep";
    house.must("PATCH", asleep_path, Some(json!({"disabled": true}))).await;
    let revoked = house.must("POST", &keys("robot"), Some(json!({}))).await;
    house.must("DELETE", &format!("{}/{}", keys("robot"), text(&revoked, "id")), None).await;
    let worker = json!({"name": "w", "audience": "https://worker.example.com", "teams": ["acme"]});
    let worker = text(&house.must("POST", "/v1/worker-keys", Some(worker)).await, "key");
    let platform = json!({"name": "p", "teams": ["acme"], "rights": ["open_runs", "mint_for_service_accounts"]});
    let platform = text(&house.must("POST", "/v1/platform-keys", Some(platform)).await, "key");
    let open = |key: &str| request(key, "POST", "/v1/runs", Some(json!({})), &[]);
    let run = text(&house.send(Listener::Public, open(&agent)).await.json(), "bearer");
    let ended = house.send(Listener::Public, open(&agent)).await.json();
    let path = format!("/v1/runs/{}", text(&ended, "id"));
    house.send(Listener::Public, request(&agent, "DELETE", &path, None, &[])).await;
    let ended_run = text(&ended, "bearer");
    let code = |code: &Value| text(code, "code");
    let first = code(&house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await);
    let second = code(&house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await);
    let session = request("", "POST", "/v1/sessions", Some(json!({"code": first})), &[]);
    let person = text(&house.send(Listener::Public, session).await.json(), "access_token");
    let audience = json!({"audience": "https://worker.example.com"});
    let token = text(&house.mint(&agent, audience).await.json(), "token");
    // The first start's administrator ends as the second one is made.
    let administrator = text(&house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await, "key");
    house.clock.advance(Duration::seconds(61));

    let unknown = OpaqueCredential::generate(CredentialKind::Administrator, &SeededEntropy::new(99));
    let unknown = unknown.secret().expose().to_owned();
    let mistyped = administrator.replacen("bvt_ad_", "bvt_sa_", 1);
    let header = |name: &'static str, header: &'static str, value: String| CallerKind {
        name,
        headers: vec![(header, value)],
        query: String::new(),
        may: &[Anyone],
        refused: 401,
    };
    let callers = vec![
        CallerKind { name: "anonymous", headers: vec![], query: String::new(), may: &[Anyone], refused: 401 },
        bearer("administrator", &administrator, &[Anyone, Known, Operator, RunKeeper], 403),
        bearer("person", &person, &[Anyone, Known, Principal, Person, RunOpener, RunKeeper], 403),
        bearer("service account", &agent, &[Anyone, Known, Principal, RunOpener, RunKeeper], 403),
        bearer("platform", &platform, &[Anyone, Known, Principal, RunOpener, RunKeeper], 403),
        bearer("run", &run, &[Anyone, Known, Principal], 403),
        bearer("ended run", &ended_run, &[Anyone], 401),
        bearer("worker", &worker, &[Anyone, Known, Worker], 403),
        bearer("disabled service account", &asleep, &[Anyone], 403),
        bearer("expired key", &short, &[Anyone], 401),
        bearer("revoked key", &text(&revoked, "key"), &[Anyone], 401),
        bearer("removed administrator", &house.first.clone(), &[Anyone], 401),
        bearer("unknown key", &unknown, &[Anyone], 401),
        bearer("key under another prefix", &mistyped, &[Anyone], 401),
        bearer("cut key", &administrator[..30], &[Anyone], 401),
        bearer("enrolment code", &second, &[Anyone], 401),
        bearer("identity token", &token, &[Anyone], 401),
        bearer("nonsense", "x", &[Anyone], 401),
        bearer("nothing behind the scheme", "", &[Anyone], 401),
        header("key as Basic", "authorization", format!("Basic {administrator}")),
        header("key without a scheme", "authorization", administrator.clone()),
        header("key in a cookie", "cookie", format!("session={administrator}; bearer={administrator}")),
        header("key as x-api-key", "x-api-key", administrator.clone()),
        header("key as proxy-authorization", "proxy-authorization", format!("Bearer {administrator}")),
        CallerKind {
            name: "key in the query",
            headers: vec![],
            query: format!("?access_token={administrator}"),
            may: &[Anyone],
            refused: 401,
        },
    ];
    (house, callers)
}

/// A path of the document with names of things that are not there.
fn concrete(path: &str) -> String {
    let path = path.replace("{team}", "nobody").replace("{user}", "nobody").replace("{uid}", "nobody");
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    path.replace("{id}", id).replace("{session_id}", id).replace("{run_id}", "0123456789abcdefABCD")
}

fn listener(path: &str) -> Listener {
    let public = [
        "/.well-known/",
        "/t/",
        "/oauth2/",
        "/v1/identity-tokens",
        "/v1/whoami",
        "/v1/sessions",
        "/v1/runs",
        "/v1/worker/",
    ];
    if public.iter().any(|start| path.starts_with(start)) { Listener::Public } else { Listener::Admin }
}

#[tokio::test]
async fn threat_21_every_operation_answers_every_kind_of_caller_as_the_matrix_says() {
    let rows: BTreeMap<_, _> =
        MATRIX.iter().map(|(method, path, may, then)| ((*path, *method), (*may, *then))).collect();
    let operations = operations();
    assert_eq!(rows.len(), MATRIX.len(), "an operation stands twice in the matrix");
    assert_eq!(operations.len(), MATRIX.len(), "operations and rows");
    let (house, callers) = callers().await;
    let mut wrong = Vec::new();
    for (path, method, _) in &operations {
        let Some((may, then)) = rows.get(&(path.as_str(), method.as_str())) else {
            panic!("{method} {path} has no row in the matrix");
        };
        for caller in &callers {
            let expected = if caller.may.contains(may) { *then } else { caller.refused };
            for listener in [listener(path), Listener::Same] {
                let headers: Vec<_> = caller.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let target = concrete(path) + &caller.query;
                let answer = house.send(listener, request("", method, &target, None, &headers)).await;
                if answer.status.as_u16() != expected {
                    wrong.push(format!("{method} {path} for {}: {expected} expected, {}", caller.name, answer.short()));
                }
                if answer.status == StatusCode::UNAUTHORIZED && !answer.header("www-authenticate").starts_with("Bearer")
                {
                    wrong.push(format!("{method} {path} for {}: no challenge", caller.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn threat_21_each_listener_serves_its_own_routes_and_no_others() {
    let house = House::new().await;
    let missing = |answer: &str| answer.starts_with("404 route_not_found");
    for (path, method, _) in operations() {
        let own = listener(&path);
        let other = if own == Listener::Public { Listener::Admin } else { Listener::Public };
        for (listener, serves) in [(own, true), (other, false), (Listener::Same, true)] {
            let answer = house.send(listener, request("", &method, &concrete(&path), None, &[])).await;
            // `/v1/sessions` and the like exist on one listener only; a path is never half there.
            assert_eq!(!missing(&answer.short()), serves, "{method} {path} at {listener:?}: {}", answer.short());
        }
        // Nothing lives outside the issuer URL's path.
        let outside = Request::builder().method(method.as_str()).uri(concrete(&path)).body(axum::body::Body::empty());
        let answer = house.send(Listener::Same, outside.unwrap()).await;
        assert!(missing(&answer.short()), "{method} {path} outside: {}", answer.short());
    }
    for path in ["/", "/v1", "/v1/", "/v1/teams/", "/v1/teams//x", "/v2/teams", "/console", "/admin", "/v1/Teams"] {
        let answer = house.send(Listener::Same, request(&house.first, "GET", path, None, &[])).await;
        assert!(missing(&answer.short()), "{path}: {}", answer.short());
    }
}

#[tokio::test]
async fn threat_21_the_router_has_no_method_that_the_document_lacks() {
    let house = House::new().await;
    let documented: Vec<_> = operations().into_iter().map(|(path, method, _)| (path, method)).collect();
    for (path, _) in &documented {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"] {
            if method == "CONNECT" || documented.contains(&(path.clone(), method.to_owned())) {
                continue;
            }
            let answer = house.send(Listener::Same, request(&house.first, method, &concrete(path), None, &[])).await;
            assert!(answer.short().starts_with("405 method_not_allowed"), "{method} {path}: {}", answer.short());
            assert!(!answer.header("allow").is_empty(), "{method} {path}: no Allow");
        }
    }
}

/// Routes come into a router with their description only: nothing in the two surfaces adds one by hand.
#[test]
fn threat_21_no_route_is_added_without_its_description() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src/http/admin", "src/http/issuer", "src/http/issuer/oauth"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // It puts a described route where RFC 8414 wants it too.
            if path.is_dir() || path.ends_with("oauth/metadata.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for way in [".route(", ".route_service(", ".nest(", ".fallback(", "axum::routing"] {
                assert!(!text.contains(way), "{}: {way}", path.display());
            }
        }
    }
}
