//! `/oauth2`: forms, clients, grants, revocation, and the documents that tell of them.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brevet::domain::audit::{Action, Decision};
use brevet::domain::id::ServiceAccountUid;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, request};

const TOKEN: &str = "/oauth2/token";
const REVOKE: &str = "/oauth2/revoke";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// A form as a client would send it.
pub(crate) fn form(path: &str, parameters: &[(&str, &str)]) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    raw(path, Body::from(body))
}

fn raw(path: &str, body: Body) -> Request<Body> {
    let request = Request::post(format!("/brevet{path}")).header("content-type", "application/x-www-form-urlencoded");
    request.body(body).unwrap()
}

fn with_basic(mut request: Request<Body>, id: &str, secret: &str) -> Request<Body> {
    let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    request.headers_mut().append("authorization", value.parse().unwrap());
    request
}

/// `error` of an answer, after what every error answer must be.
fn error(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    let body = answer.json();
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["error", "error_description"], "{answer}");
    assert_eq!(answer.status == StatusCode::UNAUTHORIZED, answer.header("www-authenticate").is_some(), "{answer}");
    format!("{} {}", answer.status.as_u16(), body["error"].as_str().unwrap())
}

struct Scene {
    app: App,
    agent: ServiceAccountUid,
    key: String,
    key_id: brevet::domain::id::CredentialId,
}

impl Scene {
    async fn set() -> Self {
        let app = App::start().await;
        let team = app.team("team-1").await;
        let agent = app.agent(&team, "agent-1").await;
        let (key, key_id) = app.agent_key(&agent).await;
        Self { app, agent, key, key_id }
    }

    async fn ask(&self, parameters: &[(&str, &str)]) -> Answer {
        self.app.send(form(TOKEN, parameters)).await
    }

    async fn access_token(&self) -> String {
        let basic = with_basic(form(TOKEN, &[("grant_type", "client_credentials")]), self.agent.as_str(), &self.key);
        let answer = self.app.send(basic).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let parameters = [&[("token", token)], more].concat();
        self.app.send(with_basic(form(REVOKE, &parameters), self.agent.as_str(), &self.key)).await
    }
}

#[tokio::test]
async fn a_key_gives_an_access_token_that_mints_like_the_key() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let posted = [("grant_type", "client_credentials"), ("client_id", "agent-1"), ("client_secret", &scene.key)];
    let posted = scene.ask(&posted).await;
    assert_eq!(posted.status, StatusCode::OK, "{posted}");
    assert_eq!((posted.header("cache-control"), posted.header("pragma")), (Some("no-store"), Some("no-cache")));
    let body = posted.json();
    assert_eq!(body.as_object().unwrap().len(), 3, "{posted}");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));

    for access in [body["access_token"].as_str().unwrap().to_owned(), scene.access_token().await] {
        assert!(access.starts_with("bvt_at_"));
        let whoami = app.get("/v1/whoami", Some(&access)).await.json();
        assert_eq!((&whoami["credential_kind"], &whoami["principal_uid"]), (&json!("access_token"), &json!("agent-1")));
        let minted = app.mint(&access, &json!({})).await;
        assert_eq!(minted.json()["subject"], "scoped_principal:team-1/service_account:agent-1", "{minted}");
    }
    let issued = app.rows(Action::AccessTokenIssue).await;
    let minted = app.rows(Action::TokenMint).await;
    assert_eq!((issued.len(), minted.len()), (2, 2));
    for issued in &issued {
        assert_eq!(issued.decision, Decision::Allowed);
        assert_eq!(issued.target, Some(format!("service_account_key:{}", scene.key_id)));
        // What was minted leads back to the key.
        assert_eq!(minted.iter().filter(|minted| minted.credential == issued.credential).count(), 1);
        assert_eq!(issued.team.as_ref().map(ToString::to_string).as_deref(), Some("team-1"));
    }
}

#[tokio::test]
async fn threat_23_an_access_token_ends_by_itself_and_with_everything_it_derives_from() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let access = scene.access_token().await;
    assert_eq!(app.mint(&access, &json!({})).await.status, StatusCode::OK);
    app.clock.advance(Duration::minutes(15) - Duration::SECOND);
    assert_eq!(app.mint(&access, &json!({})).await.status, StatusCode::OK);
    app.clock.advance(Duration::SECOND);
    assert_eq!(app.mint(&access, &json!({})).await.code(), "invalid_credential");

    let access = scene.access_token().await;
    assert_eq!(app.mint(&access, &json!({})).await.status, StatusCode::OK);
    app.store.revoke_service_account_key(&scene.agent, scene.key_id, &app.event()).await.unwrap();
    // No `forget`: what this replica remembers of the access token grants nothing.
    let refused = app.mint(&access, &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "invalid_credential"));
    assert_eq!(app.refusals(Action::TokenMint).await.last().map(String::as_str), Some("parent_key_revoked"));
    assert_eq!(app.get("/v1/whoami", Some(&access)).await.status, StatusCode::UNAUTHORIZED);
    let again = [("grant_type", "client_credentials"), ("client_id", "agent-1"), ("client_secret", &scene.key)];
    assert_eq!(error(&scene.ask(&again).await), "401 invalid_client");
}

#[tokio::test]
async fn an_access_token_lasts_no_longer_than_its_key() {
    let scene = Scene::set().await;
    let key = brevet::domain::credential::OpaqueCredential::generate(
        brevet::domain::credential::CredentialKind::ServiceAccount,
        scene.app.entropy.as_ref(),
    );
    let new = brevet::store::NewCredential {
        id: brevet::domain::id::CredentialId::new(uuid::Uuid::from_u128(7)),
        hash: key.hash(),
        name: String::new(),
        expires_at: Some(scene.app.issuer.now() + Duration::seconds(100)),
        created_at: scene.app.issuer.now(),
        created_by: None,
    };
    scene.app.store.create_service_account_key(&scene.agent, &new, &scene.app.event(), None).await.unwrap();
    let secret = key.secret().expose().to_owned();
    let asked = [("grant_type", "client_credentials"), ("client_id", "agent-1"), ("client_secret", secret.as_str())];
    assert_eq!(scene.ask(&asked).await.json()["expires_in"], 100);
}

/// A name, the parameters, and status and error of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn each_broken_request_is_refused_in_the_words_of_the_rfc() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let key = scene.key.as_str();
    let other = app.agent(&app.team("team-2").await, "agent-2").await;
    let (other_key, _) = app.agent_key(&other).await;
    let person = app.sign_in(&app.person("ada", &[]).await).await;
    let access = scene.access_token().await;
    let grant = ("grant_type", "client_credentials");
    let sound = [grant, ("client_id", "agent-1"), ("client_secret", key)];
    let cases: &[Case<'_>] = &[
        ("nothing", &[], "400 invalid_request"),
        ("no grant", &sound[1..], "400 invalid_request"),
        ("an empty grant", &[("grant_type", ""), sound[1], sound[2]], "400 invalid_request"),
        ("an unknown grant", &[("grant_type", "password"), sound[1], sound[2]], "400 unsupported_grant_type"),
        ("another case", &[("grant_type", "Client_Credentials"), sound[1], sound[2]], "400 unsupported_grant_type"),
        ("no client", &[grant], "401 invalid_client"),
        ("a name alone", &[grant, sound[1]], "401 invalid_client"),
        ("a key alone", &[grant, sound[2]], "400 invalid_request"),
        ("another's name", &[grant, ("client_id", "agent-2"), sound[2]], "401 invalid_client"),
        ("the name in another case", &[grant, ("client_id", "AGENT-1"), sound[2]], "401 invalid_client"),
        ("a name with a space", &[grant, ("client_id", "agent-1 "), sound[2]], "401 invalid_client"),
        ("another's key", &[grant, sound[1], ("client_secret", &other_key)], "401 invalid_client"),
        ("a cut key", &[grant, sound[1], ("client_secret", &key[..30])], "401 invalid_client"),
        ("an access token as key", &[grant, sound[1], ("client_secret", &access)], "401 invalid_client"),
        ("a person's token as key", &[grant, ("client_id", "ada"), ("client_secret", &person)], "401 invalid_client"),
        ("a scope", &[sound[0], sound[1], sound[2], ("scope", "openid")], "400 invalid_scope"),
        ("an audience", &[sound[0], sound[1], sound[2], ("audience", "sts.amazonaws.com")], "400 invalid_target"),
        ("a resource", &[sound[0], sound[1], sound[2], ("resource", "https://x.example")], "400 invalid_target"),
        ("a grant twice", &[sound[0], sound[0], sound[1], sound[2]], "400 invalid_request"),
        ("a key twice", &[sound[0], sound[1], sound[2], sound[2]], "400 invalid_request"),
        ("unknown parameters", &[sound[0], sound[1], sound[2], ("colour", "red"), ("scope", "")], "200"),
    ];
    for (name, parameters, expected) in cases {
        let answer = scene.ask(parameters).await;
        let found = if answer.status == StatusCode::OK { "200".to_owned() } else { error(&answer) };
        assert_eq!(found, *expected, "{name}: {answer}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&key[..20]), "{name} echoes the key");
    }
    assert!(error(&app.send(with_basic(form(TOKEN, &sound), "agent-1", key)).await).ends_with("invalid_request"));
    let two = with_basic(with_basic(form(TOKEN, &[grant]), "agent-1", key), "agent-1", key);
    assert_eq!(error(&app.send(two).await), "400 invalid_request");
    let bearer = request(Method::POST, TOKEN, Some(key), Body::from("grant_type=client_credentials"));
    assert_eq!(error(&app.send(bearer).await), "400 invalid_request", "JSON by its type");
    let mut bearer = form(TOKEN, &[grant]);
    bearer.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    assert_eq!(error(&app.send(bearer).await), "401 invalid_client");
    let in_url = raw(&format!("{TOKEN}?client_secret={key}"), Body::from("grant_type=client_credentials"));
    assert_eq!(error(&app.send(in_url).await), "400 invalid_request");
    assert_eq!(error(&app.send(raw(TOKEN, Body::from(vec![b'a'; 70_000]))).await), "413 invalid_request");
    assert_eq!(app.get(TOKEN, None).await.status, StatusCode::METHOD_NOT_ALLOWED);

    // Known credentials in the wrong place are rows; what was never known is counted.
    let reasons = app.refusals(Action::AccessTokenIssue).await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "client_id_mismatch").count(), 4, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| *reason == "not_permitted").count(), 2, "{reasons:?}");
}

#[tokio::test]
async fn a_client_gives_up_its_own_tokens_and_no_others() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let other = app.agent(&app.team("team-2").await, "agent-2").await;
    let (other_key, _) = app.agent_key(&other).await;
    let theirs = with_basic(form(TOKEN, &[("grant_type", "client_credentials")]), "agent-2", &other_key);
    let theirs = app.send(theirs).await.json()["access_token"].as_str().unwrap().to_owned();
    let person = app.sign_in(&app.person("ada", &[]).await).await;

    let (first, second) = (scene.access_token().await, scene.access_token().await);
    assert_eq!(app.mint(&first, &json!({})).await.status, StatusCode::OK);
    let gone = scene.revoke(&first, &[("token_type_hint", "access_token")]).await;
    assert_eq!((gone.status, gone.body.len()), (StatusCode::OK, 0), "{gone}");
    assert_eq!(app.mint(&first, &json!({})).await.code(), "invalid_credential");
    assert_eq!(app.mint(&second, &json!({})).await.status, StatusCode::OK);
    assert_eq!(app.mint(&scene.key, &json!({})).await.status, StatusCode::OK);

    for (token, expected) in [(first.as_str(), "200"), ("unknown", "200"), (&format!("{}x", &first[..55]), "200")] {
        assert_eq!(scene.revoke(token, &[("token_type_hint", "refresh_token")]).await.status.as_str(), expected);
    }
    for (token, expected) in [
        (theirs.as_str(), "400 invalid_grant"),
        (&person, "400 invalid_grant"),
        (&scene.key, "400 unsupported_token_type"),
        (&other_key, "400 unsupported_token_type"),
        ("", "400 invalid_request"),
    ] {
        assert_eq!(error(&scene.revoke(token, &[]).await), expected);
    }
    let nobody = app.send(form(REVOKE, &[("token", &second)])).await;
    assert_eq!(error(&nobody), "401 invalid_client");
    for bearer in [&theirs, &second] {
        assert_eq!(app.mint(bearer, &json!({})).await.status, StatusCode::OK);
    }
    assert_eq!(app.rows(Action::AccessTokenRevoke).await.iter().filter(|row| row.reason.is_none()).count(), 1);
}

#[tokio::test]
async fn the_documents_name_the_endpoints_that_exist_and_no_others() {
    let app = App::start().await;
    let metadata = app.get(METADATA, None).await;
    insta::assert_snapshot!("metadata", metadata.to_string());
    let document = metadata.json();
    let discovery = app.get("/.well-known/openid-configuration", None).await.json();
    let member = "userinfo_endpoint";
    assert_eq!((&document[member], &discovery[member]), (&Value::Null, &Value::Null), "{member}");
    assert_eq!(document["response_types_supported"], json!(["code"]));
    assert_eq!(discovery["response_types_supported"], json!(["id_token"]));
    // Every endpoint that is named answers, and what both documents say is the same.
    for (member, value) in document.as_object().unwrap() {
        if discovery[member] != Value::Null && member != "response_types_supported" {
            assert_eq!(discovery[member], *value, "{member}");
        }
        let Some(path) = value.as_str().filter(|_| member.ends_with("_endpoint") || member == "jwks_uri") else {
            continue;
        };
        let path = path.strip_prefix(crate::support::app::ISSUER).unwrap();
        assert_ne!(app.get(path, None).await.status, StatusCode::NOT_FOUND, "{member}");
    }
    // Every grant that is named is one that the token endpoint knows.
    for grant in document["grant_types_supported"].as_array().unwrap() {
        let answer = app.send(form(TOKEN, &[("grant_type", grant.as_str().unwrap())])).await;
        assert_ne!(error(&answer), "400 unsupported_grant_type", "{grant}");
    }
}

#[tokio::test]
async fn the_metadata_stands_at_both_places_and_is_cached_like_discovery() {
    let app = App::start().await;
    let under = app.get(METADATA, None).await;
    let etag = under.header("etag").unwrap().to_owned();
    for uri in [format!("/brevet{METADATA}"), format!("{METADATA}/brevet")] {
        let ask = |method: Method, tag: Option<&str>| {
            let mut request = Request::builder().method(method).uri(&uri);
            if let Some(tag) = tag {
                request = request.header("if-none-match", tag);
            }
            app.send(request.body(Body::empty()).unwrap())
        };
        let whole = ask(Method::GET, None).await;
        assert_eq!((whole.status, &whole.body), (StatusCode::OK, &under.body), "{uri}");
        assert_eq!(whole.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(whole.header("access-control-allow-origin"), Some("*"));
        assert_eq!(whole.header("etag"), Some(etag.as_str()));
        assert_eq!(ask(Method::GET, Some(&etag)).await.status, StatusCode::NOT_MODIFIED);
        let head = ask(Method::HEAD, None).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(ask(Method::POST, None).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    for uri in [METADATA.to_owned(), format!("{METADATA}/other"), format!("{METADATA}/brevet/")] {
        let answer = app.send(Request::get(&uri).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{uri}");
    }
}
