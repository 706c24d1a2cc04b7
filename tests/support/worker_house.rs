//! A worker on a loopback socket, between a scripted issuer and the stand-in AWS.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::aws::bedrock_client::Bedrock;
use brevet::aws::sts::Sts;
use brevet::client::Client;
use brevet::crypto::jwk::thumbprint;
use brevet::domain::audience::Audience;
use brevet::domain::clock::{Clock as _, ManualClock};
use brevet::domain::id::RunId;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::secret::Secret;
use brevet::domain::session_name::SessionName;
use brevet::domain::signing_key::{KeyKind, PublicKey};
use brevet::domain::subject::Subject;
use brevet::fetch::{self, Reach};
use brevet::http::layer::Naming;
use brevet::sandbox::{Config, ProviderConfig, RoleConfig, Running};
use brevet::worker::{PLACES, Parts, Worker};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::clock::clock;
use super::entropy::SeededEntropy;
use super::token_keys;

pub(crate) const AUDIENCE: &str = "https://worker.example.com";
pub(crate) const WORKER_KEY: &str = "bvt_wk_canary-of-the-worker-key";
pub(crate) const AGENT: &str = "scoped_principal:team-1/service_account:agent-1";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/bedrock";
pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";

/// What the scripted issuer has been asked and shall answer.
pub(crate) struct Script {
    pub(crate) exchanges: u64,
    pub(crate) liveness_calls: u64,
    pub(crate) liveness_tokens: u64,
    pub(crate) settings: Value,
    pub(crate) version: i64,
    /// The reason of every liveness answer, and of a 403 to every exchange.
    pub(crate) dead: Option<&'static str>,
    /// Tokens whose credential was revoked.
    pub(crate) dead_tokens: Vec<String>,
    /// Status and code of every exchange.
    pub(crate) refuse: Option<(u16, &'static str)>,
    /// Whether every route of `/v1` answers 503.
    pub(crate) down: bool,
    /// Added to the claims of identity tokens.
    pub(crate) claims: Value,
    /// Members that replace those of the exchange's answer.
    pub(crate) answer: Value,
    /// Identity tokens made so far.
    pub(crate) made: Vec<String>,
    /// How often the worker asked for its teams, which are `team-1` alone.
    pub(crate) whoamis: u64,
    /// Which documents of private issuers were read; there is only team-1's.
    pub(crate) private_reads: Vec<String>,
    /// Whether that one was destroyed.
    pub(crate) private_gone: bool,
}

#[derive(Clone)]
pub(crate) struct ScriptedIssuer {
    script: Arc<Mutex<Script>>,
    clock: Arc<ManualClock>,
    url: String,
}

fn kid() -> String {
    let jwk = token_keys::jwk("ES256");
    let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
    let public = PublicKey::new(KeyKind::P256, &member("x"), &member("y")).unwrap();
    thumbprint(&public).as_str().to_owned()
}

impl ScriptedIssuer {
    async fn start(clock: Arc<ManualClock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Script {
            exchanges: 0,
            liveness_calls: 0,
            liveness_tokens: 0,
            settings: Value::Null,
            version: 1,
            dead: None,
            dead_tokens: Vec::new(),
            refuse: None,
            down: false,
            claims: json!({}),
            answer: json!({}),
            made: Vec::new(),
            whoamis: 0,
            private_reads: Vec::new(),
            private_gone: false,
        };
        let issuer = Self { script: Arc::new(Mutex::new(script)), clock, url };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/jwks.json", get(jwks))
            .route("/t/{team}/.well-known/{document}", get(private))
            .route("/v1/whoami", get(whoami))
            .route("/v1/worker/exchange", post(exchange))
            .route("/v1/worker/liveness", post(liveness))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        issuer
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// A token with the claims of a mint, `change`d.
    pub(crate) fn token(&self, subject: &str, audience: &str, change: &Value) -> String {
        let now = self.clock.now().unix_timestamp();
        let mut claims = json!({
            "iss": self.url, "sub": subject, "aud": audience, "iat": now, "nbf": now - 30, "exp": now + 3600,
            "jti": Uuid::from_u128(u128::try_from(now).unwrap() << 64 | serial()).to_string(),
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name].clone_from(value);
        }
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": kid() });
        token_keys::sign("ES256", &header.to_string(), &claims.to_string())
    }

    /// A caller's token of the private issuer of `named`, signed with team-1's private key.
    pub(crate) fn private_caller(&self, subject: &str, named: &str) -> String {
        let now = self.clock.now().unix_timestamp();
        let claims = json!({
            "iss": format!("{}/t/{named}", self.url), "sub": subject, "aud": AUDIENCE, "iat": now, "nbf": now - 30,
            "exp": now + 3600, "jti": Uuid::from_u128(u128::try_from(now).unwrap() << 64 | serial()).to_string(),
        });
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": private_kid() });
        token_keys::sign("RS256", &header.to_string(), &claims.to_string())
    }

    /// A caller's token for the worker.
    pub(crate) fn caller(&self, subject: &str) -> String {
        self.token(subject, AUDIENCE, &json!({}))
    }
}

fn serial() -> u128 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into()
}

async fn discovery(State(issuer): State<ScriptedIssuer>) -> Json<Value> {
    Json(json!({
        "issuer": issuer.url, "jwks_uri": format!("{}/.well-known/jwks.json", issuer.url),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "claims_supported": ["aud", "iat", "iss", "sub"],
    }))
}

async fn jwks() -> Response {
    let mut jwk = token_keys::jwk("ES256");
    jwk.insert("kid".into(), kid().into());
    ([("cache-control", "public, max-age=3600")], Json(json!({ "keys": [jwk] }))).into_response()
}

fn private_kid() -> String {
    let jwk = token_keys::jwk("RS256");
    let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
    thumbprint(&PublicKey::new(KeyKind::Rsa2048, &member("n"), &member("e")).unwrap()).as_str().to_owned()
}

async fn private(
    State(issuer): State<ScriptedIssuer>,
    axum::extract::Path((team, document)): axum::extract::Path<(String, String)>,
) -> Response {
    let mut script = issuer.script();
    script.private_reads.push(format!("{team}/{document}"));
    let url = format!("{}/t/{team}", issuer.url);
    match document.as_str() {
        _ if team != "team-1" || script.private_gone => problem(404, "not_found"),
        "jwks.json" => {
            let mut jwk = token_keys::jwk("RS256");
            jwk.insert("kid".into(), private_kid().into());
            ([("cache-control", "public, max-age=60")], Json(json!({ "keys": [jwk] }))).into_response()
        }
        _ => Json(json!({ "issuer": url, "jwks_uri": format!("{url}/.well-known/jwks.json") })).into_response(),
    }
}

async fn whoami(State(issuer): State<ScriptedIssuer>) -> Json<Value> {
    issuer.script().whoamis += 1;
    Json(json!({
        "credential_kind": "worker_key", "credential_id": "w", "server_version": "1",
        "teams": [{ "team_uid": "team-1", "name": "One", "audiences": [AUDIENCE], "roles": [] }],
    }))
}

fn problem(status: u16, code: &str) -> Response {
    let body = json!({
        "type": format!("urn:brevet:problem:{code}"), "title": "t", "status": status, "detail": "said so",
        "request_id": "r",
    });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn authorized(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value.as_bytes() == format!("Bearer {WORKER_KEY}").as_bytes())
}

async fn exchange(State(issuer): State<ScriptedIssuer>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let (settings, version, claims, changed) = {
        let mut script = issuer.script();
        script.exchanges += 1;
        if script.down {
            return problem(503, "unavailable");
        }
        if !authorized(&headers) {
            return problem(401, "invalid_credential");
        }
        if let Some((status, code)) = script.refuse {
            return problem(status, code);
        }
        if let Some(reason) = script.dead {
            return problem(403, reason);
        }
        if script.dead_tokens.iter().any(|dead| body["token"] == **dead) {
            return problem(403, "credential_revoked");
        }
        (script.settings.clone(), script.version, script.claims.clone(), script.answer.clone())
    };
    let token = body["token"].as_str().unwrap();
    // The bearer of a run, which nobody here has opened.
    let Some(payload) = token.split('.').nth(1) else { return problem(401, "invalid_token") };
    let presented: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let subject = presented["sub"].as_str().unwrap().to_owned();
    let run = presented["run_id"].as_str().map(|run| RunId::parse(run).unwrap());
    let now = issuer.clock.now();
    let mut change =
        json!({ "exp": now.unix_timestamp() + 300, "https://aws.amazon.com/roles": [settings["role_arn"]] });
    for (name, value) in claims.as_object().unwrap() {
        change[name].clone_from(value);
    }
    let identity = issuer.token(&subject, "sts.amazonaws.com", &change);
    issuer.script().made.push(identity.clone());
    let parsed = Subject::parse(&subject).unwrap();
    let ends = now + time::Duration::minutes(5);
    let mut answer = json!({
        "identity_token": identity,
        "identity_token_expires_at": ends.format(&time::format_description::well_known::Rfc3339).unwrap(),
        "token_id": "x", "subject": subject, "run_id": run.as_ref().map(ToString::to_string),
        "session_name": SessionName::new(parsed.principal(), run.as_ref()).as_str(),
        "settings": settings, "settings_version": version, "recheck_after_seconds": 60,
    });
    for (name, value) in changed.as_object().unwrap() {
        answer[name].clone_from(value);
    }
    Json(answer).into_response()
}

async fn liveness(State(issuer): State<ScriptedIssuer>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut script = issuer.script();
    script.liveness_calls += 1;
    if script.down {
        return problem(503, "unavailable");
    }
    if !authorized(&headers) {
        return problem(401, "invalid_credential");
    }
    let tokens = body["tokens"].as_array().unwrap().len();
    script.liveness_tokens += tokens as u64;
    let one = match script.dead {
        Some(reason) => json!({ "alive": false, "reason": reason }),
        None => json!({ "alive": true, "settings_version": script.version }),
    };
    Json(json!({ "items": vec![one; tokens] })).into_response()
}

/// An answer of the worker, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Our code, beside the status.
    pub(crate) fn code(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or("none").to_owned())
    }
}

/// Worker, issuer and AWS, with one clock.
pub(crate) struct WorkerHouse {
    pub(crate) issuer: ScriptedIssuer,
    pub(crate) aws: Running,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: fetch::Client,
    pub(crate) url: String,
}

impl WorkerHouse {
    /// The usual one; `endpoints` are listed beside the stand-in's.
    pub(crate) async fn start() -> Self {
        Self::with(0, &[]).await
    }

    pub(crate) async fn with(stream_pause_ms: u64, endpoints: &[String]) -> Self {
        let clock = Arc::new(clock());
        let issuer = ScriptedIssuer::start(clock.clone()).await;
        let aws = start_aws(&issuer.url, stream_pause_ms, clock.clone()).await;
        issuer.script().settings = json!({
            "region": "us-east-1", "role_arn": ROLE, "session_duration_seconds": 3600,
            "models": { "haiku": MODEL }, "session_tags": false, "source_identity": false,
            "base_url": aws.url(), "sts_endpoint": aws.url(),
        });
        let url = start_worker(&issuer.url, WORKER_KEY, [&[aws.url()], endpoints].concat(), clock.clone()).await;
        Self { issuer, aws, clock, client: client(), url }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(time::Duration::seconds(seconds));
    }

    pub(crate) fn request(&self, path: &str, token: &str, body: &Value) -> http::Request<Bytes> {
        http::Request::post(format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap()
    }

    pub(crate) async fn send(&self, request: http::Request<Bytes>) -> Answer {
        let patient = fetch::Limits { total: Duration::from_mins(1), body: 1 << 20, ..self.client.limits() };
        let (head, body) = self.client.with_limits(patient).send(request).await.unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// A Converse by `token`.
    pub(crate) async fn converse(&self, token: &str) -> Answer {
        self.send(self.request("/bedrock/model/haiku/converse", token, &prompt())).await
    }

    pub(crate) fn calls(&self, action: &str) -> u64 {
        self.aws.handle().calls(action)
    }
}

/// A body that Converse takes.
pub(crate) fn prompt() -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "text": "Say something." }] }] })
}

/// A client that reaches loopback.
pub(crate) fn client() -> fetch::Client {
    let limits = fetch::Limits { total: Duration::from_mins(1), ..Default::default() };
    fetch::Client::new(fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() }).unwrap()
}

/// A worker of the issuer at that URL; its own URL.
pub(crate) async fn start_worker(
    issuer: &str,
    worker_key: &str,
    allowed_endpoints: Vec<String>,
    clock: Arc<ManualClock>,
) -> String {
    let worker = Worker::new(Parts {
        issuer: IssuerUrl::parse(issuer, Development::On).unwrap(),
        client: Client::new(issuer, client()),
        audience: Audience::parse(AUDIENCE).unwrap(),
        worker_key: Secret::new(worker_key.into()),
        allowed_endpoints,
        sts: Sts::new(client(), clock.clone()).unwrap(),
        bedrock: Bedrock::new(client(), clock.clone()),
        capacity: 100,
        places: PLACES,
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(2)),
    });
    let naming = Naming { clock, entropy: Arc::new(SeededEntropy::new(3)) };
    let router = brevet::http::worker::router(Arc::new(worker), naming);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A stand-in that trusts the issuer at that URL for the subjects of `team-1`, at [`ROLE`].
pub(crate) async fn start_aws(issuer: &str, stream_pause_ms: u64, clock: Arc<ManualClock>) -> Running {
    let provider = issuer.trim_start_matches("http://");
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{provider}") },
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": {
            "StringEquals": { format!("{provider}:aud"): "sts.amazonaws.com" },
            "StringLike": { format!("{provider}:sub"): "scoped_principal:team-1/*" },
        },
    }] });
    let permissions = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "bedrock:*", "Resource": "*",
    }] });
    let config = Config {
        listen: "127.0.0.1:0".into(),
        account: "123456789012".into(),
        loopback_issuers: true,
        stream_pause_ms,
        provider: vec![ProviderConfig {
            url: issuer.into(),
            client_ids: vec!["sts.amazonaws.com".into()],
            thumbprints: Vec::new(),
            fetch_base: None,
        }],
        role: vec![RoleConfig {
            name: "bedrock".into(),
            path: "/".into(),
            account: None,
            trust: trust.to_string(),
            policies: [("bedrock".to_owned(), permissions.to_string())].into(),
            max_session_seconds: 3600,
            tags: std::collections::BTreeMap::default(),
        }],
        ..Config::default()
    };
    brevet::sandbox::start(config, clock, Arc::new(SeededEntropy::new(1))).await.unwrap()
}
