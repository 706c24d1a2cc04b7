//! Each vector of `cases/sts-verdicts.json` (recordings of the real service) and `cases/sts-rules.json` (what follows
//! from its rules) as a test of its own name, over real HTTP against the stand-in.
//!
//! `BREVET_STS_VECTORS=FILE cargo test --test sts_verdicts` runs another file of the same shape. A term that the
//! file's `defaults` do not explain fails the vector that uses it: nothing is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's own main: faults end the test, and one variable names the file"
)]

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with tests/it")]
mod support;

use std::sync::{Arc, LazyLock};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Map, Value, json};
use support::stand_in::{Answer, Issuer, StandIn, call, elements};
use support::token_keys;
use tokio::runtime::Runtime;

const ACCOUNT: &str = "111122223333";
/// 65 characters, like the recording's: the packed size counts them.
const ISSUER: &str = "https://issuer.verdicts.example/an-issuer-with-a-path-of-its-own1";
const PROVIDER_HOST: &str = "provider.verdicts.example";
const ROLE: &str = "verdicts-role";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn main() {
    let arguments = Arguments::from_args();
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let recorded = format!("{cases}/sts-verdicts.json");
    let defaults = Arc::new(read(&recorded)["defaults"].take());
    let paths = match std::env::var("BREVET_STS_VECTORS") {
        Ok(path) => vec![path],
        Err(_) => vec![recorded, format!("{cases}/sts-rules.json")],
    };
    let trials = paths.iter().flat_map(|path| trials(path, &defaults)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The vectors of one file; a file without defaults of its own takes the recordings'.
fn trials(path: &str, recorded: &Arc<Value>) -> Vec<Trial> {
    let mut file = read(path);
    let defaults = match file["defaults"].take() {
        Value::Null => Arc::clone(recorded),
        own => Arc::new(own),
    };
    let Value::Array(vectors) = file["vectors"].take() else { panic!("{path}: no vectors") };
    let trial = |vector: Value| {
        let defaults = Arc::clone(&defaults);
        let name = format!("{}::{}", plain(&vector["group"]), plain(&vector["id"]));
        Trial::test(name, move || {
            let run = std::panic::catch_unwind(|| RUNTIME.block_on(run(&defaults, &vector)));
            run.map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let told = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Failed::from(told.unwrap_or_default())
            })
        })
    };
    vectors.into_iter().map(trial).collect()
}

async fn run(defaults: &Value, vector: &Value) {
    let known = ["id", "group", "token", "jwks", "discovery", "provider", "role", "request", "expect", "note"];
    check_terms(vector, &known, "vector");
    let world = World::start(defaults).await;
    let operation = vector["request"]["operation"].as_str().unwrap_or("AssumeRoleWithWebIdentity");
    world.make_existing(&vector["provider"]).await;
    if operation == "AssumeRoleWithWebIdentity" {
        world.exchange(vector).await;
    } else {
        world.manage(operation, vector).await;
    }
}

/// One stand-in, one issuer, one role.
struct World<'d> {
    defaults: &'d Value,
    stand_in: StandIn,
    issuer: Issuer,
}

impl<'d> World<'d> {
    async fn start(defaults: &'d Value) -> Self {
        let stand_in =
            StandIn::start(brevet::sandbox::Config { account: ACCOUNT.to_owned(), ..Default::default() }).await;
        let issuer = Issuer::default();
        let base = issuer.start().await;
        let origin = "https://issuer.verdicts.example";
        stand_in.running.handle().read_issuer_from(origin, &base);
        Self { defaults, stand_in, issuer }
    }

    /// The defaults of one section under a vector's own members; a null removes one.
    fn merged(&self, section: &str, own: &Value) -> Map<String, Value> {
        let mut merged = self.defaults[section].as_object().cloned().unwrap_or_default();
        merged.remove("terms");
        for (name, value) in own.as_object().into_iter().flatten() {
            if value.is_null() {
                merged.remove(name);
            } else {
                merged.insert(name.clone(), value.clone());
            }
        }
        merged
    }

    async fn exchange(&self, vector: &Value) {
        let sent = self.token(&vector["token"]);
        self.publish(vector);
        if !vector.get("provider").is_some_and(Value::is_null) {
            self.register(&self.merged("provider", &vector["provider"])).await;
        }
        self.make_role(&vector["role"]).await;

        let mut parameters = self.merged("request", &vector["request"]);
        parameters.remove("operation");
        assert_ne!(parameters.remove("signed"), Some(Value::Bool(true)), "the call is never signed");
        parameters.entry("WebIdentityToken").or_insert_with(|| sent.jwt.clone().into());
        let answer = self.stand_in.unsigned(&self.flat("AssumeRoleWithWebIdentity", "2011-06-15", &parameters)).await;

        let expect = &vector["expect"];
        let resolve = |value: &Value| plain(&self.resolve_for(value, Some(&sent)));
        if expect["ok"] == false {
            assert_refused(&answer, &resolve(&expect["code"]), expect.get("message").map(resolve));
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        let known =
            ["ok", "audience", "subject", "provider", "source_identity", "packed_policy_size", "session_seconds"];
        check_terms(expect, &known, "expect");
        for (name, element) in
            [("audience", "Audience"), ("subject", "SubjectFromWebIdentityToken"), ("provider", "Provider")]
        {
            if let Some(value) = expect.get(name) {
                assert_eq!(answer.text(element), Some(resolve(value)), "{name}");
            }
        }
        assert_eq!(answer.text("SourceIdentity"), expect.get("source_identity").map(resolve), "source_identity");
        let session = plain(&self.resolve(&parameters["RoleSessionName"]));
        assert_eq!(answer.text("Arn").unwrap(), format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{session}"));
        let id = answer.text("AssumedRoleId").unwrap();
        assert!(id.starts_with("AROA") && id.ends_with(&format!(":{session}")), "{id}");
        assert!(answer.text("AccessKeyId").unwrap().starts_with("ASIA"));
        if let Some(seconds) = expect["session_seconds"].as_i64() {
            let expiration = answer.text("Expiration").unwrap();
            let expires = time::OffsetDateTime::parse(&expiration, &time::format_description::well_known::Rfc3339);
            let lasts = expires.unwrap().unix_timestamp() - self.stand_in.seconds();
            assert!((lasts - seconds).abs() <= 2, "session of {lasts} s instead of {seconds}");
        }
        if let Some(size) = expect["packed_policy_size"].as_i64() {
            let found: i64 = answer.text("PackedPolicySize").unwrap().parse().unwrap();
            assert!((found - size).abs() <= 3, "packed policy size {found} instead of {size}");
        }
    }

    /// An IAM call, and what a read gives back afterwards.
    async fn manage(&self, operation: &str, vector: &Value) {
        let mut parameters = self.merged("request", &json!({}));
        parameters.clear();
        parameters.extend(vector["request"].as_object().unwrap().clone());
        parameters.remove("operation");
        let answer = self.iam(operation, &parameters).await;
        let expect = &vector["expect"];
        if expect["ok"] == false {
            let message = expect.get("message").map(|message| plain(&self.resolve(message)));
            assert_refused(&answer, &plain(&self.resolve(&expect["code"])), message);
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        check_terms(expect, &["ok", "arn", "url", "client_ids", "thumbprints", "tags"], "expect");
        if let Some(arn) = expect.get("arn") {
            assert_eq!(answer.text("OpenIDConnectProviderArn"), Some(plain(&self.resolve(arn))), "arn");
        }
        let members = ["url", "client_ids", "thumbprints", "tags"];
        if !members.iter().any(|name| expect.get(*name).is_some()) {
            return;
        }
        let arn = answer
            .text("OpenIDConnectProviderArn")
            .unwrap_or_else(|| plain(&self.resolve(&parameters["OpenIDConnectProviderArn"])));
        let read = self.stand_in.iam("GetOpenIDConnectProvider", &[("OpenIDConnectProviderArn", &arn)]).await;
        let list = |name: &str| elements(&elements(&read.body, name).concat(), "member");
        if let Some(url) = expect.get("url") {
            assert_eq!(read.text("Url"), Some(plain(&self.resolve(url))), "url");
        }
        for (name, element) in [("client_ids", "ClientIDList"), ("thumbprints", "ThumbprintList")] {
            if let Some(wanted) = expect.get(name) {
                assert_eq!(json!(list(element)), self.resolve(wanted), "{name}");
            }
        }
        if let Some(wanted) = expect.get("tags") {
            let pairs = list("Tags");
            let text = |pair: &str, name: &str| elements(pair, name).concat();
            let tags: Vec<Value> =
                pairs.iter().map(|pair| json!({ "Key": text(pair, "Key"), "Value": text(pair, "Value") })).collect();
            assert_eq!(json!(tags), self.resolve(wanted), "tags");
        }
    }

    async fn make_existing(&self, provider: &Value) {
        for existing in provider["existing"].as_array().into_iter().flatten() {
            let input = match existing {
                Value::String(url) => Map::from_iter([("Url".to_owned(), url.clone().into())]),
                input => input.as_object().unwrap().clone(),
            };
            let answer = self.iam("CreateOpenIDConnectProvider", &input).await;
            assert_eq!(answer.status, 200, "existing provider: {}", answer.body);
        }
    }

    async fn register(&self, provider: &Map<String, Value>) {
        let mut input = Map::from_iter([("Url".to_owned(), provider["url"].clone())]);
        for (name, parameter) in [("client_ids", "ClientIDList"), ("thumbprints", "ThumbprintList")] {
            if let Some(list) = provider.get(name).filter(|value| value.is_array()) {
                input.insert(parameter.to_owned(), list.clone());
            }
        }
        for name in provider.keys() {
            assert!(["url", "client_ids", "thumbprints", "existing"].contains(&name.as_str()), "provider term {name}");
        }
        let answer = self.iam("CreateOpenIDConnectProvider", &input).await;
        assert_eq!(answer.status, 200, "provider: {}", answer.body);
    }

    async fn make_role(&self, own: &Value) {
        let role = self.merged("role", own);
        for name in role.keys() {
            assert!(["name", "max_session_duration", "trust"].contains(&name.as_str()), "role term {name}");
        }
        let trust = json!({ "Version": "2012-10-17", "Statement": self.resolve(&role["trust"]) });
        let parameters = Map::from_iter([
            ("RoleName".to_owned(), ROLE.into()),
            ("AssumeRolePolicyDocument".to_owned(), trust.to_string().into()),
            ("MaxSessionDuration".to_owned(), role["max_session_duration"].clone()),
        ]);
        // The policy is already resolved; nothing in it is a term any more.
        let flat: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
        let flat: Vec<_> = flat.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = self.stand_in.iam("CreateRole", &flat).await;
        assert_eq!(answer.status, 200, "role: {}", answer.body);
    }

    async fn iam(&self, operation: &str, parameters: &Map<String, Value>) -> Answer {
        let flat = self.flat(operation, "2010-05-08", parameters);
        self.stand_in.signed("iam", &self.stand_in.administrator(), &flat).await
    }

    /// Parameters as the query protocol flattens them.
    fn flat(&self, operation: &str, version: &str, parameters: &Map<String, Value>) -> Vec<(String, String)> {
        let mut flat = call(operation, version, &[]);
        for (name, value) in parameters {
            flatten(name, &self.resolve(value), &mut flat);
        }
        flat
    }

    /// Serves the discovery document and the keys that the vector asks for.
    fn publish(&self, vector: &Value) {
        let mut discovery = self.merged("discovery", &vector["discovery"]);
        let at = plain(&self.resolve(&discovery.remove("at").unwrap()));
        let path = |url: &str| url.strip_prefix("https://issuer.verdicts.example").unwrap_or(url).to_owned();
        let document: Map<String, Value> =
            discovery.iter().map(|(name, value)| (name.clone(), self.resolve(value))).collect();
        if let Some(uri) = document.get("jwks_uri").and_then(Value::as_str) {
            self.issuer.publish(&path(uri), &json!({ "keys": self.keys(&vector["jwks"]) }));
        }
        self.issuer.publish(&path(&at), &document.into());
    }

    fn keys(&self, own: &Value) -> Vec<Value> {
        let known = ["keys", "only", "kid", "alg", "use", "key_ops", "duplicate", "x5c", "rsa_count", "also"];
        check_terms(own, &known, "jwks");
        let names = |value: &Value| value.as_array().into_iter().flatten().map(plain).collect::<Vec<_>>();
        let listed = match own.get("only") {
            Some(only) => vec![plain(only)],
            None => names(own.get("keys").unwrap_or(&self.defaults["jwks"]["keys"])),
        };
        let mut keys = Vec::new();
        for name in &listed {
            let mut key = token_keys::jwk(name);
            for member in ["kid", "alg", "use", "key_ops"] {
                match own.get(member) {
                    None => {}
                    Some(Value::Null) => drop(key.remove(member)),
                    Some(Value::String(text)) if text == "absent" => drop(key.remove(member)),
                    Some(value) => drop(key.insert(member.to_owned(), self.resolve(value))),
                }
            }
            match own.get("x5c").map(plain).as_deref() {
                None => {}
                Some("matching") => drop(key.insert("x5c".to_owned(), json!([token_keys::certificate()]))),
                Some("only") => {
                    key.retain(|member, _| !["n", "e", "alg", "use"].contains(&member.as_str()));
                    key.insert("x5c".to_owned(), json!([token_keys::certificate()]));
                }
                Some("conflict") => {
                    key.insert("n".to_owned(), wrong_modulus());
                    key.insert("x5c".to_owned(), json!([token_keys::certificate()]));
                }
                Some(other) => panic!("x5c term {other}"),
            }
            let mut wrong = key.clone();
            wrong.insert("n".to_owned(), wrong_modulus());
            match own.get("duplicate").map(plain).as_deref() {
                None => keys.push(key),
                Some("identical") => keys.extend([key.clone(), key]),
                Some("wrong-last") => keys.extend([key, wrong]),
                Some("wrong-first") => keys.extend([wrong, key]),
                Some(other) => panic!("duplicate term {other}"),
            }
        }
        let fillers = own.get("rsa_count").and_then(Value::as_u64).map_or(0, |count| count - 1);
        for filler in 0..fillers {
            let mut key = token_keys::jwk("RS256");
            key.insert("kid".to_owned(), format!("filler-{filler}").into());
            keys.push(key);
        }
        keys.extend(own.get("also").map(names).unwrap_or_default().iter().map(|name| token_keys::jwk(name)));
        keys.into_iter().map(Value::Object).collect()
    }

    fn token(&self, own: &Value) -> Sent {
        check_terms(own, &["alg", "header", "claims", "claims_append"], "token");
        let defaults = &self.defaults["token"];
        let alg = plain(own.get("alg").unwrap_or(&defaults["alg"]));
        let members = |section: &str| -> Map<String, Value> {
            let mut members = defaults[section].as_object().cloned().unwrap_or_default();
            members.extend(own[section].as_object().cloned().unwrap_or_default());
            members.retain(|_, value| !value.is_null());
            members.into_iter().map(|(name, value)| (name, self.resolve(&with_alg(&value, &alg)))).collect()
        };
        let header = Value::Object(members("header")).to_string();
        let claims = members("claims");
        let mut text = Value::Object(claims.clone()).to_string();
        if let Some(append) = own["claims_append"].as_str() {
            text.truncate(text.len() - 1);
            text = format!("{text},{append}}}");
        }
        Sent { jwt: token_keys::sign(&alg, &header, &text), claims }
    }

    fn resolve(&self, value: &Value) -> Value {
        self.resolve_for(value, None)
    }

    /// Terms and placeholders, all the way down.
    fn resolve_for(&self, value: &Value, sent: Option<&Sent>) -> Value {
        match value {
            Value::String(text) => {
                let whole = self.defaults["placeholders"].get(text.as_str()).filter(|value| !value.is_string());
                whole.map_or_else(|| self.filled(text, sent).into(), |whole| self.resolve_for(whole, sent))
            }
            Value::Array(list) => list.iter().map(|value| self.resolve_for(value, sent)).collect(),
            Value::Object(members) => self.term(members).unwrap_or_else(|| {
                members.iter().map(|(name, value)| (self.filled(name, sent), self.resolve_for(value, sent))).collect()
            }),
            value => value.clone(),
        }
    }

    fn term(&self, members: &Map<String, Value>) -> Option<Value> {
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        match names[..] {
            ["json"] => Some(members["json"].clone()),
            ["repeat"] => {
                let count = usize::try_from(members["repeat"][1].as_u64()?).ok()?;
                Some(plain(&members["repeat"][0]).repeat(count).into())
            }
            ["time"] | ["as", "time"] | ["time", "as"] => {
                let offset = members["time"].as_str()?.strip_prefix("now")?;
                let now = self.stand_in.seconds();
                let number = match offset {
                    "" => json!(now),
                    whole if !whole.contains('.') => json!(now + whole.parse::<i64>().unwrap()),
                    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
                    fraction => json!(now as f64 + fraction.parse::<f64>().unwrap()),
                };
                match members.get("as").map(plain).as_deref() {
                    None => Some(number),
                    Some("string") => Some(plain(&number).into()),
                    Some(other) => panic!("time as {other}"),
                }
            }
            _ => None,
        }
    }

    /// Placeholders within a text.
    fn filled(&self, text: &str, sent: Option<&Sent>) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').expect("a closed placeholder");
            filled.push_str(before);
            let (name, upper) = name.strip_suffix("|upper").map_or((name, false), |name| (name, true));
            let value = self.placeholder(name, sent);
            filled.push_str(&if upper { value.to_uppercase() } else { value });
            rest = behind;
        }
        filled + rest
    }

    fn placeholder(&self, name: &str, sent: Option<&Sent>) -> String {
        let host = ISSUER.trim_start_matches("https://");
        match name {
            "account" => ACCOUNT.to_owned(),
            "issuer" => ISSUER.to_owned(),
            "issuer_host" => host.to_owned(),
            "provider_arn" => format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"),
            "role_arn" => format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
            "other_role_arn" => format!("arn:aws:iam::{ACCOUNT}:role/another-role"),
            "provider_host" => PROVIDER_HOST.to_owned(),
            "sub" if sent.is_none() => plain(&self.resolve(&self.defaults["token"]["claims"]["sub"])),
            "sub" | "iat" | "exp" | "nbf" | "aud" | "iss" | "azp" => {
                plain(&sent.expect("a claim of the token sent").claims[name])
            }
            name => match name.strip_prefix("now") {
                Some(offset) => (self.stand_in.seconds() + offset.parse::<i64>().unwrap_or(0)).to_string(),
                None => panic!("placeholder {name}"),
            },
        }
    }
}

/// What was sent.
struct Sent {
    jwt: String,
    claims: Map<String, Value>,
}

/// The exact code, and the exact message where one was recorded.
fn assert_refused(answer: &Answer, code: &str, message: Option<String>) {
    let (found_code, found) = answer.error();
    assert_eq!((found_code.as_str(), &found), (code, message.as_ref().unwrap_or(&found)), "status {}", answer.status);
    let status = match code {
        "InternalFailure" => 500,
        "AccessDenied" | "IDPRejectedClaim" | "RegionDisabledException" => 403,
        "NoSuchEntity" => 404,
        "EntityAlreadyExists" | "LimitExceeded" => 409,
        _ => 400,
    };
    assert_eq!(answer.status, status, "status of {code}");
}

fn wrong_modulus() -> Value {
    use base64::Engine as _;
    let mut modulus = token_keys::modulus();
    let end = modulus.len();
    modulus[end - 3] &= 0xf0;
    modulus[end - 2..].fill(0);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(modulus).into()
}

fn with_alg(value: &Value, alg: &str) -> Value {
    match value {
        Value::String(text) => text.replace("${alg}", alg).into(),
        value => value.clone(),
    }
}

fn flatten(name: &str, value: &Value, flat: &mut Vec<(String, String)>) {
    match value {
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                flatten(&format!("{name}.member.{}", index + 1), item, flat);
            }
        }
        Value::Object(members) => {
            for (member, value) in members {
                flatten(&format!("{name}.{member}"), value, flat);
            }
        }
        value => flat.push((name.to_owned(), plain(value))),
    }
}

fn check_terms(section: &Value, known: &[&str], what: &str) {
    for name in section.as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(known.contains(&name.as_str()), "{what} term {name} is not understood");
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
