//! A canary of each kind of secret through every way in, right and wrong: found in no log, no answer but the one that
//! shows it, no audit row, no metric, no file that is not meant to hold it.
//!
//! Ways in are all that the routers list: the operations of the OpenAPI document, the pages, the ops listener and the
//! worker's surfaces. A route without a row fails. What people call things by (names, labels) is shown, and a terminal's
//! `state` goes back to it: a secret in those is not hidden.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::crypto::seal::{Kek, Sealing};
use brevet::domain::browser::{BrowserSecret, Derived};
use brevet::domain::clock::Clock as _;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::UpstreamUid;
use brevet::domain::issuer_url::Development;
use brevet::domain::secret::{Secret, SecretBytes};
use brevet::domain::upstream::{UpstreamProvider, UpstreamSettings, Word};
use brevet::http::layer::{self, Naming};
use brevet::sandbox::Fault;
use brevet::store::{EventFilter, Page};
use bytes::Bytes;
use clap::Parser as _;
use http::{Method, Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};

use crate::support::app::{self, App, ISSUER, request, send};
use crate::support::browser::Browser;
use crate::support::caller::Caller;
use crate::support::documents::Documents;
use crate::support::entropy::SeededEntropy;
use crate::support::foreign_issuer::jwks;
use crate::support::house::{House, Listener, request as house_request};
use crate::support::logs::Logs;
use crate::support::process::{self, Home};
use crate::support::served::{Served, free_port};
use crate::support::token_keys::{jwk, sign};
use crate::support::variable;
use crate::support::worker_house::{AGENT, WORKER_KEY, WorkerHouse};

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
    let (logged, rows) = (logs.text(), rows(&app).await);
    assert!(logged.len() > 1000 && rows.len() > 1000 && answers.len() > 1000);
    for canary in &canaries {
        // The random part alone, too: a prefix may be named, what is behind it may not.
        let core = &canary[8..canary.len() - 6];
        for (place, text) in [("log", &logged), ("answers", &answers), ("rows", &rows)] {
            assert!(!text.contains(core), "{}… is in the {place}", &canary[..8]);
        }
    }
}

/// Every audit row there is, as one text.
async fn rows(app: &App) -> String {
    app.issuer.audit().drain().await;
    let (mut rows, mut page) = (String::new(), Page::default());
    loop {
        let found = app.store.events(&EventFilter::default(), &page).await.unwrap();
        write!(rows, "{:?}", found.items).unwrap();
        page.after = found.next;
        if page.after.is_none() {
            return rows;
        }
    }
}

/// Something that must not be told, and stretches of it that no chance repeats: its beginning, middle and end, so that
/// a part is found too.
struct Canary {
    name: &'static str,
    text: String,
    needles: [String; 3],
}

/// Characters of a stretch: 72 bits where they are base64url.
const STRETCH: usize = 12;

impl Canary {
    fn new(name: &'static str, text: &str) -> Self {
        // What differs between two of one kind, and is nobody's to know: of a JWT the signature, of a credential what is
        // between prefix and checksum, of a private key what is behind its public half.
        let kind = CredentialKind::ALL.into_iter().find_map(|kind| text.strip_prefix(kind.prefix()));
        let random = match (kind, text.rsplit_once('.')) {
            (Some(random), _) => &random[..random.len() - 6],
            (None, Some((_, signature))) => signature,
            (None, None) if text.len() > 1000 => &text[text.len() / 2..],
            (None, None) => text,
        };
        let last = random.len() - STRETCH;
        let needles = [0, last / 2, last].map(|start| random[start..start + STRETCH].to_owned());
        Self { name, text: text.to_owned(), needles }
    }

    /// Where a stretch of it stands in `text`.
    fn found_in(&self, text: &str) -> Option<usize> {
        self.needles.iter().find_map(|needle| text.find(needle.as_str()))
    }
}

/// Where any of them stands in `text`, with what is before it.
fn told(canaries: &[Canary], place: &str, text: &str) -> Vec<String> {
    let found = canaries.iter().filter_map(|canary| Some((canary.name, canary.found_in(text)?)));
    found
        .map(|(name, at)| {
            let start = (at.saturating_sub(300)..=at).find(|start| text.is_char_boundary(*start)).unwrap();
            format!("{place} tells the {name}: …{}", &text[start..at])
        })
        .collect()
}

/// PKCS#8 in base64: what stands between the lines of a PEM file.
fn private_key(name: &str) -> String {
    let path = format!("{}/tests/cases/signing-keys/{name}.pkcs8.base64", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().split_whitespace().collect()
}

const STATIC_SECRET: &str = "wJalrXUtnFEMIcanaryK7MDENGbPxRfiCYEXAMPLEKEY";

/// What an installation has to keep, one of each kind: its own credentials and tokens, those of others, keys.
async fn everything(house: &House, operator: &str) -> Vec<Canary> {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let make = async |path: &str, body: Value| {
        let answer = house.call(operator, "POST", path, Some(body)).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.short());
        answer.json()
    };
    make("/v1/teams", json!({"uid": "acme", "name": "Acme"})).await;
    make("/v1/teams/acme/members", json!({"uid": "ada", "name": "Ada", "role": "admin"})).await;
    make("/v1/teams/acme/service-accounts", json!({"uid": "robot", "name": "Robot"})).await;
    let agent = "/v1/teams/acme/service-accounts/robot";
    make(&format!("{agent}/public-keys"), json!({"jwk": jwk("ES256")})).await;
    let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
    let conditions = json!([{"claim": "sub", "equals": "job"}]);
    let rule = json!({"name": "ci", "issuer": "https://ci.example.com", "jwks": keys, "conditions": conditions});
    make(&format!("{agent}/trust-rules"), rule).await;
    let key = text(&make(&format!("{agent}/keys"), json!({})).await, "key");
    let worker = json!({"name": "w", "audience": WORKER, "teams": ["acme"]});
    let worker = text(&make("/v1/worker-keys", worker).await, "key");
    let rights = ["mint_for_service_accounts", "open_runs", "register_principals"];
    let platform =
        text(&make("/v1/platform-keys", json!({"name": "p", "teams": ["acme"], "rights": rights})).await, "key");
    let code = async || text(&make("/v1/enrolment-codes", json!({"user_uid": "ada"})).await, "code");
    let public = async |bearer: &str, path: &str, body: Value| {
        let answer = house.send(Listener::Public, house_request(bearer, "POST", path, Some(body), &[])).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.short());
        answer.json()
    };
    let session = public("", "/v1/sessions", json!({"code": code().await})).await;
    let run = text(&public(&key, "/v1/runs", json!({"audiences": [WORKER]})).await, "bearer");
    let token = text(&public(&key, "/v1/identity-tokens", json!({"audience": WORKER})).await, "token");
    let device = house.app.form("/oauth2/device_authorization", &[("client_id", "brevet-cli")]).await.json();
    let mut browser = Browser::new(&house.app);
    browser.get("/device").await;
    let now = house.app.clock.now().unix_timestamp();
    let jwt = |issuer: &str, subject: &str, audience: &str| {
        let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + 240, "jti": "j"});
        sign("ES256", &json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string(), &claims.to_string())
    };
    let unknown = |kind| OpaqueCredential::generate(kind, house.app.entropy.as_ref()).secret().expose().to_owned();
    vec![
        Canary::new("administrator key", operator),
        Canary::new("service account key", &key),
        Canary::new("access token of a person", &text(&session, "access_token")),
        Canary::new("refresh token", &text(&session, "refresh_token")),
        Canary::new("platform key", &platform),
        Canary::new("worker key", &worker),
        Canary::new("run bearer", &run),
        Canary::new("enrolment code", &code().await),
        Canary::new("unknown access token", &unknown(CredentialKind::Access)),
        Canary::new("identity token", &token),
        Canary::new("device code", &text(&device, "device_code")),
        Canary::new("browser's secret", browser.cookie.as_deref().unwrap()),
        Canary::new("form token", &browser.token),
        Canary::new("client assertion", &jwt("robot", "robot", ISSUER)),
        Canary::new("subject token", &jwt("https://ci.example.com", "job", &format!("{ISSUER}/teams/acme"))),
        Canary::new("key-encryption key", house.app.kek.expose()),
        Canary::new("private signing key", &private_key("active")),
        Canary::new("static AWS secret", STATIC_SECRET),
    ]
}

/// Members of requests that people call things by: whatever stands in them is shown.
const NAMES: [&str; 5] = ["name", "email", "device", "labels", "cost_tags"];

/// An operation of the router.
struct Operation {
    path: String,
    method: String,
    /// The type of its body, and a value of each member that is not what something is called by: the canary wherever
    /// text belongs.
    body: Option<(String, Members)>,
}

/// By name, with a hole where text belongs.
type Members = serde_json::Map<String, Value>;

/// Stands in a body where the canary comes.
const HOLE: &str = "\u{7}";

impl Operation {
    fn all() -> Vec<Self> {
        let document = serde_json::to_value(brevet::http::admin::document()).unwrap();
        let of = |(path, method, described): (String, String, Value)| {
            let content = described["requestBody"]["content"].as_object();
            let body = content.and_then(|content| content.iter().next());
            let body = body.map(|(media, body)| (media.clone(), shaped(&document, &body["schema"], 0)));
            Self { path, method, body: body.map(|(media, body)| (media, body.as_object().unwrap().clone())) }
        };
        let nothing = ("/v1/{nothing}".to_owned(), "GET".to_owned(), Value::Null);
        crate::openapi::operations().into_iter().chain([nothing]).map(of).collect()
    }
}

/// A value of that schema, with holes where text belongs.
fn shaped(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let several = ["oneOf", "anyOf", "allOf"].iter().find_map(|word| schema[*word].as_array());
    if let Some(several) = several {
        let one = several.iter().find(|one| one["type"] != "null");
        return one.map_or(Value::Null, |one| shaped(document, one, depth));
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") if depth < 6 => {
            let members = schema["properties"].as_object().into_iter().flatten();
            let members = members.filter(|(name, _)| !NAMES.contains(&name.as_str()));
            let mut value: Members =
                members.map(|(name, schema)| (name.clone(), shaped(document, schema, depth + 1))).collect();
            if schema["additionalProperties"].is_object() {
                value.insert("a".to_owned(), shaped(document, &schema["additionalProperties"], depth + 1));
            }
            Value::Object(value)
        }
        Some("array") => json!([shaped(document, &schema["items"], depth + 1)]),
        Some("integer" | "number") => json!(60),
        Some("boolean") => json!(false),
        _ => json!(HOLE),
    }
}

/// The same with `text` in its holes.
fn filled(value: &Value, text: &str) -> Value {
    match value {
        Value::String(hole) if hole == HOLE => json!(text),
        Value::Array(items) => items.iter().map(|item| filled(item, text)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled(value, text))).collect(),
        other => other.clone(),
    }
}

/// How a request is stuffed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stuffed {
    /// Each member of the body is the canary as text, whatever belongs there.
    Flat,
    /// The body has the types that belong there, at something that exists. Behind the canary stands a control character:
    /// nothing of ours may have one, so that the canary comes to be nobody's name and is told by faults alone.
    Shaped,
    /// A member's name is the canary.
    Named,
}

/// A request of an operation with the canary in every place it has: path, query, headers, body.
fn stuffed(Operation { path, method, body }: &Operation, canary: &str, bearer: &str, how: Stuffed) -> Request<Body> {
    let encoded: String = form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    let there = path.replace("{team}", "acme").replace("{uid}", "robot").replace("{user}", "ada");
    // What is there is not deleted.
    let path = if how == Stuffed::Shaped && method != "DELETE" { &there } else { path };
    let path: Vec<_> =
        path.split('/').map(|segment| if segment.starts_with('{') { encoded.as_str() } else { segment }).collect();
    let query = format!("?after={encoded}&limit={encoded}&team={encoded}&{encoded}=1");
    // A fault of the query would hide those of the body.
    let query = if how == Stuffed::Shaped && method != "GET" { String::new() } else { query };
    let mut request = Request::builder().method(method.as_str()).uri(format!("/brevet{}{query}", path.join("/")));
    let read_first = ["if-match", "idempotency-key"];
    let others = ["x-request-id", "x-api-key", "cookie", "x-forwarded-for", "origin", "referer", "traceparent"];
    for name in read_first.into_iter().filter(|_| how != Stuffed::Shaped).chain(others) {
        request = request.header(name, canary);
    }
    let authorized = |request: http::request::Builder| request.header("authorization", format!("Bearer {bearer}"));
    let Some((media, members)) = body else {
        return authorized(request).body(Body::empty()).unwrap();
    };
    let request = request.header("content-type", media);
    if media == "application/json" {
        let body = match how {
            Stuffed::Flat => members.keys().map(|name| (name.clone(), json!(canary))).collect(),
            Stuffed::Shaped => filled(&Value::Object(members.clone()), &format!("{canary}{HOLE}")),
            Stuffed::Named => Value::from(Members::from_iter([(canary.to_owned(), json!(1))])),
        };
        return authorized(request).body(Body::from(body.to_string())).unwrap();
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    if how == Stuffed::Named {
        form.append_pair(canary, "1").append_pair(canary, "2");
    } else {
        for name in members.keys() {
            form.append_pair(name, canary);
        }
    }
    request.body(Body::from(form.finish())).unwrap()
}

/// Forms of the OAuth endpoints, by the grant they belong to: every member that a grant reads, each with the canary.
fn grants(text: &str) -> Vec<Vec<(&'static str, String)>> {
    let of = |grant: &str, members: &[&'static str]| {
        let mut form = vec![("grant_type", grant.to_owned())];
        form.extend(members.iter().map(|member| (*member, text.to_owned())));
        form
    };
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let cli = ("client_id", "brevet-cli".to_owned());
    let mut exchange = of("urn:ietf:params:oauth:grant-type:token-exchange", &["subject_token"]);
    exchange.extend([("client_id", "robot".to_owned()), ("subject_token_type", jwt.to_owned())]);
    let mut secret = of("client_credentials", &["client_secret", "token"]);
    secret.push(("client_id", "robot".to_owned()));
    let mut asserted = of("client_credentials", &["client_assertion", "token"]);
    asserted.push(("client_assertion_type", assertion.to_owned()));
    let mut code = of("authorization_code", &["code", "code_verifier"]);
    code.extend([cli.clone(), ("redirect_uri", "http://127.0.0.1:8400/done".to_owned())]);
    let mut device = of("urn:ietf:params:oauth:grant-type:device_code", &["device_code"]);
    device.push(cli.clone());
    let mut refresh = of("refresh_token", &["refresh_token", "token"]);
    refresh.push(cli);
    let mut all = vec![exchange, secret, asserted, code, device, refresh];
    all.push(of("client_credentials", &["scope", "client_id", "audience", "resource"]));
    all.push(of(text, &["token_type_hint", "device_name", "team", "logout_token", "actor_token"]));
    // A name of a device is shown.
    for form in &mut all {
        form.retain(|(name, _)| *name != "device_name");
    }
    all
}

/// What shows a canary where it belongs, and nearly so.
fn presented_as_itself(canary: &Canary, path: &str, method: &str) -> Vec<Request<Body>> {
    let text = canary.text.as_str();
    let cut = &text[..text.len() - 1];
    if !path.starts_with("/oauth2/") {
        let concrete = crate::authorization::concrete(path);
        let body = || matches!(method, "POST" | "PUT" | "PATCH").then(|| json!({}));
        return [text, cut, &format!("{text} {text}")]
            .into_iter()
            .map(|bearer| house_request(bearer, method, &concrete, body(), &[]))
            .collect();
    }
    let form = |pairs: &[(&str, String)]| {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = Request::builder().method(method).uri(format!("/brevet{path}"));
        request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap()
    };
    let mut requests = Vec::new();
    for text in [text, cut, &format!("{text}%zz")] {
        requests.extend(grants(text).iter().map(|pairs| form(pairs)));
        let mut basic = form(&[("grant_type", "client_credentials".to_owned()), ("token", text.to_owned())]);
        let credentials = STANDARD.encode(format!("robot:{text}"));
        basic.headers_mut().insert("authorization", format!("Basic {credentials}").parse().unwrap());
        requests.push(basic);
    }
    requests
}

/// The pages, which the OpenAPI document has nothing of, with what each reads of its query or form. `state`,
/// `redirect_uri` and `device_name` of a terminal go back to it or are shown to its person.
const PAGES: [(&str, &str, &[&str]); 14] = [
    ("GET", "/oauth2/authorize", &["response_type", "client_id", "code_challenge", "scope", "team", "request"]),
    ("GET", "/device", &["user_code"]),
    ("POST", "/device", &["user_code"]),
    ("GET", "/sign-in", &["code", "provider"]),
    ("POST", "/sign-in", &["code"]),
    ("POST", "/sign-in", &["provider"]),
    ("GET", "/sign-in/confirm", &["decision"]),
    ("POST", "/sign-in/confirm", &["decision", "mine"]),
    ("GET", "/oauth2/callback/{provider}", &["code", "state", "iss", "error", "error_description"]),
    ("GET", "/oauth2/callback/{provider}", &["code", "iss"]),
    ("GET", "/sign-in/done", &["code"]),
    ("GET", "/sign-in/denied", &["code"]),
    ("GET", "/pages/brevet.css", &["v"]),
    ("GET", "/pages/brevet.svg", &["v"]),
];

/// A browser that has been told which device waits.
async fn on_the_way(app: &App, number: u8) -> Browser<'_> {
    // Everything from one address, of which only so much may come in a minute.
    let mut browser = Browser::new(app);
    browser.address = [198, 51, 100, number].into();
    let asked = [("client_id", "brevet-cli")];
    let begun = browser.send(Method::POST, "/oauth2/device_authorization", &asked, &[]).await.json();
    browser.get("/device").await;
    let taken = browser.post("/device", &[("user_code", begun["user_code"].as_str().unwrap())]).await;
    browser.follow(&taken).await;
    browser
}

/// The canary in every field, cookie and header of a page, by a browser that comes from nowhere and by one on its way.
async fn paged(app: &App, canary: &Canary, number: u8) -> Vec<(String, String)> {
    let text = canary.text.as_str();
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let mut answers = Vec::new();
    for (method, path, fields) in PAGES {
        let (verb, at) = (method.parse::<Method>().unwrap(), path.replace("{provider}", &encoded));
        let pairs: Vec<_> = fields.iter().map(|field| (*field, text)).collect();
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let mut stranger = Browser::new(app);
        stranger.address = [203, 0, 113, number].into();
        stranger.cookie = Some(text.to_owned());
        let form = [&pairs[..], &[("form", text)]].concat();
        let mut walker = on_the_way(app, number).await;
        let token = walker.token.clone();
        // A terminal that may be answered.
        let known = [("client_id", "brevet-cli"), ("redirect_uri", "http://127.0.0.1:8400/done")];
        let known = known.iter().filter(|_| path == "/oauth2/authorize").copied().collect::<Vec<_>>();
        let walked = [&pairs[..], &[("form", token.as_str())]].concat();
        let others = pairs.iter().filter(|(name, _)| known.iter().all(|(other, _)| other != name));
        let walked_query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(known.iter().chain(others).copied()).finish();
        let ours = ("origin", "https://id.example.com");
        let foreign = [("origin", text), ("x-request-id", text), ("referer", text), ("host", text)];
        let sent = [(true, &form, &[ours][..]), (true, &form, &foreign[..]), (false, &walked, &[ours])];
        for (strange, fields, headers) in sent {
            let (browser, query) = if strange { (&mut stranger, &query) } else { (&mut walker, &walked_query) };
            let answer = browser.send(verb.clone(), &format!("{at}?{query}"), fields, headers).await;
            answers.push((format!("{method} {path}"), answer.to_string()));
            browser.cookie.get_or_insert_with(|| text.to_owned());
        }
    }
    answers
}

/// Every path that a router lists, under the issuer URL's own.
fn listed(router: &axum::Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    // Behind them is only what answers where there is no route.
    let text = text.split("fallback_router").next().unwrap();
    let quoted = text.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
    quoted.map(|path| path.strip_prefix("/brevet").unwrap_or(path).to_owned()).collect()
}

/// Every route that the router lists, with every method it takes, and a path that it lacks.
#[tokio::test]
async fn threat_31_no_route_repeats_a_canary_of_any_kind() {
    let logs = Logs::capture();
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let house = House::new().await;
    let ops = brevet::http::ops::router(house.app.state.clone(), recorder.handle());
    let made = house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await;
    let operator = made["key"].as_str().unwrap();
    let canaries = everything(&house, operator).await;
    let operations = Operation::all();
    rows_are_complete(&house, &operations).await;
    let mut found = Vec::new();
    for operation in &operations {
        let Operation { path, method, body } = operation;
        for canary in &canaries {
            let mut requests = presented_as_itself(canary, path, method);
            requests.push(stuffed(operation, &canary.text, operator, Stuffed::Flat));
            requests.push(stuffed(operation, &canary.text, &canary.text, Stuffed::Flat));
            if body.is_some() {
                requests.push(stuffed(operation, &canary.text, operator, Stuffed::Shaped));
                requests.push(stuffed(operation, &canary.text, operator, Stuffed::Named));
            }
            for request in requests {
                let answer = house.send(Listener::Same, request).await;
                let answer = format!("{} {:?} {}", answer.status, answer.headers, answer.text);
                found.extend(told(&canaries, &format!("{method} {path}"), &answer));
            }
        }
    }
    for (number, canary) in (1..).zip(&canaries) {
        for (place, answer) in paged(&house.app, canary, number).await {
            found.extend(told(std::slice::from_ref(canary), &place, &answer));
        }
        for path in OPS {
            let encoded: String = form_urlencoded::byte_serialize(canary.text.as_bytes()).collect();
            let request = Request::get(format!("{path}?{encoded}={encoded}"));
            let request = request.header("authorization", format!("Bearer {}", canary.text));
            let request = request.header("x-request-id", &canary.text).body(Body::empty()).unwrap();
            found.extend(told(&canaries, path, &app::send(&ops, request).await.to_string()));
        }
    }
    let (logged, rows) = (logs.text(), rows(&house.app).await);
    assert!(logged.contains("brevet::access") && rows.len() > 10_000, "there is something to be searched");
    found.extend(told(&canaries, "the log", &logged));
    found.extend(told(&canaries, "an audit row", &rows));
    // And the database, which has hashes of some and knows none.
    let mut stored = Vec::new();
    files(house.app.dir.path(), &mut stored);
    assert!(stored.iter().any(|(path, content)| path.ends_with("brevet.db") && content.len() > 10_000));
    for (path, content) in stored {
        found.extend(told(&canaries, &path.display().to_string(), &String::from_utf8_lossy(&content)));
    }
    assert!(found.is_empty(), "{} places: {}", found.len(), found[..found.len().min(9)].join("\n"));
    // The search finds what is told, and a part of it.
    tracing::trace!(planted = canaries[3].needles[1].as_str());
    assert_eq!(told(&canaries, "the log", &logs.text()).len(), 1);
    let added = axum::Router::<()>::new().route("/brevet/v1/added", axum::routing::get(async || ()));
    assert_eq!(listed(&added), BTreeSet::from(["/v1/added".to_owned()]));
}

/// What the ops listener has.
const OPS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// That operations, pages and the ops listener's are all there is, with all their methods.
async fn rows_are_complete(house: &House, operations: &[Operation]) {
    let mut rows: BTreeSet<(String, String)> =
        operations.iter().map(|operation| (operation.path.clone(), operation.method.clone())).collect();
    assert!(rows.remove(&("/v1/{nothing}".to_owned(), "GET".to_owned())) && rows.len() > 100);
    rows.extend(PAGES.map(|(method, path, _)| (path.to_owned(), method.to_owned())));
    let mut paths: BTreeSet<_> = rows.iter().map(|(path, _)| path.clone()).collect();
    // RFC 8414, section 3.1: the same document before the path.
    paths.insert("/.well-known/oauth-authorization-server/brevet".to_owned());
    let router = house.router(Listener::Same);
    assert_eq!(listed(&router), paths, "routes and rows");
    // And each of them is of one listener where there are two.
    let [public, admin] = [Listener::Public, Listener::Admin].map(|listener| listed(&house.router(listener)));
    assert!(public.is_disjoint(&admin), "{:?}", public.intersection(&admin).collect::<Vec<_>>());
    assert_eq!(&public | &admin, paths, "routes of two listeners and rows");
    for path in rows.iter().map(|(path, _)| path).collect::<BTreeSet<_>>() {
        let asked = crate::authorization::concrete(path);
        let answer = house.send(Listener::Same, house_request("", "TRACE", &asked, None, &[])).await;
        let taken: BTreeSet<_> = answer.header("allow").split(',').filter(|method| *method != "HEAD").collect();
        let of_rows: BTreeSet<_> =
            rows.iter().filter(|(at, _)| at == path).map(|(_, method)| method.as_str()).collect();
        assert_eq!(taken, of_rows, "methods of {path}");
    }
}

/// A browser's secret and what is derived of it: none is stored, and the verifier leaves to the provider alone.
fn of_browser(browser: &Browser<'_>) -> Vec<Canary> {
    let cookie = browser.cookie.as_deref().unwrap();
    let secret = BrowserSecret::parse(cookie).unwrap();
    let derived = [("verifier", Derived::Verifier), ("form token", Derived::Form)];
    let derived = derived.map(|(name, what)| Canary::new(name, secret.derive(what).expose()));
    [Canary::new("browser's secret", cookie)].into_iter().chain(derived).collect()
}

/// A provider that a person signs in at, and whatever it and we tell each other.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one way from the browser to the token, with every secret of it at hand")]
async fn threat_31_no_step_of_a_sign_in_tells_its_secrets() {
    let logs = Logs::capture();
    let app = App::start().await;
    let team = app.team("red").await;
    let provider = Documents::start();
    let at = |path: &str| format!("{}{path}", provider.origin());
    let document = json!({
        "issuer": provider.origin(), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    provider.put("/.well-known/openid-configuration", document.to_string());
    provider.put("/keys", jwks(&["ES256"]));
    let client_secret = "Q2x1YjE3-is-what-the-client-proves-itself-with";
    let uid = UpstreamUid::parse("acme").unwrap();
    let kek = Kek::parse(&app.kek).unwrap();
    let secret = SecretBytes::new(client_secret.as_bytes().to_vec());
    let sealed = kek.seal(app.entropy.as_ref(), &secret, &Sealing::upstream_client_secret(&uid)).unwrap();
    let now = app.clock.now();
    let known = UpstreamProvider {
        uid: uid.clone(),
        name: "Acme".to_owned(),
        issuer: ForeignIssuer::parse(provider.origin(), Development::On).unwrap(),
        client_id: Word::parse("brevet-at-acme").unwrap(),
        client_secret: Some(sealed),
        settings: UpstreamSettings::new_provider(),
        version: 1,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    app.store.create_upstream_provider(&known, &app.event(), None).await.unwrap();
    let person = app.person("ann", &[&team]).await;
    app.at_provider("acme", &person, "s-1").await;
    app.policy(&team, |policy| policy.upstream_providers = vec![uid]).await;

    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    let (mut secrets, mut answers) = (Vec::new(), String::new());
    let begun = app.form("/oauth2/device_authorization", &[("client_id", "brevet-cli")]).await.json();
    let device_code = text(&begun, "device_code");
    let mut browser = Browser::new(&app);
    browser.get("/device").await;
    secrets.extend(of_browser(&browser));
    let taken = browser.post("/device", &[("user_code", &text(&begun, "user_code"))]).await;
    secrets.extend(of_browser(&browser));
    browser.follow(&taken).await;
    let seconds = now.unix_timestamp();
    let header = json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string();
    let signed = |nonce: &str| {
        let claims = json!({
            "iss": provider.origin(), "aud": "brevet-at-acme", "sub": "s-1", "iat": seconds, "exp": seconds + 300,
            "nonce": nonce,
        });
        sign("ES256", &header, &claims.to_string())
    };
    let theirs = "WmF1YmVy-is-what-the-provider-lets-us-read-with";
    let code = "TmFjaHRpZ2FsbA-is-what-the-browser-brings-back";
    // First the code that they do not know, in words that repeat everything; then a forged token; then another browser's
    // answer, and one that denies in words; then as it should be. Each time the browser has just been sent there.
    let (mut id_token, mut forged) = (String::new(), String::new());
    for attempt in ["unknown", "forged", "foreign", "denied", "sound"] {
        browser.get("/sign-in").await;
        let leaving = browser.post("/sign-in", &[("provider", "acme")]).await;
        let to = leaving.header("refresh").and_then(|to| to.strip_prefix("0;url=")).expect("a way to the provider");
        let to = url::Url::parse(to).unwrap();
        let sent = |name: &str| to.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
        let (state, nonce) = (sent("state"), sent("nonce"));
        id_token = signed(&nonce);
        let whole = |token: &str| {
            let body = json!({"access_token": theirs, "token_type": "Bearer", "expires_in": 60, "id_token": token});
            provider.put("/token", body.to_string());
        };
        let mut query = format!("code={code}&state={state}");
        match attempt {
            "unknown" => {
                let words = format!("{client_secret} {code} {id_token}");
                let echo = json!({"error": "invalid_grant", "error_description": words});
                provider.answer("/token", "400 Bad Request", echo.to_string());
            }
            "forged" => {
                // The last byte of the signature, whatever it was, is another.
                let end = if id_token.ends_with("AA") { "AQ" } else { "AA" };
                forged = format!("{}{end}", &id_token[..id_token.len() - 2]);
                whole(&forged);
            }
            "foreign" => query = format!("code={code}&state={theirs}"),
            "denied" => query = format!("error=access_denied&error_description=no&code={code}&state={state}"),
            _ => whole(&id_token),
        }
        let returned = browser.get(&format!("/oauth2/callback/acme?{query}")).await;
        let cookie = browser.cookie.clone().unwrap();
        answers += &returned.to_string().replace(&cookie, "");
        secrets.extend([("state", state), ("nonce", nonce)].map(|(name, text)| Canary::new(name, &text)));
        if attempt == "sound" {
            secrets.extend(of_browser(&browser));
            browser.follow(&returned).await;
        } else {
            assert_eq!(returned.status, 403, "{attempt}: {returned}");
        }
    }
    let decided = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    answers += &decided.to_string();
    answers += &browser.follow(&decided).await.to_string();
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    let cli = ("client_id", "brevet-cli");
    let tokens = app.form("/oauth2/token", &[grant, cli, ("device_code", &device_code)]).await.json();
    let again = ("grant_type", "refresh_token");
    let refresh = text(&tokens, "refresh_token");
    let fresh = app.form("/oauth2/token", &[again, cli, ("refresh_token", &refresh)]).await.json();
    let minted = app.token(&text(&fresh, "access_token"), "sts.amazonaws.com").await;
    // Once more, when nothing of it counts any longer.
    answers += &app.form("/oauth2/token", &[grant, cli, ("device_code", &device_code)]).await.to_string();
    app.clock.advance(time::Duration::minutes(2));
    answers += &app.form("/oauth2/token", &[again, cli, ("refresh_token", &refresh)]).await.to_string();
    answers += &app.mint(&text(&fresh, "access_token"), &json!({})).await.to_string();

    for (name, secret) in [
        ("client secret", client_secret),
        ("provider's code", code),
        ("provider's access token", theirs),
        ("ID token", &id_token),
        ("forged ID token", &forged),
        ("device code", &device_code),
        ("access token", &text(&tokens, "access_token")),
        ("refresh token", &refresh),
        ("second access token", &text(&fresh, "access_token")),
        ("second refresh token", &text(&fresh, "refresh_token")),
        ("identity token", &minted),
    ] {
        secrets.push(Canary::new(name, secret));
    }
    let (logged, rows) = (logs.text(), rows(&app).await);
    let trail = rows.matches("SessionOpen").count() + rows.matches("session.open").count();
    assert!(logged.contains("brevet::access") && trail > 0, "the sign-in is in the log and has its row: {rows}");
    let mut found = told(&secrets, "an answer", &answers);
    found.extend(told(&secrets, "the log", &logged));
    found.extend(told(&secrets, "an audit row", &rows));
    // The user code is short enough to be guessed at, so it is stored under a key, and told to no log.
    let user_code = text(&begun, "user_code");
    assert!(!logged.contains(&user_code) && !rows.contains(&user_code) && !answers.contains(&user_code));
    let mut stored = Vec::new();
    files(app.dir.path(), &mut stored);
    for (path, content) in stored {
        let content = String::from_utf8_lossy(&content);
        found.extend(told(&secrets, &path.display().to_string(), &content));
        assert!(!content.contains(&user_code), "{}", path.display());
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The worker's surfaces, between an issuer and an AWS that answer, refuse and repeat what they were shown.
#[tokio::test]
async fn threat_31_no_route_of_a_worker_repeats_a_canary() {
    let logs = Logs::capture();
    let house = WorkerHouse::start().await;
    let caller = house.issuer.caller(AGENT);
    let unknown = |kind| OpaqueCredential::generate(kind, &SeededEntropy::new(9)).secret().expose().to_owned();
    let mut canaries: Vec<_> = CredentialKind::ALL.map(|kind| Canary::new(kind.as_str(), &unknown(kind))).into();
    canaries.push(Canary::new("caller's token", &caller));
    canaries.push(Canary::new("worker key", WORKER_KEY));
    canaries.push(Canary::new("static AWS secret", STATIC_SECRET));
    canaries.push(Canary::new("prompt", "canary-of-what-is-only-the-models-to-read"));
    let mut answers = Vec::new();
    for canary in &canaries {
        let text = canary.text.as_str();
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for place in WORKER_PATHS {
            let path = place.replace("{}", &encoded);
            // A model answers what it was asked, and so may repeat it.
            let words = if canary.name == "prompt" { text } else { "Say something." };
            let body = json!({"messages": [{"role": "user", "content": [{"text": words}]}]});
            // As a bearer, as an API key, as a key pair's session token and signature, in the query.
            let mut requests = vec![house.request(&path, text, &body), house.request(&path, &caller, &body)];
            let bare = |path: &str| http::Request::post(format!("{}{path}", house.url)).header("x-request-id", text);
            let whole = |request: http::request::Builder| request.body(Bytes::from(body.to_string())).unwrap();
            requests.push(whole(bare(&path).header("x-api-key", text)));
            let signed = format!(
                "AWS4-HMAC-SHA256 Credential=BREVETTOKEN00000000/20260102/us-east-1/bedrock/aws4_request, \
                 SignedHeaders=host, Signature={text}"
            );
            let pair = bare(&path).header("authorization", &signed).header("x-amz-security-token", text);
            requests.push(whole(pair));
            let own = signed.replace("BREVETTOKEN00000000", "AKIAIOSFODNN7EXAMPLE");
            requests.push(whole(bare(&path).header("authorization", own).header("x-amz-security-token", text)));
            requests.push(whole(bare(&format!("{path}?X-Amz-Security-Token={encoded}&X-Amz-Signature={encoded}"))));
            for request in requests {
                let answer = house.send(request).await;
                let body = String::from_utf8_lossy(&answer.body);
                answers.push(format!("{place}: {} {:?} {body}", answer.status, answer.headers));
            }
        }
    }
    assert!(answers.iter().any(|answer| answer.contains(": 200 ")), "{answers:#?}");
    // An issuer that refuses, and an AWS that repeats the identity token and the session it gave.
    let identity = house.issuer.script().made[0].clone();
    canaries.push(Canary::new("identity token", &identity));
    for (action, message) in
        [("AssumeRoleWithWebIdentity", identity.clone()), ("Converse", format!("{identity} {caller}"))]
    {
        house.aws.handle().expire_sessions();
        let code = if action == "Converse" { "AccessDeniedException" } else { "InvalidIdentityToken" };
        let (action, code) = (Some(action.into()), code.into());
        house.aws.handle().inject(Fault::Refuse { action, status: 400, code, message });
        let answer = house.converse(&house.issuer.caller(AGENT)).await;
        answers.push(format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body)));
    }
    house.issuer.script().refuse = Some((403, "caller_not_alive"));
    house.advance(120);
    let answer = house.converse(&caller).await;
    answers.push(format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body)));
    let logged = logs.text();
    assert!(logged.contains("brevet::access"), "there is something to be searched");
    let mut found = told(&canaries, "the log", &logged);
    // The model's words are the caller's own, and the stand-in's model repeats its prompt.
    canaries.retain(|canary| canary.name != "prompt");
    for answer in &answers {
        found.extend(told(&canaries, "an answer", answer));
    }
    assert!(found.is_empty(), "{} places: {}", found.len(), found[..found.len().min(9)].join("\n"));
}

/// Each surface with a model's name in its place, and what is none.
const WORKER_PATHS: [&str; 5] = [
    "/bedrock/model/haiku/converse",
    "/bedrock/model/{}/converse",
    "/model/{}/invoke",
    "/bedrock/model/haiku/{}",
    "/elsewhere/{}",
];

/// The hook that `brevet` sets, in a process of its own: this test starts itself again to have one.
#[test]
fn threat_31_a_panic_tells_where_and_not_what() {
    let canary = "bvt_sa_what-a-panic-would-have-said";
    if variable("BREVET_TEST_PANIC").is_some() {
        // Any command sets the hook before it does anything.
        let arguments = brevet::cli::Arguments::try_parse_from(["brevet", "help", "environment"]).unwrap();
        let _ = arguments.run();
        let died = std::thread::spawn(move || panic!("{canary}")).join();
        assert!(died.is_err());
        return;
    }
    for format in ["text", "json"] {
        let name = "canary::threat_31_a_panic_tells_where_and_not_what";
        let home = Home::new();
        let mut command = home.command(std::env::current_exe().unwrap());
        command.args([name, "--exact", "--nocapture"]);
        command.env("BREVET_TEST_PANIC", "1").env("BREVET_LOG_FORMAT", format);
        let ended = process::run(command);
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
        assert!(ended.stderr.contains("a thread panicked") && ended.stderr.contains("canary.rs"), "{ended:#?}");
        assert!(!ended.stderr.contains(canary) && !ended.stdout.contains(canary), "{ended:#?}");
    }
}

/// Every file below a folder, and what is in it.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push((path.clone(), std::fs::read(&path).unwrap())) }
    }
}

/// The real binary, with everything logged that there is to log.
#[test]
fn threat_31_a_canary_is_in_no_file_log_or_argument_that_is_not_meant_to_hold_it() {
    let home = Home::new();
    let kek = process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
    let url = format!("http://127.0.0.1:{}", free_port());
    let private = private_key("active");
    let pem = home.path().join("old.pem");
    let lines: Vec<_> = private.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    std::fs::write(&pem, text).unwrap();
    std::fs::set_permissions(&pem, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut import = home.brevet(["keys", "import", "old.pem", "--development", "--issuer-url", &url]);
    let import = process::run({
        import.env("BREVET_KEK", &kek).env("BREVET_LOG", "trace");
        import
    });
    assert_eq!(import.code(), Some(0), "{import:#?}");
    std::fs::remove_file(&pem).unwrap();

    let aws = STATIC_SECRET;
    let variables = vec![
        ("BREVET_KEK", kek.clone()),
        ("BREVET_LOG", "trace".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", aws.to_owned()),
    ];
    let mut served = Served::start_with(home, &url, variables);
    let key = served.furnish();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    served.succeeds(None, &["login", "--code", &code]);
    let token = served.succeeds(None, &["token", "--audience", "sts.amazonaws.com"]);
    let of_agent = served.succeeds(Some(&key), &["token"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let operator = Caller::new(&served.url, &served.admin_key);
    let secrets = runtime.block_on(async {
        let made = async |path: &str, body: Value, member: &str| {
            operator.must("POST", path, Some(body)).await[member].as_str().unwrap().to_owned()
        };
        let worker = json!({"name": "w", "audience": WORKER, "teams": ["red"]});
        let platform = json!({"name": "p", "teams": ["red"], "rights": ["open_runs"]});
        let run = operator.with(&key).must("POST", "/v1/runs", Some(json!({}))).await;
        let agent = "/v1/teams/red/service-accounts/bot";
        operator.must("POST", &format!("{agent}/public-keys"), Some(json!({"jwk": jwk("ES256")}))).await;
        let now = SystemClock.now().unix_timestamp();
        let claims = json!({"iss": "bot", "sub": "bot", "aud": url, "iat": now, "exp": now + 60, "jti": "j"});
        let header = json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string();
        let assertion = sign("ES256", &header, &claims.to_string());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        let issued = operator.with("").form("/oauth2/token", &form).await;
        let secrets = vec![
            Canary::new("worker key", &made("/v1/worker-keys", worker, "key").await),
            Canary::new("platform key", &made("/v1/platform-keys", platform, "key").await),
            Canary::new("run bearer", run["bearer"].as_str().unwrap()),
            Canary::new("client assertion", &assertion),
            Canary::new("access token of an agent", issued["access_token"].as_str().unwrap()),
            Canary::new("service account key", &key),
            Canary::new("enrolment code", &code),
            Canary::new("identity token of a person", &token),
            Canary::new("identity token of an agent", &of_agent),
            Canary::new("key-encryption key", &kek),
            Canary::new("imported private key", lines[7]),
            Canary::new("static AWS secret", aws),
            Canary::new("administrator key", &served.admin_key),
        ];
        // Wrong ones, too.
        for secret in &secrets {
            for text in [&secret.text[..secret.text.len() - 1], &secret.text] {
                operator.with(text).call("GET", &format!("/v1/whoami?{text}"), None).await;
                operator.with(text).call("POST", "/v1/sessions", Some(&json!({"code": text}))).await;
            }
        }
        secrets
    });
    let mut places = vec![(PathBuf::from("its arguments"), served.command_line())];
    let ended = served.stop();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("TRACE"), "everything is logged");
    for (name, text) in [("log", ended.stderr), ("output", ended.stdout), ("import", import.stderr + &import.stdout)] {
        places.push((name.into(), text.into_bytes()));
    }
    files(served.home.path(), &mut places);
    assert!(places.iter().any(|(path, _)| path.ends_with("brevet.db")));
    let mut held = Vec::new();
    for secret in &secrets {
        for (path, content) in &places {
            if secret.found_in(&String::from_utf8_lossy(content)).is_some() {
                held.push((secret.name, path.strip_prefix(served.home.path()).unwrap_or(path).display().to_string()));
            }
        }
    }
    assert_eq!(held, [("administrator key", "first-administrator.key".to_owned())]);
    // The one file that holds a person's session, and no log or argument beside it.
    let session = &served.session_file();
    let (_, content) = places.iter().find(|(path, _)| path == session).expect("it was read");
    let content = String::from_utf8_lossy(content);
    let start = content.find("bvt_at_").expect("its access token");
    let session_needle = &content[start + 8..start + 50];
    for (path, text) in &places {
        assert_eq!(String::from_utf8_lossy(text).contains(session_needle), path == session, "{}", path.display());
    }
}

/// Variables that hold a secret, each with faulty values of it and a command that reads it. Those that name a file are
/// tried with a file that holds the same.
const SECRET_VARIABLES: [(&str, &[&str], &[&str]); 6] = [
    ("BREVET_TOKEN", &["{}", "{} {}", "Bearer {}", "bvt_zz_{}"], &["whoami"]),
    ("BREVET_KEK", &["{}", "{}{}{}", "brevet-kek {}"], &["keys", "reseal"]),
    ("BREVET_PREVIOUS_KEK", &["{}"], &["keys", "reseal"]),
    ("DATABASE_URL", &["postgres://u:{}@127.0.0.1:1/d", "mysql://u:{}@127.0.0.1/d", "{}"], &["store", "migrate"]),
    ("DATABASE_DIRECT_URL", &["postgres://u:{}@127.0.0.1:1/d", "{}"], &["store", "migrate"]),
    ("BREVET_HTTPS_PROXY", &["http://u:{}@127.0.0.1:1", "socks://u:{}@127.0.0.1", "{}"], &["whoami"]),
];

/// Variables without a flag that hold no secret.
const PLAIN_VARIABLES: [&str; 8] =
    ["XDG_STATE_HOME", "HOME", "TMPDIR", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "NO_COLOR"];

/// Commands that are given a secret as an argument, in the right place and in wrong ones.
const SECRET_ARGUMENTS: [&[&str]; 9] = [
    &["login", "--code", "{}"],
    &["login", "--code", "bvt_en_{}"],
    &["login", "{}"],
    &["token", "--lifetime", "{}"],
    &["token", "--{}"],
    &["{}"],
    &["admin", "teams", "{}"],
    &["keys", "prepare", "--alg", "{}"],
    &["admin", "upstream-providers", "update", "acme", "--client-secret", "{}"],
];

/// A fault of a command names the variable, flag or rule, and repeats no secret that stands there.
#[test]
fn threat_31_no_command_repeats_a_secret_of_its_environment_files_or_arguments() {
    let without_flag = brevet::config::env::ALL.iter().filter(|variable| variable.flag.is_none());
    let mut rows: Vec<_> = SECRET_VARIABLES.iter().map(|(name, ..)| *name).chain(PLAIN_VARIABLES).collect();
    let mut known: Vec<_> = without_flag.map(|variable| variable.name).collect();
    rows.sort_unstable();
    known.sort_unstable();
    assert_eq!(rows, known, "a variable without a flag holds a secret, or is one of the host's");

    let canary = OpaqueCredential::generate(CredentialKind::Platform, &SystemEntropy).secret().expose().to_owned();
    let canary = Canary::new("canary", &canary);
    let home = Home::new();
    let file = home.path().join("secret");
    let served = Served::start();
    let mut said = 0;
    let mut tried = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = home.brevet(arguments.iter().copied());
        command.env("BREVET_ISSUER", &served.url).env("BREVET_LOG", "trace").envs(variables.iter().copied());
        command.env("BREVET_DEVELOPMENT", "on").env("BREVET_ISSUER_URL", &served.url);
        if variables.iter().any(|(name, _)| *name == "BREVET_HTTPS_PROXY") {
            command.env("BREVET_ISSUER", "https://id.example.com").env("BREVET_TOKEN", "bvt_at_x");
        }
        let ended = process::run(command);
        assert_ne!(ended.code(), Some(0), "{variables:?} {arguments:?}: {ended:#?}");
        said += ended.stderr.len();
        for text in [&ended.stdout, &ended.stderr] {
            assert!(canary.found_in(text).is_none(), "{variables:?} {arguments:?}: {ended:#?}");
        }
    };
    for (name, values, arguments) in SECRET_VARIABLES {
        for value in values {
            let value = value.replace("{}", &canary.text);
            let mut variables = vec![(name, value.as_str())];
            if name == "DATABASE_DIRECT_URL" {
                variables.push(("DATABASE_URL", "postgres://u@127.0.0.1:1/d"));
            }
            tried(&variables, arguments);
            let of_file = format!("{name}_FILE");
            if brevet::config::env::ALL.iter().any(|variable| variable.name == of_file) {
                std::fs::write(&file, &value).unwrap();
                std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
                variables[0] = (of_file.as_str(), file.to_str().unwrap());
                tried(&variables, arguments);
            }
        }
    }
    for arguments in SECRET_ARGUMENTS {
        let filled: Vec<_> = arguments.iter().map(|argument| argument.replace("{}", &canary.text)).collect();
        tried(&[], &filled.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert!(said > 3000, "the commands say what is wrong");
}
