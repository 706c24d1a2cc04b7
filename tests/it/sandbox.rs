//! The stand-in AWS from outside: what clumsy and hostile callers get, streams, sessions, faults.

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a broken expectation is told")]

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use brevet::domain::clock::Clock as _;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::session_name::SourceIdentity;
use brevet::domain::subject::Subject;
use brevet::iam::deny;
use brevet::iam::document::Document;
use brevet::sandbox::{Config, ConfigError, Fault, StartError};
use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::HeaderValue;
use serde_json::{Value, json};

use crate::support::stand_in::{Answer, Issuer, Keys, StandIn, call, form};
use crate::support::token_keys;

const HAIKU: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const ROLE: &str = "arn:aws:iam::111122223333:role/agents/bedrock";
const SECOND_ROLE: &str = "arn:aws:iam::111122223333:role/second";

const CONFIG: &str = r#"
    stream_pause_ms = 0
    [[role]]
    name = "bedrock"
    path = "/agents/"
    max_session_seconds = 7200
    trust = """{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/issuer.example"},
        "Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"],
        "Condition":{"StringLike":{"issuer.example:sub":"scoped_principal:T/*"}}}}"""
    [role.policies]
    invoke = """{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["bedrock:InvokeModel*","bedrock:CountTokens"],"Resource":"arn:aws:bedrock:us-east-1::foundation-model/anthropic.*"},
        {"Effect":"Deny","Action":"bedrock:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/brevet:team":"barred"}}},
        {"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111122223333:role/second"}]}"""
    [[role]]
    name = "second"
    max_session_seconds = 43200
    trust = """{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"],
        "Condition":{"StringEquals":{"sts:ExternalId":"brevet-1"}}}}"""
    [role.policies]
    invoke = """{"Version":"2012-10-17","Statement":
        {"Effect":"Allow","Action":"bedrock:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/brevet:team":"T"}}}}"""
"#;

/// A stand-in that trusts an issuer.
struct World {
    stand_in: StandIn,
    issuer: Issuer,
}

impl World {
    async fn start() -> Self {
        Self::with(Config::from_toml(CONFIG).unwrap()).await
    }

    async fn with(mut config: Config) -> Self {
        let issuer = Issuer::default();
        let base = issuer.start().await;
        let provider = format!(
            "[[provider]]\nurl = \"https://issuer.example\"\nclient_ids = [\"sts.amazonaws.com\"]\nfetch_base = \"{base}\""
        );
        config.provider = Config::from_toml(&provider).unwrap().provider;
        issuer.publish(
            "/.well-known/openid-configuration",
            &json!({
                "issuer": "https://issuer.example", "jwks_uri": "https://issuer.example/keys",
                "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"], "claims_supported": ["sub"],
            }),
        );
        issuer.publish("/keys", &json!({ "keys": [token_keys::jwk("ES256")] }));
        Self { stand_in: StandIn::start(config).await, issuer }
    }

    fn token(&self, more: &Value) -> String {
        let now = self.stand_in.seconds();
        let mut claims = json!({
            "iss": "https://issuer.example", "sub": "scoped_principal:T/service_account:S",
            "aud": "sts.amazonaws.com", "iat": now, "exp": now + 300,
        });
        claims.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        token_keys::sign("ES256", r#"{"alg":"ES256","kid":"ES256"}"#, &claims.to_string())
    }

    async fn exchange(&self, more: &Value, parameters: &[(&str, &str)]) -> Answer {
        let token = self.token(more);
        let mut all = vec![("RoleArn", ROLE), ("RoleSessionName", "s.S"), ("WebIdentityToken", token.as_str())];
        all.retain(|(name, _)| !parameters.iter().any(|(own, _)| own == name));
        all.extend(parameters);
        self.stand_in.unsigned(&call("AssumeRoleWithWebIdentity", "2011-06-15", &all)).await
    }

    async fn session(&self) -> Keys {
        self.exchange(&json!({}), &[]).await.keys()
    }

    async fn invoke(&self, keys: &Keys, model: &str) -> Answer {
        let mut request = self.stand_in.model_request(model, "invoke", &messages("hello there"));
        self.stand_in.sign(&mut request, "bedrock", "us-east-1", keys);
        self.stand_in.send(request).await
    }

    async fn sts(&self, keys: &Keys, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.stand_in.signed("sts", keys, &call(action, "2011-06-15", parameters)).await
    }
}

fn messages(text: &str) -> Value {
    json!({
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 100,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": text }] }],
    })
}

fn error(status: u16, code: &str, message: &str) -> (u16, (String, String)) {
    (status, (code.to_owned(), message.to_owned()))
}

#[tokio::test]
async fn what_clumsy_query_requests_get() {
    let world = World::start().await;
    let token = world.token(&json!({}));
    let long = "t".repeat(20001);
    let base = [("RoleArn", ROLE), ("RoleSessionName", "s.S"), ("WebIdentityToken", token.as_str())];
    let null = |field: &str| {
        format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        )
    };
    let rule = |value: &str, field: &str, rule: &str| {
        format!(
            "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: Member must {rule}"
        )
    };
    for (name, value, code, message) in [
        ("RoleArn", None, "ValidationError", null("roleArn")),
        ("RoleArn", Some("arn"), "ValidationError", rule("arn", "roleArn", "have length greater than or equal to 20")),
        ("RoleArn", Some("not-an-arn-but-long-enough"), "ValidationError", "not-an-arn-but-long-enough is invalid".to_owned()),
        ("RoleSessionName", None, "ValidationError", null("roleSessionName")),
        ("RoleSessionName", Some("s"), "ValidationError", rule("s", "roleSessionName", "have length greater than or equal to 2")),
        ("RoleSessionName", Some("a/b"), "ValidationError", rule("a/b", "roleSessionName", "satisfy regular expression pattern: [\\w+=,.@-]*")),
        ("WebIdentityToken", None, "ValidationError", null("webIdentityToken")),
        ("WebIdentityToken", Some("abc"), "ValidationError", "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4".to_owned()),
        ("WebIdentityToken", Some(long.as_str()), "ValidationError", "1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: Member must have length less than or equal to 20000".to_owned()),
        ("WebIdentityToken", Some("an.access.token"), "InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)".to_owned()),
        ("DurationSeconds", Some("899"), "ValidationError", rule("899", "durationSeconds", "have value greater than or equal to 900")),
        ("DurationSeconds", Some("one"), "MalformedInput", "DurationSeconds must be an integer".to_owned()),
        ("DurationSeconds", Some("7201"), "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".to_owned()),
        ("Policy", Some("{"), "MalformedPolicyDocument", "policy: this policy contains invalid JSON".to_owned()),
        ("Policy", Some(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}"#), "MalformedPolicyDocument", "Statement[0].Resource: must be * or in ARN format".to_owned()),
    ] {
        let mut parameters = base.to_vec();
        parameters.retain(|(known, _)| *known != name);
        parameters.extend(value.map(|value| (name, value)));
        let answer = world.stand_in.unsigned(&call("AssumeRoleWithWebIdentity", "2011-06-15", &parameters)).await;
        assert_eq!((answer.status, answer.error()), error(400, code, &message), "{name}={value:?}");
        assert!(!answer.body.contains(&token), "{name}");
    }
    for (parameters, code, message) in [
        (call("", "2011-06-15", &[]), "MissingAction", "The request must contain the parameter Action"),
        (
            call("GetSessionToken", "2011-06-15", &[]),
            "InvalidAction",
            "Could not find operation GetSessionToken for version 2011-06-15",
        ),
        (
            call("AssumeRole", "2010-05-08", &[]),
            "InvalidAction",
            "Could not find operation AssumeRole for version 2010-05-08",
        ),
        (call("<x>", "", &[]), "InvalidAction", "Could not find operation <x> for version "),
    ] {
        let answer = world.stand_in.unsigned(&parameters).await;
        assert_eq!((answer.status, answer.error()), error(400, code, message));
    }
    let url = world.stand_in.running.url();
    for (request, status, code) in [
        (Request::get(format!("{url}/")).body(Bytes::new()).unwrap(), 404, "NotFound"),
        (Request::post(format!("{url}/elsewhere")).body(Bytes::new()).unwrap(), 404, "NotFound"),
        (
            Request::post(format!("{url}/"))
                .header("content-type", "application/json")
                .body(Bytes::from("{}"))
                .unwrap(),
            400,
            "MalformedInput",
        ),
        (
            Request::post(format!("{url}/")).body(Bytes::from(vec![b'a'; 300_000])).unwrap(),
            413,
            "RequestEntityTooLarge",
        ),
    ] {
        let answer = world.stand_in.send(request).await;
        assert_eq!((answer.status, answer.error().0), (status, code.to_owned()));
    }
    assert_eq!(world.stand_in.running.handle().calls("<x>"), 0, "a caller's word is no counter's name");
}

#[tokio::test]
async fn what_clumsy_model_requests_get() {
    let world = World::start().await;
    let keys = world.session().await;
    let good = messages("hello");
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let validation = |message: &str| error(400, "ValidationException", message);
    for (model, operation, body, expected) in [
        ("nothing", "invoke", good.clone(), validation("The provided model identifier is invalid.")),
        (
            "eu.anthropic.claude-3-haiku-20240307-v1:0",
            "invoke",
            good.clone(),
            validation("The provided model identifier is invalid."),
        ),
        (HAIKU, "invoke", json!([]), validation("Malformed input request, please reformat your input and try again.")),
        (HAIKU, "invoke", without("anthropic_version"), validation("anthropic_version: Field required")),
        (
            HAIKU,
            "invoke",
            with("anthropic_version", json!("2023-06-01")),
            validation("anthropic_version: Input should be 'bedrock-2023-05-31'"),
        ),
        (HAIKU, "invoke", without("max_tokens"), validation("max_tokens: Field required")),
        (
            HAIKU,
            "invoke",
            with("max_tokens", json!(0)),
            validation("max_tokens: Input should be a valid integer greater than 0"),
        ),
        (HAIKU, "invoke", with("stream", json!(true)), validation("stream: Extra inputs are not permitted")),
        (
            HAIKU,
            "invoke-with-response-stream",
            with("model", json!("x")),
            validation("model: Extra inputs are not permitted"),
        ),
        (HAIKU, "converse", json!({ "messages": [] }), validation("messages: at least one message is required")),
        (
            HAIKU,
            "converse-stream",
            json!({ "messages": [{ "role": "system" }] }),
            validation("messages.0.role: Input should be 'user' or 'assistant'"),
        ),
        (
            HAIKU,
            "count-tokens",
            json!({ "input": {} }),
            validation("Malformed input request, please reformat your input and try again."),
        ),
        (HAIKU, "fly", good.clone(), error(404, "UnknownOperationException", "No operation of this path")),
    ] {
        let mut request = world.stand_in.model_request(model, operation, &body);
        world.stand_in.sign(&mut request, "bedrock", "us-east-1", &keys);
        let answer = world.stand_in.send(request).await;
        assert_eq!((answer.status, answer.error()), expected, "{model} {operation} {body}");
    }
}

#[tokio::test]
async fn a_signature_that_does_not_hold_opens_nothing() {
    let world = World::start().await;
    let keys = world.session().await;
    let other = world.session().await;
    let now = world.stand_in.seconds();
    let wrong = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";
    let invalid = "The security token included in the request is invalid.";
    let table = [
        (Keys { secret: other.secret.clone(), ..keys.clone() }, "bedrock", "us-east-1", now, "SignatureDoesNotMatch", wrong.to_owned()),
        (Keys { token: None, ..keys.clone() }, "bedrock", "us-east-1", now, "InvalidClientTokenId", invalid.to_owned()),
        (Keys { token: other.token.clone(), ..keys.clone() }, "bedrock", "us-east-1", now, "InvalidClientTokenId", invalid.to_owned()),
        (Keys { id: "ASIAUNKNOWN000000000".to_owned(), ..keys.clone() }, "bedrock", "us-east-1", now, "InvalidClientTokenId", invalid.to_owned()),
        (keys.clone(), "bedrock-runtime", "us-east-1", now, "SignatureDoesNotMatch", "Credential should be scoped to correct service: 'bedrock'.".to_owned()),
        (keys.clone(), "bedrock", "nowhere", now, "SignatureDoesNotMatch", "Credential should be scoped to a valid region.".to_owned()),
        (keys.clone(), "bedrock", "us-east-1", now - 901, "SignatureDoesNotMatch", "Signature expired: 20260102T024904Z is now earlier than 20260102T024905Z (20260102T030405Z - 15 min.)".to_owned()),
        (keys.clone(), "bedrock", "us-east-1", now + 901, "SignatureDoesNotMatch", "Signature not yet current: 20260102T031906Z is still later than 20260102T031905Z (20260102T030405Z + 15 min.)".to_owned()),
    ];
    let bedrock_code = |code: &str| match code {
        "InvalidClientTokenId" => "UnrecognizedClientException",
        _ => "InvalidSignatureException",
    };
    for (keys, service, region, seconds, code, message) in table {
        let mut request = world.stand_in.model_request(HAIKU, "invoke", &messages("x"));
        StandIn::sign_at(&mut request, service, region, &keys, seconds);
        let answer = world.stand_in.send(request).await;
        assert_eq!((answer.status, answer.error()), error(403, bedrock_code(code), &message));
        let service = service.replace("bedrock", "sts");
        let mut request = form(&world.stand_in.running.url(), &call("GetCallerIdentity", "2011-06-15", &[]));
        StandIn::sign_at(&mut request, &service, region, &keys, seconds);
        let answer = world.stand_in.send(request).await;
        assert_eq!((answer.status, answer.error()), error(403, code, &message.replace("'bedrock'", "'sts'")));
    }
    assert_eq!(world.sts(&keys, "GetCallerIdentity", &[]).await.status, 200, "the control");
    assert_eq!(world.invoke(&keys, HAIKU).await.status, 200, "the control");
}

type Change = fn(&mut Request<Bytes>);

#[tokio::test]
async fn a_request_changed_after_signing_is_refused() {
    let world = World::start().await;
    let keys = world.session().await;
    let signed = || {
        let mut request = world.stand_in.model_request(HAIKU, "invoke", &messages("x"));
        world.stand_in.sign(&mut request, "bedrock", "us-east-1", &keys);
        request
    };
    let changes: [(&str, Change, u16, &str); 6] = [
        (
            "body",
            |request| *request.body_mut() = Bytes::from(messages("y").to_string()),
            403,
            "InvalidSignatureException",
        ),
        (
            "path",
            |request| *request.uri_mut() = request.uri().to_string().replace("/invoke", "/converse").parse().unwrap(),
            403,
            "InvalidSignatureException",
        ),
        (
            "query",
            |request| *request.uri_mut() = format!("{}?a=1", request.uri()).parse().unwrap(),
            403,
            "InvalidSignatureException",
        ),
        (
            "added header",
            |request| drop(request.headers_mut().insert("x-amz-more", HeaderValue::from_static("1"))),
            403,
            "InvalidSignatureException",
        ),
        (
            "no authorization",
            |request| drop(request.headers_mut().remove("authorization")),
            403,
            "MissingAuthenticationTokenException",
        ),
        (
            "half an authorization",
            |request| {
                drop(
                    request
                        .headers_mut()
                        .insert("authorization", HeaderValue::from_static("AWS4-HMAC-SHA256 Credential=a/b")),
                );
            },
            400,
            "IncompleteSignatureException",
        ),
    ];
    for (name, change, status, code) in changes {
        let mut request = signed();
        change(&mut request);
        let answer = world.stand_in.send(request).await;
        assert_eq!((answer.status, answer.error().0), (status, code.to_owned()), "{name}");
    }
    assert_eq!(world.stand_in.send(signed()).await.status, 200, "the control");
}

#[tokio::test]
async fn a_session_ends_when_it_said_it_would() {
    let world = World::start().await;
    let keys = world.exchange(&json!({}), &[("DurationSeconds", "900")]).await.keys();
    world.stand_in.clock.advance(time::Duration::seconds(899));
    assert_eq!(world.invoke(&keys, HAIKU).await.status, 200);
    world.stand_in.clock.advance(time::Duration::seconds(1));
    let message = "The security token included in the request is expired";
    let answer = world.invoke(&keys, HAIKU).await;
    assert_eq!((answer.status, answer.error()), error(403, "ExpiredTokenException", message));
    let answer = world.sts(&keys, "GetCallerIdentity", &[]).await;
    assert_eq!((answer.status, answer.error()), error(403, "ExpiredToken", message));
}

#[tokio::test]
async fn the_role_and_the_session_policy_decide_together() {
    let world = World::start().await;
    let keys = world.session().await;
    let denied = |action: &str, resource: &str, because: &str| {
        error(
            403,
            "AccessDeniedException",
            &format!(
                "User: arn:aws:sts::111122223333:assumed-role/bedrock/s.S is not authorized to perform: {action} on resource: {resource} {because}"
            ),
        )
    };
    let invoke = "bedrock:InvokeModel";
    let nothing = format!("because no identity-based policy allows the {invoke} action");
    let model = "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
    assert_eq!(world.invoke(&keys, model).await.status, 200, "an ARN in the path, its slash and colons encoded");
    for (name, resource) in [
        ("amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"),
        (
            "us.anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0",
        ),
    ] {
        let answer = world.invoke(&keys, name).await;
        assert_eq!((answer.status, answer.error()), denied(invoke, resource, &nothing));
    }
    let barred = world
        .exchange(&json!({ "https://aws.amazon.com/tags": { "principal_tags": { "brevet:team": ["barred"] } } }), &[])
        .await;
    let answer = world.invoke(&barred.keys(), HAIKU).await;
    assert_eq!(
        (answer.status, answer.error()),
        denied(invoke, model, "with an explicit deny in an identity-based policy")
    );
    let policy =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"bedrock:CountTokens","Resource":"*"}}"#;
    let narrowed = world.exchange(&json!({}), &[("Policy", policy)]).await;
    let answer = world.invoke(&narrowed.keys(), HAIKU).await;
    assert_eq!(
        (answer.status, answer.error()),
        denied(invoke, model, &format!("because no session policy allows the {invoke} action"))
    );
    let answer = world.stand_in.signed("iam", &keys, &call("CreateRole", "2010-05-08", &[("RoleName", "mine")])).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (403, "AccessDenied"), "a session is no administrator");
}

#[tokio::test]
async fn threat_26_a_chained_session_keeps_tags_and_source_identity() {
    let world = World::start().await;
    let claims = json!({
        "https://aws.amazon.com/tags": { "principal_tags": { "brevet:team": ["T"], "cost": ["c"] }, "transitive_tag_keys": ["brevet:team"] },
        "https://aws.amazon.com/source_identity": "s.S",
    });
    let answer = world.exchange(&claims, &[]).await;
    assert_eq!(answer.text("SourceIdentity").as_deref(), Some("s.S"));
    let keys = answer.keys();
    let hop = [("RoleArn", SECOND_ROLE), ("RoleSessionName", "hop")];
    let refused = format!(
        "User: arn:aws:sts::111122223333:assumed-role/bedrock/s.S is not authorized to perform: sts:AssumeRole on resource: {SECOND_ROLE}"
    );
    for wrong in [&hop[..], &[hop[0], hop[1], ("ExternalId", "brevet-2")]] {
        let answer = world.sts(&keys, "AssumeRole", wrong).await;
        assert_eq!((answer.status, answer.error()), error(403, "AccessDenied", &refused));
    }
    let with = |more: (&'static str, &'static str)| [hop[0], hop[1], ("ExternalId", "brevet-1"), more];
    let answer = world.sts(&keys, "AssumeRole", &with(("DurationSeconds", "3601"))).await;
    assert_eq!(
        answer.error().1,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    );
    let clash = [
        hop[0],
        hop[1],
        ("ExternalId", "brevet-1"),
        ("Tags.member.1.Key", "Brevet:Team"),
        ("Tags.member.1.Value", "U"),
    ];
    assert_eq!(world.sts(&keys, "AssumeRole", &clash).await.error().0, "InvalidParameterValue");
    let answer = world.sts(&keys, "AssumeRole", &with(("DurationSeconds", "3600"))).await;
    assert_eq!((answer.status, answer.text("SourceIdentity").as_deref()), (200, Some("s.S")), "{}", answer.body);
    let chained = answer.keys();
    // The second role's policy asks for the tag of the first hop.
    assert_eq!(world.invoke(&chained, "amazon.nova-lite-v1:0").await.status, 200);
    let event = world.stand_in.running.handle().trail().pop().unwrap();
    assert_eq!(event.principal.as_deref(), Some("arn:aws:sts::111122223333:assumed-role/second/hop"));
    assert_eq!((event.source_identity.as_deref(), event.tags.len()), (Some("s.S"), 1));
    let answer = world.sts(&chained, "GetCallerIdentity", &[]).await;
    assert_eq!(answer.text("Arn"), event.principal);
}

/// Puts a ready deny into the role as the commands that are printed do, and takes it out again after `during`.
async fn denied(world: &World, role: &str, deny: &Document, during: impl AsyncFnOnce()) {
    let name = [("RoleName", role), ("PolicyName", "brevet-deny")];
    let document = deny.to_json();
    let put = world.stand_in.iam("PutRolePolicy", &[name[0], name[1], ("PolicyDocument", &document)]).await;
    assert_eq!(put.status, 200, "{}", put.body);
    during().await;
    assert_eq!(world.stand_in.iam("DeleteRolePolicy", &name).await.status, 200);
}

#[tokio::test]
async fn threat_23_the_ready_denies_end_the_sessions_they_name_and_no_others() {
    const EXPLICIT: &str = "with an explicit deny in an identity-based policy";
    // A team uid has two characters at least.
    let config = CONFIG.replace("scoped_principal:T/", "scoped_principal:red/");
    let world = World::with(Config::from_toml(&config).unwrap()).await;
    let issuer = IssuerUrl::parse("https://issuer.example", Development::Off).unwrap();
    let agent = |uid: &str| format!("scoped_principal:red/service_account:{uid}");
    let claims = |uid: &str| {
        json!({
            "sub": agent(uid), "https://aws.amazon.com/source_identity": format!("s.{uid}"),
            "https://aws.amazon.com/tags": { "principal_tags": { "brevet:team": ["T"] }, "transitive_tag_keys": ["brevet:team"] },
        })
    };
    let open = async |uid: &str| world.exchange(&claims(uid), &[]).await.keys();
    let chain = async |keys: &Keys| {
        let hop = [("RoleArn", SECOND_ROLE), ("RoleSessionName", "hop"), ("ExternalId", "brevet-1")];
        world.sts(keys, "AssumeRole", &hop).await.keys()
    };
    let (stolen, other) = (open("S1").await, open("S2").await);
    let (stolen_hop, other_hop) = (chain(&stolen).await, chain(&other).await);
    let works = async |keys: &Keys| {
        let answer = world.invoke(keys, HAIKU).await;
        assert!(answer.status == 200 || answer.error().1.ends_with(EXPLICIT), "{answer:?}");
        answer.status == 200
    };
    assert!(works(&stolen).await && works(&other).await && works(&stolen_hop).await && works(&other_hop).await);

    let subject = Subject::parse(&agent("S1")).unwrap();
    let [by_subject] = deny::subjects(&issuer, std::slice::from_ref(&subject)).try_into().unwrap();
    denied(&world, "bedrock", &by_subject, async || {
        assert!(!works(&stolen).await, "opened before the deny");
        assert!(!works(&open("S1").await).await, "opened after it");
        assert!(works(&other).await);
    })
    .await;
    denied(&world, "second", &by_subject, async || {
        assert!(works(&stolen_hop).await, "a chained session has no subject: the deny by source identity is for it");
    })
    .await;

    let [by_identity] = deny::source_identities(&[SourceIdentity::new(subject.principal())]).try_into().unwrap();
    denied(&world, "second", &by_identity, async || {
        assert!(!works(&stolen_hop).await);
        assert!(works(&other_hop).await);
    })
    .await;

    let before = deny::sessions_before(world.stand_in.clock.now());
    world.stand_in.clock.advance(time::Duration::seconds(2));
    denied(&world, "bedrock", &before, async || {
        assert!(!works(&stolen).await && !works(&other).await, "nobody knows which were forged");
        assert!(works(&open("S2").await).await, "a session opened since then");
        assert!(works(&other_hop).await, "the second role has no deny yet");
    })
    .await;
    denied(&world, "second", &before, async || {
        assert!(!works(&stolen_hop).await && !works(&other_hop).await);
        assert!(works(&chain(&open("S2").await).await).await);
    })
    .await;
    assert!(works(&stolen).await && works(&stolen_hop).await, "every deny is gone again");
}

#[tokio::test]
async fn the_first_event_arrives_while_the_last_is_still_to_come() {
    let mut config = Config::from_toml(CONFIG).unwrap();
    // Whoever waits for the whole answer waits for hours.
    config.stream_pause_ms = 3_600_000;
    let world = World::with(config).await;
    let keys = world.session().await;
    for operation in ["invoke-with-response-stream", "converse-stream"] {
        let mut request = world.stand_in.model_request(HAIKU, operation, &messages("hello"));
        world.stand_in.sign(&mut request, "bedrock", "us-east-1", &keys);
        let answer = world.stand_in.stream(request).await;
        assert_eq!(answer.headers()["content-type"], "application/vnd.amazon.eventstream");
        let first = answer.into_body().next().await.unwrap().unwrap();
        let names: Vec<_> = frames(&first).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [if operation.starts_with("invoke") { "chunk" } else { "messageStart" }]);
    }
}

/// Each frame's event or exception type, and its payload.
fn frames(bytes: &[u8]) -> Vec<(String, Value)> {
    let (mut decoder, mut bytes) = (MessageFrameDecoder::new(), BytesMut::from(bytes));
    let mut read = Vec::new();
    while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut bytes).unwrap() {
        let header = message.headers().iter().find(|header| {
            let name = header.name().as_str();
            name == ":event-type" || name == ":exception-type"
        });
        let name = header.unwrap().value().as_string().unwrap().as_str().to_owned();
        read.push((name, serde_json::from_slice(message.payload()).unwrap()));
    }
    assert!(bytes.is_empty());
    read
}

#[tokio::test]
async fn streams_and_whole_answers_say_the_same() {
    use base64::Engine as _;
    let world = World::start().await;
    let keys = world.session().await;
    let send = |operation: &'static str, body: Value| {
        let (stand_in, keys) = (&world.stand_in, &keys);
        async move {
            let mut request = stand_in.model_request(HAIKU, operation, &body);
            stand_in.sign(&mut request, "bedrock", "us-east-1", keys);
            stand_in.client.send(request).await.unwrap().into_body()
        }
    };
    let json = |body: Bytes| -> Value { serde_json::from_slice(&body).unwrap() };
    let said = format!(
        "Hello, arn:aws:sts::111122223333:assumed-role/bedrock/s.S. This is {HAIKU} of the stand-in AWS. You said: two  words"
    );
    let body = messages("two  words");
    let whole = json(send("invoke", body.clone()).await);
    assert_eq!(whole["content"][0]["text"], said.as_str());
    assert_eq!((&whole["stop_reason"], &whole["usage"]["input_tokens"]), (&json!("end_turn"), &json!(2)));
    let parts: Vec<Value> = frames(&send("invoke-with-response-stream", body.clone()).await)
        .into_iter()
        .map(|(_, part)| {
            serde_json::from_slice(
                &base64::engine::general_purpose::STANDARD.decode(part["bytes"].as_str().unwrap()).unwrap(),
            )
            .unwrap()
        })
        .collect();
    let text: String = parts.iter().filter_map(|part| part["delta"]["text"].as_str()).collect();
    assert_eq!(text, said);
    let kinds: Vec<_> =
        parts.iter().filter_map(|part| part["type"].as_str()).filter(|kind| *kind != "content_block_delta").collect();
    assert_eq!(kinds, ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(
        parts.last().unwrap()["amazon-bedrock-invocationMetrics"]["outputTokenCount"],
        whole["usage"]["output_tokens"]
    );

    let whole = json(send("converse", body.clone()).await);
    assert_eq!(whole["output"]["message"]["content"][0]["text"], said.as_str());
    let events = frames(&send("converse-stream", body.clone()).await);
    let text: String = events.iter().filter_map(|(_, event)| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, said);
    assert_eq!(events.last().unwrap().1["usage"], whole["usage"]);

    let mut short = body.clone();
    short["max_tokens"] = json!(2);
    let cut = json(send("invoke", short).await);
    assert_eq!((&cut["stop_reason"], &cut["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(2)));
    let counted = json(send("count-tokens", json!({ "input": { "converse": body } })).await);
    assert_eq!(counted, json!({ "inputTokens": 2 }));
}

#[tokio::test]
async fn faults_happen_once_and_calls_are_counted() {
    let world = World::start().await;
    let handle = world.stand_in.running.handle().clone();
    let throttled = Fault::Refuse {
        action: Some("AssumeRoleWithWebIdentity".to_owned()),
        status: 400,
        code: "Throttling".to_owned(),
        message: "Rate exceeded".to_owned(),
    };
    handle.inject(throttled);
    assert_eq!(world.exchange(&json!({}), &[]).await.error(), ("Throttling".to_owned(), "Rate exceeded".to_owned()));
    let keys = world.session().await;
    assert_eq!(handle.calls("AssumeRoleWithWebIdentity"), 2);
    handle.expire_sessions();
    assert_eq!(world.invoke(&keys, HAIKU).await.error().0, "ExpiredTokenException");

    let keys = world.session().await;
    let stream = || {
        let mut request = world.stand_in.model_request(HAIKU, "converse-stream", &messages("hello"));
        world.stand_in.sign(&mut request, "bedrock", "us-east-1", &keys);
        request
    };
    handle.inject(Fault::StreamException {
        after: 1,
        code: "throttlingException".to_owned(),
        message: "slow".to_owned(),
    });
    let answer = world.stand_in.client.send(stream()).await.unwrap().into_body();
    let names: Vec<_> = frames(&answer).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["messageStart", "throttlingException"]);
    handle.inject(Fault::BreakStream { after: 2 });
    let mut body = world.stand_in.stream(stream()).await.into_body();
    let mut last = Ok(Bytes::new());
    while let Some(part) = body.next().await {
        last = part;
    }
    assert_eq!(last, Err(brevet::fetch::FetchError::Broken));
}

#[tokio::test]
async fn faults_over_http_are_for_loopback_tools_only() {
    let world = World::start().await;
    let url = format!("{}/_sandbox", world.stand_in.running.url());
    let fault = r#"{"kind":"refuse","status":503,"code":"ServiceUnavailable","message":"later"}"#;
    let post = |path: &str| {
        Request::post(format!("{url}/{path}"))
            .header("content-type", "application/json")
            .body(Bytes::from(fault))
            .unwrap()
    };
    let mut from_a_page = post("faults");
    from_a_page.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    let mut rebound = post("faults");
    rebound.headers_mut().insert("host", HeaderValue::from_static("evil.example:4566"));
    for request in [from_a_page, rebound] {
        assert_eq!(world.stand_in.send(request).await.status, 421);
    }
    assert_eq!(world.exchange(&json!({}), &[]).await.status, 200);
    assert_eq!(world.stand_in.send(post("faults")).await.status, 204);
    let answer = world.exchange(&json!({}), &[]).await;
    assert_eq!((answer.status, answer.error()), error(503, "ServiceUnavailable", "later"));
    assert_eq!(world.stand_in.send(post("expire-sessions")).await.status, 204);
    let calls = world.stand_in.send(Request::get(format!("{url}/calls")).body(Bytes::new()).unwrap()).await;
    assert_eq!(calls.body, r#"{"AssumeRoleWithWebIdentity":2}"#);
    let trail = world.stand_in.send(Request::get(format!("{url}/trail")).body(Bytes::new()).unwrap()).await;
    let trail: Value = serde_json::from_str(&trail.body).unwrap();
    assert_eq!(trail[0]["subject"], "scoped_principal:T/service_account:S");
    assert_eq!(trail[1]["outcome"], "ServiceUnavailable");
}

#[tokio::test]
async fn an_issuer_that_fails_is_told_from_a_token_that_does() {
    let world = World::start().await;
    world.issuer.publish("/keys", &json!({ "keys": "none" }));
    assert_eq!(world.exchange(&json!({}), &[]).await.error().0, "InvalidIdentityToken");
    // Bound and never listening, so that nobody else is given its port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    world.stand_in.running.handle().read_issuer_from("https://issuer.example", &format!("http://{closed}"));
    assert_eq!(world.exchange(&json!({}), &[]).await.error().0, "IDPCommunicationError");
    let foreign = world.exchange(&json!({ "sub": "scoped_principal:U/user:x" }), &[]).await;
    assert_eq!(foreign.error().0, "IDPCommunicationError", "nothing is judged before the keys are there");
}

#[tokio::test]
async fn a_foreign_team_and_a_tampered_token_are_refused() {
    let world = World::start().await;
    let foreign = world.exchange(&json!({ "sub": "scoped_principal:T2/user:x" }), &[]).await;
    assert_eq!(
        (foreign.status, foreign.error()),
        error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    );
    let token = world.token(&json!({}));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let tampered = format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let answer = world.exchange(&json!({}), &[("WebIdentityToken", &tampered)]).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (400, "InvalidIdentityToken"));
    assert_eq!(world.exchange(&json!({}), &[]).await.status, 200, "the control");
}

#[tokio::test]
async fn what_cannot_be_started() {
    let start = |toml: &str| {
        let config = Config::from_toml(toml).unwrap();
        async move {
            let clock = std::sync::Arc::new(crate::support::clock::clock());
            let entropy = std::sync::Arc::new(crate::support::entropy::SeededEntropy::new(1));
            match brevet::sandbox::start(config, clock, entropy).await {
                Ok(_) => panic!("started"),
                Err(StartError::Config(ConfigError::Value { field, rule })) => (field, rule),
                Err(other) => panic!("{other}"),
            }
        }
    };
    for (toml, field, rule) in [
        ("listen = \"0.0.0.0:0\"", "listen", "must be a loopback address: the stand-in is no service for others"),
        ("listen = \"localhost:0\"", "listen", "must be an address and port"),
        ("account = \"1\"", "account", "must be 12 digits"),
        ("region = \"x\"", "region", "must be an AWS region of a known partition, such as eu-central-1"),
        ("[[provider]]\nurl = \"http://127.0.0.1:1\"", "provider[0]", "Invalid Open ID Connect Provider URL"),
        ("[[role]]\nname = \"r\"\ntrust = \"{}\"", "role[0]", "Statement: is required"),
        (
            "[administrator]\naccess_key_id = \"AKIA0123456789012345\"\nsecret_access_key = \"short\"",
            "administrator.secret_access_key",
            "must have at least 16 characters",
        ),
    ] {
        assert_eq!(start(toml).await, (field.to_owned(), rule.to_owned()), "{toml}");
    }
}

#[tokio::test]
async fn roles_are_made_changed_and_deleted_by_their_calls() {
    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
    let world = World::start().await;
    let iam = |action: &'static str, parameters: &'static [(&'static str, &'static str)]| {
        world.stand_in.iam(action, parameters)
    };
    let made = iam("CreateRole", &[("RoleName", "new"), ("Path", "/p/"), ("AssumeRolePolicyDocument", TRUST)]).await;
    assert_eq!(made.text("Arn").as_deref(), Some("arn:aws:iam::111122223333:role/p/new"));
    let encoded = made.text("AssumeRolePolicyDocument").unwrap();
    let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
    let (read, sent): (Value, Value) = (serde_json::from_str(&decoded).unwrap(), serde_json::from_str(TRUST).unwrap());
    assert_eq!(read["Statement"], json!([sent["Statement"]]));
    assert_eq!(
        iam("CreateRole", &[("RoleName", "NEW"), ("AssumeRolePolicyDocument", "{}")]).await.error().0,
        "EntityAlreadyExists"
    );
    let update = iam("UpdateRole", &[("RoleName", "new"), ("MaxSessionDuration", "43200")]).await;
    assert_eq!(update.status, 200, "{}", update.body);
    assert_eq!(iam("GetRole", &[("RoleName", "new")]).await.text("MaxSessionDuration").as_deref(), Some("43200"));
    let bad = iam("UpdateAssumeRolePolicy", &[("RoleName", "new"), ("PolicyDocument", "{}")]).await;
    assert_eq!((bad.status, bad.error()), error(400, "MalformedPolicyDocument", "Statement: is required"));
    let put = iam(
        "PutRolePolicy",
        &[
            ("RoleName", "new"),
            ("PolicyName", "p"),
            ("PolicyDocument", r#"{"Statement":{"Effect":"Allow","Action":"bedrock:*","Resource":"*"}}"#),
        ],
    )
    .await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!(iam("DeleteRole", &[("RoleName", "new")]).await.error().0, "DeleteConflict");
    assert_eq!(iam("DeleteRolePolicy", &[("RoleName", "new"), ("PolicyName", "p")]).await.status, 200);
    assert_eq!(iam("DeleteRole", &[("RoleName", "new")]).await.status, 200);
    let gone = iam("GetRole", &[("RoleName", "new")]).await;
    assert_eq!((gone.status, gone.error()), error(404, "NoSuchEntity", "The role with name new cannot be found."));
}

#[tokio::test]
async fn a_certificate_beside_the_key_must_be_of_that_key() {
    let world = World::start().await;
    let publish = |certified: &str| {
        let mut key = token_keys::jwk(certified);
        key.insert("kid".to_owned(), "ES256".into());
        key.insert("x5c".to_owned(), json!([token_keys::certificate()]));
        world.issuer.publish("/keys", &json!({ "keys": [key] }));
    };
    // The certificate is the RSA key's; beside the elliptic one it contradicts.
    publish("ES256");
    assert!(world.exchange(&json!({}), &[]).await.error().1.starts_with("Couldn't retrieve verification key"));
    publish("RS256");
    let now = world.stand_in.seconds();
    let claims = json!({
        "iss": "https://issuer.example", "sub": "scoped_principal:T/user:U", "aud": "sts.amazonaws.com",
        "iat": now, "exp": now + 300,
    });
    let token = token_keys::sign("RS256", r#"{"alg":"RS256","kid":"ES256"}"#, &claims.to_string());
    assert_eq!(world.exchange(&json!({}), &[("WebIdentityToken", &token)]).await.status, 200);
}

/// The fenced block of that language in the documentation.
fn documented(language: &str) -> &'static str {
    let page = include_str!("../../docs/sandbox.md");
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[tokio::test]
async fn what_the_documentation_shows_is_taken() {
    let mut config = Config::from_toml(documented("toml")).unwrap();
    config.listen = "127.0.0.1:0".to_owned();
    let stand_in = StandIn::start(config).await;
    let handle = stand_in.running.handle();
    assert_eq!(stand_in.iam("GetRole", &[("RoleName", "bedrock")]).await.status, 200);
    let url = format!("{}/_sandbox/faults", stand_in.running.url());
    let faults: Vec<&str> = documented("json").lines().collect();
    assert_eq!(faults.len(), 4);
    for fault in faults {
        let request = Request::post(&url).header("content-type", "application/json").body(Bytes::from(fault)).unwrap();
        assert_eq!(stand_in.send(request).await.status, 204, "{fault}");
    }
    handle.clear_faults();
    let role = Config::from_toml(CONFIG).unwrap().role.remove(1);
    assert_eq!(handle.make_role(&role).as_deref(), Ok(SECOND_ROLE));
    let again = handle.make_role(&role).unwrap_err().to_string();
    assert_eq!(again, "role: Role with name second already exists.");
}
