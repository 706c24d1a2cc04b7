//! The authorization matrix: every operation of the OpenAPI document, every kind of caller, the exact status.
//!
//! Requests name things that are not there and carry no body, so nobody changes anything: a caller that may is
//! told so by a 404 or 415 instead of a 401 or 403, which also shows that who calls is asked before anything else.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    /// Operators of the installation.
    Operator,
    /// Those, and auditors of the installation.
    Reader,
    /// Operators, and platforms that found teams.
    Founder,
    /// Operators, and platforms that register principals.
    Registers,
    /// Operators, and persons, of whom the use case asks more.
    Enrols,
    /// Operators, and admins of the team.
    Rules,
    /// Those, auditors of the team, and auditors of the installation.
    Reads,
    /// Who rules the team, and platforms that list it.
    Registrar,
    /// Who reads the team, and platforms that list it.
    Registry,
    /// Who reads some team; which one, the query says.
    ReadsByQuery,
}

use May::{
    Anyone, Enrols, Founder, Known, Operator, Person, Principal, Reader, Reads, ReadsByQuery, Registers, Registrar,
    Registry, Rules, RunKeeper, RunOpener, Worker,
};

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
    ("POST", "/oauth2/device_authorization", Anyone, 400),
    ("POST", "/oauth2/revoke", Anyone, 400),
    ("POST", "/oauth2/backchannel_logout", Anyone, 400),
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
    ("GET", "/v1/administrators", Reader, 200),
    ("POST", "/v1/administrators", Operator, 415),
    ("GET", "/v1/administrators/{id}", Reader, 404),
    ("PATCH", "/v1/administrators/{id}", Operator, 415),
    ("DELETE", "/v1/administrators/{id}", Operator, 404),
    ("GET", "/v1/teams", Reader, 200),
    ("POST", "/v1/teams", Founder, 415),
    ("GET", "/v1/teams/{team}", Registry, 404),
    ("PATCH", "/v1/teams/{team}", Rules, 415),
    ("DELETE", "/v1/teams/{team}", Operator, 404),
    ("GET", "/v1/teams/{team}/audiences", Reads, 404),
    ("PUT", "/v1/teams/{team}/audiences", Rules, 415),
    ("GET", "/v1/teams/{team}/roles", Reads, 404),
    ("PUT", "/v1/teams/{team}/roles", Rules, 415),
    ("GET", "/v1/teams/{team}/policy", Reads, 404),
    ("PATCH", "/v1/teams/{team}/policy", Rules, 415),
    ("GET", "/v1/teams/{team}/provider-settings", Reads, 404),
    ("PATCH", "/v1/teams/{team}/provider-settings", Rules, 415),
    ("GET", "/v1/teams/{team}/members", Registry, 404),
    ("POST", "/v1/teams/{team}/members", Registrar, 415),
    ("GET", "/v1/teams/{team}/members/{user}", Registry, 404),
    ("PATCH", "/v1/teams/{team}/members/{user}", Registrar, 415),
    ("PUT", "/v1/teams/{team}/members/{user}", Registrar, 404),
    ("DELETE", "/v1/teams/{team}/members/{user}", Registrar, 404),
    ("GET", "/v1/teams/{team}/service-accounts", Registry, 404),
    ("POST", "/v1/teams/{team}/service-accounts", Registrar, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}", Registry, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}", Registrar, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}", Registrar, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/keys", Registry, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/keys", Registrar, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}", Registrar, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/keys/{id}/rotate", Registrar, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/public-keys", Registry, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/public-keys", Registrar, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/public-keys/{id}", Registrar, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/provider-settings", Reads, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/provider-settings", Rules, 415),
    ("GET", "/v1/effective-settings", ReadsByQuery, 400),
    ("GET", "/v1/users", Reader, 200),
    ("POST", "/v1/users", Registers, 415),
    ("GET", "/v1/users/{user}", Reader, 404),
    ("GET", "/v1/teams/{team}/issuer", Reads, 404),
    ("PUT", "/v1/teams/{team}/issuer", Operator, 404),
    ("DELETE", "/v1/teams/{team}/issuer", Operator, 404),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/trust-rules", Reads, 404),
    ("POST", "/v1/teams/{team}/service-accounts/{uid}/trust-rules", Rules, 415),
    ("GET", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Reads, 404),
    ("PATCH", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Rules, 415),
    ("DELETE", "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", Rules, 404),
    ("PATCH", "/v1/users/{user}", Operator, 415),
    ("DELETE", "/v1/users/{user}", Operator, 404),
    ("GET", "/v1/users/{user}/sessions", Reader, 404),
    ("DELETE", "/v1/users/{user}/sessions", Operator, 404),
    ("DELETE", "/v1/users/{user}/sessions/{id}", Operator, 404),
    ("GET", "/v1/teams/{team}/remaining-sessions", Reads, 404),
    ("GET", "/v1/teams/{team}/runs", Reads, 404),
    ("GET", "/v1/teams/{team}/runs/{run_id}", Reads, 404),
    ("DELETE", "/v1/teams/{team}/runs/{run_id}", Rules, 404),
    ("POST", "/v1/enrolment-codes", Enrols, 415),
    ("GET", "/v1/upstream-providers", Reader, 200),
    ("POST", "/v1/upstream-providers", Operator, 415),
    ("GET", "/v1/upstream-providers/{uid}", Reader, 404),
    ("PATCH", "/v1/upstream-providers/{uid}", Operator, 415),
    ("DELETE", "/v1/upstream-providers/{uid}", Operator, 404),
    ("GET", "/v1/users/{user}/identities", Reader, 404),
    ("POST", "/v1/users/{user}/identities", Operator, 415),
    ("DELETE", "/v1/users/{user}/identities/{provider}/{subject}", Operator, 404),
    ("GET", "/v1/worker-keys", Reader, 200),
    ("POST", "/v1/worker-keys", Operator, 415),
    ("GET", "/v1/worker-keys/{id}", Reader, 404),
    ("PATCH", "/v1/worker-keys/{id}", Operator, 415),
    ("DELETE", "/v1/worker-keys/{id}", Operator, 404),
    ("GET", "/v1/platform-keys", Reader, 200),
    ("POST", "/v1/platform-keys", Operator, 415),
    ("GET", "/v1/platform-keys/{id}", Reader, 404),
    ("PATCH", "/v1/platform-keys/{id}", Operator, 415),
    ("DELETE", "/v1/platform-keys/{id}", Operator, 404),
    ("GET", "/v1/signing-keys", Reader, 200),
    ("GET", "/v1/signing-keys/plan", Reader, 200),
    ("GET", "/v1/signing-keys/schedule", Reader, 200),
    ("PATCH", "/v1/signing-keys/schedule", Operator, 415),
    ("GET", "/v1/signing-keys/documents", Reader, 200),
    ("POST", "/v1/signing-keys/prepare", Operator, 415),
    ("POST", "/v1/signing-keys/rotate", Operator, 415),
    ("POST", "/v1/signing-keys/{kid}/distrust", Operator, 415),
    ("POST", "/v1/signing-keys/replace-all", Operator, 415),
    ("GET", "/v1/audit", Reader, 200),
    ("GET", "/v1/audit/export", Reader, 200),
    ("GET", "/v1/teams/{team}/audit", Reads, 404),
    ("GET", "/v1/teams/{team}/audit/export", Reads, 404),
];

/// What a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No live credential: the status that it is told so with.
    Nobody(u16),
    Operator,
    /// An auditor of the installation.
    Auditor,
    /// A person, with a role in team `acme`, if any.
    Person(Option<&'static str>),
    Agent,
    /// The bearer of a run.
    Run,
    /// A platform that lists `acme`, and whether it registers principals and teams or mints and opens runs.
    Platform {
        registers: bool,
    },
    Worker,
}

impl Kind {
    /// What it gets of a request that, where it may, is answered with `then`. The teams of paths do not exist.
    fn status(self, may: May, then: u16) -> u16 {
        let allowed = match (may, self) {
            (Anyone, _) => return then,
            (_, Self::Nobody(refused)) => return refused,
            (Known, _) => true,
            (Principal, kind) => {
                matches!(kind, Self::Person(_) | Self::Agent | Self::Run | Self::Platform { .. })
            }
            (RunOpener, kind) => matches!(kind, Self::Person(_) | Self::Agent | Self::Platform { .. }),
            (RunKeeper, kind) => !matches!(kind, Self::Run | Self::Worker),
            (Person, kind) => matches!(kind, Self::Person(_)),
            (Worker, kind) => kind == Self::Worker,
            (Founder | Registers, kind) => matches!(kind, Self::Operator | Self::Platform { registers: true }),
            (Reader, kind) => matches!(kind, Self::Operator | Self::Auditor),
            (Enrols, kind) => matches!(kind, Self::Operator | Self::Person(_)),
            (ReadsByQuery, kind) => matches!(kind, Self::Operator | Self::Auditor | Self::Person(_)),
            // Of a team that they are not in, people learn nothing: it is as if there were none.
            (Rules | Reads | Registrar | Registry, Self::Person(_))
            | (Registrar | Registry, Self::Platform { registers: true }) => return 404,
            (Operator | Rules | Registrar, kind) => kind == Self::Operator,
            (Reads | Registry, kind) => matches!(kind, Self::Operator | Self::Auditor),
        };
        if allowed { then } else { 403 }
    }

    /// What it may do in team `acme`, which exists; `None` where it must not even learn that.
    fn at_acme(self, may: May) -> Option<bool> {
        let changes = matches!(may, Rules | Registrar);
        match self {
            Self::Operator => Some(true),
            Self::Auditor => Some(!changes),
            Self::Person(role) => role.map(|role| role == "admin" || (role == "auditor" && !changes)),
            Self::Platform { registers } => Some(registers && matches!(may, Registrar | Registry)),
            Self::Agent | Self::Run | Self::Worker | Self::Nobody(_) => Some(false),
        }
    }
}

/// What a caller presents, and what it is.
struct CallerKind {
    name: &'static str,
    kind: Kind,
    /// Headers of the request.
    headers: Vec<(&'static str, String)>,
    /// What is appended to the path.
    query: String,
}

fn bearer(name: &'static str, credential: &str, kind: Kind) -> CallerKind {
    CallerKind { name, kind, headers: vec![("authorization", format!("Bearer {credential}"))], query: String::new() }
}

/// Signs a person in with an enrolment code.
async fn sign_in(house: &House, admin: &str, user: &str) -> String {
    let code = house.call(admin, "POST", "/v1/enrolment-codes", Some(json!({"user_uid": user}))).await;
    let session = request("", "POST", "/v1/sessions", Some(json!({"code": code.json()["code"]})), &[]);
    house.send(Listener::Public, session).await.json()["access_token"].as_str().unwrap().to_owned()
}

/// A house with one caller of every kind.
#[expect(clippy::too_many_lines, reason = "one caller after another; nothing would be clearer in two functions")]
async fn callers() -> (House, Vec<CallerKind>) {
    let house = House::new().await;
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let keys = |account: &str| format!("/v1/teams/acme/service-accounts/{account}/keys");
    for team in ["acme", "other"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
    }
    for (user, team, role) in [
        ("ada", "acme", "member"),
        ("adam", "acme", "admin"),
        ("audrey", "acme", "auditor"),
        ("olga", "other", "admin"),
        ("demoted", "acme", "admin"),
        ("removed", "acme", "admin"),
        ("asleep", "acme", "admin"),
    ] {
        let body = json!({"uid": user, "name": user, "role": role});
        house.must("POST", &format!("/v1/teams/{team}/members"), Some(body)).await;
    }
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
    let platform_of = |rights: &[&str]| json!({"name": "p", "teams": ["acme"], "rights": rights});
    let minting = platform_of(&["open_runs", "mint_for_service_accounts"]);
    let platform = text(&house.must("POST", "/v1/platform-keys", Some(minting)).await, "key");
    let registering = platform_of(&["register_principals", "register_teams"]);
    let registrar = text(&house.must("POST", "/v1/platform-keys", Some(registering)).await, "key");
    let open = |key: &str| request(key, "POST", "/v1/runs", Some(json!({})), &[]);
    let run = text(&house.send(Listener::Public, open(&agent)).await.json(), "bearer");
    let ended = house.send(Listener::Public, open(&agent)).await.json();
    let path = format!("/v1/runs/{}", text(&ended, "id"));
    house.send(Listener::Public, request(&agent, "DELETE", &path, None, &[])).await;
    let ended_run = text(&ended, "bearer");
    let grant = Request::builder().method("POST").uri("/brevet/oauth2/token");
    let grant = grant.header("content-type", "application/x-www-form-urlencoded");
    let grant = grant.header("authorization", format!("Basic {}", STANDARD.encode(format!("robot:{agent}"))));
    let grant = grant.body(axum::body::Body::from("grant_type=client_credentials")).unwrap();
    let agent_token = text(&house.send(Listener::Public, grant).await.json(), "access_token");
    let audience = json!({"audience": "https://worker.example.com"});
    let token = text(&house.mint(&agent, audience).await.json(), "token");
    // The first start's administrator ends as the second one is made.
    let administrator = text(&house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await, "key");
    let auditor = json!({"name": "eyes", "role": "auditor"});
    let auditor = house.call(&administrator, "POST", "/v1/administrators", Some(auditor)).await;
    let auditor = text(&auditor.json(), "key");
    house.clock.advance(Duration::seconds(61));
    let code = house.call(&administrator, "POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await;
    let code = text(&code.json(), "code");

    let mut callers = Vec::new();
    for (name, user, role) in [
        ("member", "ada", Some("member")),
        ("team admin", "adam", Some("admin")),
        ("team auditor", "audrey", Some("auditor")),
        ("admin of another team", "olga", None),
        ("admin of the team until now", "demoted", Some("member")),
        ("removed admin of the team", "removed", None),
        ("admin who is disabled in the team", "asleep", None),
    ] {
        callers.push(bearer(name, &sign_in(&house, &administrator, user).await, Kind::Person(role)));
    }
    for (method, path, body) in [
        ("PATCH", "/v1/teams/acme/members/demoted", Some(json!({"role": "member"}))),
        ("DELETE", "/v1/teams/acme/members/removed", None),
        ("PATCH", "/v1/teams/acme/members/asleep", Some(json!({"disabled": true}))),
    ] {
        let answer = house.call(&administrator, method, path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.short());
    }

    let unknown = OpaqueCredential::generate(CredentialKind::Administrator, &SeededEntropy::new(99));
    let unknown = unknown.secret().expose().to_owned();
    let mistyped = administrator.replacen("bvt_ad_", "bvt_sa_", 1);
    let nobody = |name, headers| CallerKind { name, kind: Kind::Nobody(401), headers, query: String::new() };
    callers.extend([
        nobody("anonymous", vec![]),
        bearer("operator", &administrator, Kind::Operator),
        bearer("auditor", &auditor, Kind::Auditor),
        bearer("service account", &agent, Kind::Agent),
        bearer("access token of a service account", &agent_token, Kind::Agent),
        bearer("platform that mints", &platform, Kind::Platform { registers: false }),
        bearer("platform that registers", &registrar, Kind::Platform { registers: true }),
        bearer("run", &run, Kind::Run),
        bearer("ended run", &ended_run, Kind::Nobody(401)),
        bearer("worker", &worker, Kind::Worker),
        bearer("disabled service account", &asleep, Kind::Nobody(403)),
        bearer("expired key", &short, Kind::Nobody(401)),
        bearer("revoked key", &text(&revoked, "key"), Kind::Nobody(401)),
        bearer("removed administrator", &house.first.clone(), Kind::Nobody(401)),
        bearer("unknown key", &unknown, Kind::Nobody(401)),
        bearer("key under another prefix", &mistyped, Kind::Nobody(401)),
        bearer("cut key", &administrator[..30], Kind::Nobody(401)),
        bearer("enrolment code", &code, Kind::Nobody(401)),
        bearer("identity token", &token, Kind::Nobody(401)),
        bearer("nonsense", "x", Kind::Nobody(401)),
        bearer("nothing behind the scheme", "", Kind::Nobody(401)),
        nobody("key as Basic", vec![("authorization", format!("Basic {administrator}"))]),
        nobody("key without a scheme", vec![("authorization", administrator.clone())]),
        nobody("key in a cookie", vec![("cookie", format!("session={administrator}; bearer={administrator}"))]),
        nobody("key as x-api-key", vec![("x-api-key", administrator.clone())]),
        nobody("key as proxy-authorization", vec![("proxy-authorization", format!("Bearer {administrator}"))]),
        CallerKind { query: format!("?access_token={administrator}"), ..nobody("key in the query", vec![]) },
    ]);
    (house, callers)
}

/// A path of the document with names of things that are not there.
pub(crate) fn concrete(path: &str) -> String {
    let path = path.replace("{team}", "nobody").replace("{user}", "nobody").replace("{uid}", "nobody");
    let path = path.replace("{provider}", "nobody").replace("{subject}", "nobody");
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
            let expected = caller.kind.status(*may, *then);
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

/// Every operation of a team, at a team that exists: who may is answered, who may know of it is refused, and who may
/// not know gets to the letter what they get for a team that does not exist.
#[tokio::test]
async fn threat_20_of_a_team_only_those_learn_anything_who_are_in_it() {
    let (house, callers) = callers().await;
    let mut wrong = Vec::new();
    for (method, path, may, _) in MATRIX {
        let path = if *may == ReadsByQuery { "/v1/effective-settings?team={team}" } else { path };
        // What only operators may is refused to everyone else whatever team there is; public documents are for all.
        if !path.contains("{team}") || matches!(may, Operator | Anyone) {
            continue;
        }
        for caller in callers.iter().filter(|caller| !matches!(caller.kind, Kind::Nobody(_))) {
            let headers: Vec<_> = caller.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            // Who may delete says of which version, so that nothing goes.
            let headers = [headers, vec![("if-match", "\"999\"")]].concat();
            let ask = async |team: &str| {
                let target = concrete(&path.replace("{team}", team));
                house.send(Listener::Admin, request("", method, &target, None, &headers)).await
            };
            let answer = ask("acme").await;
            let unseen = ask("nobody").await;
            let without_id = |text: &str| {
                let mut body: Value = serde_json::from_str(text).unwrap_or_default();
                body.as_object_mut().map(|members| (members.remove("request_id"), members.remove("instance")));
                body
            };
            let right = match caller.kind.at_acme(*may) {
                Some(true) => !matches!(answer.status.as_u16(), 401 | 403) && !answer.short().contains("no such team"),
                Some(false) => answer.status == 403 && answer.short().contains("not_permitted"),
                None => {
                    answer.short() == "404 not_found: no such team"
                        && without_id(&answer.text) == without_id(&unseen.text)
                        && answer.headers.keys().eq(unseen.headers.keys())
                }
            };
            if !right {
                wrong.push(format!("{method} {path} for {}: {}", caller.name, answer.short()));
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
