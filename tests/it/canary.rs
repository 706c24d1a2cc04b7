//! A canary of each kind of secret through every way in, right and wrong: found in no log, no answer but the one that
//! shows it, no audit row.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock as _;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::secret::Secret;
use brevet::http::layer::panic::caught;
use brevet::store::{EventFilter, Page};
use clap::Parser as _;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::app::{App, ISSUER, request};
use crate::support::caller::Caller;
use crate::support::foreign_issuer::jwks;
use crate::support::house::{House, Listener, request as house_request};
use crate::support::logs::Logs;
use crate::support::process::{self, Home};
use crate::support::served::{Served, free_port};
use crate::support::token_keys::{jwk, sign};
use crate::support::variable;

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
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            std::panic::resume_unwind(Box::new(format!("{secret:?} {}", secret.expose())));
        }));
        let answer = axum::response::IntoResponse::into_response(caught(panicked.unwrap_err()));
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        answers.push_str(&String::from_utf8_lossy(&body));
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

/// Something that must not be told, and a stretch of it that no chance repeats.
struct Canary {
    name: &'static str,
    text: String,
    needle: String,
}

impl Canary {
    fn new(name: &'static str, text: &str) -> Self {
        // What differs between two of one kind: of a JWT the signature, else what is behind the prefix.
        let needle = text.rsplit('.').next().unwrap();
        let (start, end) =
            if needle.len() > 60 { (needle.len() - 50, needle.len() - 8) } else { (8, needle.len() - 6) };
        Self { name, needle: needle[start..end].to_owned(), text: text.to_owned() }
    }
}

/// PKCS#8 in base64: what stands between the lines of a PEM file.
fn private_key(name: &str) -> String {
    let path = format!("{}/tests/cases/signing-keys/{name}.pkcs8.base64", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().split_whitespace().collect()
}

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
    let session = text(&public("", "/v1/sessions", json!({"code": code().await})).await, "access_token");
    let run = text(&public(&key, "/v1/runs", json!({"audiences": [WORKER]})).await, "bearer");
    let token = text(&public(&key, "/v1/identity-tokens", json!({"audience": WORKER})).await, "token");
    let now = house.app.clock.now().unix_timestamp();
    let jwt = |issuer: &str, subject: &str, audience: &str| {
        let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + 240, "jti": "j"});
        sign("ES256", &json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string(), &claims.to_string())
    };
    let unknown = |kind| OpaqueCredential::generate(kind, house.app.entropy.as_ref()).secret().expose().to_owned();
    vec![
        Canary::new("administrator key", operator),
        Canary::new("service account key", &key),
        Canary::new("access token of a person", &session),
        Canary::new("platform key", &platform),
        Canary::new("worker key", &worker),
        Canary::new("run bearer", &run),
        Canary::new("enrolment code", &code().await),
        Canary::new("refresh token", &unknown(CredentialKind::Refresh)),
        Canary::new("unknown access token", &unknown(CredentialKind::Access)),
        Canary::new("identity token", &token),
        Canary::new("client assertion", &jwt("robot", "robot", ISSUER)),
        Canary::new("subject token", &jwt("https://ci.example.com", "job", &format!("{ISSUER}/teams/acme"))),
        Canary::new("key-encryption key", house.app.kek.expose()),
        Canary::new("private signing key", &private_key("active")),
        Canary::new("private key of others", &private_key("standby")),
        Canary::new("static AWS secret", "wJalrXUtnFEMIcanaryK7MDENGbPxRfiCYEXAMPLEKEY"),
    ]
}

/// Members of requests that people call things by: whatever stands in them is shown.
const NAMES: [&str; 5] = ["name", "email", "device", "labels", "cost_tags"];

/// An operation of the router.
struct Operation {
    path: String,
    method: String,
    /// The type of its body, and the members that are not what something is called by.
    body: Option<(String, Vec<String>)>,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document = serde_json::to_value(brevet::http::admin::document()).unwrap();
        let members = |schema: &Value| {
            let schema = match schema["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => schema,
            };
            let members = schema["properties"].as_object().unwrap().keys();
            members.filter(|name| !NAMES.contains(&name.as_str())).cloned().collect()
        };
        let of = |(path, method, described): (String, String, Value)| {
            let content = described["requestBody"]["content"].as_object();
            let body = content.and_then(|content| content.iter().next());
            Self { path, method, body: body.map(|(media, body)| (media.clone(), members(&body["schema"]))) }
        };
        let nothing = ("/v1/{nothing}".to_owned(), "GET".to_owned(), Value::Null);
        crate::openapi::operations().into_iter().chain([nothing]).map(of).collect()
    }
}

/// A request of an operation with the canary in every place it has: path, query, headers, members of its body. `named`
/// puts it where a member's name belongs.
fn stuffed(Operation { path, method, body }: &Operation, canary: &str, bearer: &str, named: bool) -> Request<Body> {
    let encoded: String = form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    let path: Vec<_> =
        path.split('/').map(|segment| if segment.starts_with('{') { encoded.as_str() } else { segment }).collect();
    let uri = format!("/brevet{}?after={encoded}&limit={encoded}&team={encoded}&{encoded}=1", path.join("/"));
    let mut request = Request::builder().method(method.as_str()).uri(uri);
    for name in ["if-match", "idempotency-key", "x-request-id", "x-api-key", "cookie", "x-forwarded-for", "origin"] {
        request = request.header(name, canary);
    }
    let Some((media, members)) = body else {
        return request.header("authorization", format!("Bearer {bearer}")).body(Body::empty()).unwrap();
    };
    let members = members.iter();
    let request = request.header("content-type", media);
    if media == "application/json" {
        let mut body: serde_json::Map<_, _> = members.map(|name| (name.clone(), json!(canary))).collect();
        if named {
            body = serde_json::Map::from_iter([(canary.to_owned(), json!(1))]);
        }
        let body = Body::from(Value::from(body).to_string());
        return request.header("authorization", format!("Bearer {bearer}")).body(body).unwrap();
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    let grants = ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"];
    if named {
        form.append_pair(canary, "1").append_pair(canary, "2");
    } else {
        form.append_pair("grant_type", grants[canary.len() % 2]);
        members.filter(|name| *name != "grant_type").for_each(|name| drop(form.append_pair(name, canary)));
    }
    request.body(Body::from(form.finish())).unwrap()
}

/// What shows a canary where it belongs, and once more nearly so.
fn presented_as_itself(canary: &Canary, path: &str, method: &str) -> Vec<Request<Body>> {
    let text = &canary.text;
    if !path.starts_with("/oauth2/") {
        let concrete = crate::authorization::concrete(path);
        let body = || matches!(method, "POST" | "PUT" | "PATCH").then(|| json!({}));
        return [text.clone(), text[..text.len() - 1].to_owned(), format!("{text}x"), format!("{text} {text}")]
            .into_iter()
            .map(|bearer| house_request(&bearer, method, &concrete, body(), &[]))
            .collect();
    }
    let form = |pairs: &[(&str, &str)]| {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = Request::builder().method(method).uri(format!("/brevet{path}"));
        request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap()
    };
    let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let (exchange, jwt) = ("urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:token-type:jwt");
    [text.as_str(), &text[..text.len() - 1], &format!("{text}%zz")]
        .into_iter()
        .flat_map(|text| {
            let grant = ("grant_type", "client_credentials");
            let basic = STANDARD.encode(format!("robot:{text}"));
            let mut basic_form = form(&[grant, ("token", text)]);
            basic_form.headers_mut().insert("authorization", format!("Basic {basic}").parse().unwrap());
            [
                basic_form,
                form(&[grant, ("client_id", "robot"), ("client_secret", text), ("token", text)]),
                form(&[grant, ("client_assertion_type", assertion), ("client_assertion", text), ("token", text)]),
                form(&[
                    ("grant_type", exchange),
                    ("client_id", "robot"),
                    ("subject_token", text),
                    ("subject_token_type", jwt),
                ]),
                form(&[grant, ("scope", text), ("client_id", text)]),
                form(&[("grant_type", text), ("token_type_hint", text)]),
            ]
        })
        .collect()
}

/// Every operation that the router has (the authorization matrix shows that it has no others), and a path that it lacks.
#[tokio::test]
async fn threat_31_no_route_repeats_a_canary_of_any_kind() {
    let logs = Logs::capture();
    let house = House::new().await;
    let made = house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await;
    let operator = made["key"].as_str().unwrap();
    let canaries = everything(&house, operator).await;
    let operations = Operation::all();
    assert!(operations.len() > 90);
    let mut told = Vec::new();
    for operation in &operations {
        let Operation { path, method, body } = operation;
        for canary in &canaries {
            let mut requests = presented_as_itself(canary, path, method);
            requests.push(stuffed(operation, &canary.text, operator, false));
            requests.push(stuffed(operation, &canary.text, &canary.text, false));
            if body.is_some() {
                requests.push(stuffed(operation, &canary.text, operator, true));
            }
            for request in requests {
                let answer = house.send(Listener::Same, request).await;
                let answer = format!("{} {:?} {}", answer.status, answer.headers, answer.text);
                let found = canaries.iter().find(|canary| answer.contains(&canary.needle));
                told.extend(found.map(|found| format!("{method} {path} tells the {}: {answer}", found.name)));
            }
        }
    }
    assert!(told.is_empty(), "{} answers: {}", told.len(), told[..told.len().min(5)].join("\n"));
    let (logged, rows) = (logs.text(), rows(&house.app).await);
    assert!(logged.contains("brevet::access") && rows.len() > 10_000, "there is something to be searched");
    for canary in &canaries {
        let at = logged.find(&canary.needle);
        assert!(
            at.is_none(),
            "the {} is in the log: …{}",
            canary.name,
            &logged[at.unwrap().saturating_sub(400)..at.unwrap()]
        );
        assert!(!rows.contains(&canary.needle), "the {} is in a row", canary.name);
    }
}

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

    let aws = "wJalrXUtnFEMIcanaryK7MDENGbPxRfiCYEXAMPLEKEY";
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
            if content.windows(secret.needle.len()).any(|part| part == secret.needle.as_bytes()) {
                held.push((secret.name, path.strip_prefix(served.home.path()).unwrap_or(path).display().to_string()));
            }
        }
    }
    assert_eq!(held, [("administrator key", "first-administrator.key".to_owned())]);
    // The one file that holds a person's session, and no log or argument beside it.
    let (session, content) = places
        .iter()
        .find(|(path, _)| path.ends_with("sessions.json") || path.to_string_lossy().contains("state/brevet/"))
        .expect("a saved session");
    let content = String::from_utf8_lossy(content);
    let start = content.find("bvt_at_").expect("its access token");
    let session_needle = &content[start + 8..start + 50];
    for (path, text) in &places {
        assert_eq!(String::from_utf8_lossy(text).contains(session_needle), path == session, "{}", path.display());
    }
}
