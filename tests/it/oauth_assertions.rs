//! `private_key_jwt`: registered keys, JWKS of one's own, and what an assertion may not be.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::crypto::client_key::shown;
use brevet::crypto::jwk::thumbprint;
use brevet::domain::audit::Action;
use brevet::domain::signing_key::{KeyKind, PublicKey};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::ISSUER;
use crate::support::house::{Answer, House, Listener};

const KEYS: &str = "/v1/teams/acme/service-accounts/robot/public-keys";
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client's own key pair: made and used without ours.
enum KeyPair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl KeyPair {
    fn generate(kind: KeyKind) -> Self {
        if kind == KeyKind::P256 {
            Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        } else {
            Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
        }
    }

    fn algorithm(&self) -> &'static str {
        if matches!(self, Self::Ec(_)) { "ES256" } else { "RS256" }
    }

    fn public(&self) -> PublicKey {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                PublicKey::new(KeyKind::Rsa2048, &text(n), &text(e)).unwrap()
            }
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                PublicKey::new(KeyKind::P256, &text(x), &text(y)).unwrap()
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }
}

async fn house() -> House {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    let settings = json!({"region": "us-east-1", "role_arn": "arn:aws:iam::111122223333:role/bedrock"});
    house.must("PATCH", "/v1/teams/acme/provider-settings", Some(settings)).await;
    for uid in ["robot", "other"] {
        let body = json!({"uid": uid, "name": uid});
        house.must("POST", "/v1/teams/acme/service-accounts", Some(body)).await;
    }
    house
}

fn claims(house: &House, id: &str) -> Value {
    let now = house.app.issuer.now().unix_timestamp();
    json!({ "iss": "robot", "sub": "robot", "aud": ISSUER, "iat": now, "exp": now + 60, "jti": id })
}

fn signed(pair: &KeyPair, kid: Option<&str>, claims: &Value) -> String {
    let mut header = json!({ "alg": pair.algorithm(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = json!(kid);
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(&header), encode(claims));
    let signature = pair.sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn form(path: &str, parameters: &[(&str, &str)]) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let request = Request::post(format!("/brevet{path}")).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(body)).unwrap()
}

async fn ask(house: &House, assertion: &str) -> Answer {
    let parameters =
        [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", assertion)];
    house.send(Listener::Public, form("/oauth2/token", &parameters)).await
}

async fn register(house: &House, kid: Option<&str>, pair: &KeyPair) -> Value {
    house.must("POST", KEYS, Some(json!({ "name": "laptop", "jwk": shown(kid, &pair.public()) }))).await
}

async fn refused(house: &House, assertion: &str) -> String {
    let answer = ask(house, assertion).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
    assert!(answer.header("www-authenticate").starts_with("Basic "));
    assert_eq!(answer.json()["error"], "invalid_client");
    answer.json()["error_description"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_kind_of_key_proves_its_agent_under_each_of_its_names() {
    let house = house().await;
    for (n, kind) in [KeyKind::P256, KeyKind::Rsa2048].into_iter().enumerate() {
        let pair = KeyPair::generate(kind);
        let kid = format!("key/{n}");
        let registered = register(&house, Some(&kid), &pair).await;
        let name = thumbprint(&pair.public()).to_string();
        assert_eq!((&registered["thumbprint"], &registered["jwk"]["kid"]), (&json!(name), &json!(kid)));
        for (at, called) in [Some(kid.as_str()), Some(&name), None].into_iter().enumerate() {
            let answer = ask(&house, &signed(&pair, called, &claims(&house, &format!("{n}-{at}")))).await;
            assert_eq!(answer.status, StatusCode::OK, "{kind:?} {called:?}: {}", answer.text);
            let token = answer.json()["access_token"].as_str().unwrap().to_owned();
            let minted = house.mint(&token, json!({})).await;
            assert_eq!(minted.json()["subject"], "scoped_principal:acme/service_account:robot", "{}", minted.text);
        }
        let listed = house.must("GET", KEYS, None).await;
        assert_eq!(listed["items"][n]["last_used_at"], "2026-01-02T03:04:05Z");
        let issued = house.app.rows(Action::AccessTokenIssue).await;
        let target = format!("public_key:{}", registered["id"].as_str().unwrap());
        assert_eq!(issued.iter().filter(|row| row.target.as_deref() == Some(&target)).count(), 3);
    }
}

#[tokio::test]
async fn threat_8_an_assertion_counts_once_also_in_parallel() {
    let house = house().await;
    let pair = KeyPair::generate(KeyKind::P256);
    register(&house, None, &pair).await;
    let assertion = signed(&pair, None, &claims(&house, "once"));
    let answers = futures_util::future::join_all((0..12).map(|_| ask(&house, &assertion))).await;
    let won = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(won, 1);
    assert!(refused(&house, &assertion).await.contains("used before"));
    // The same id under another agent is another assertion, and a later one of this agent is too.
    assert_eq!(ask(&house, &signed(&pair, None, &claims(&house, "twice"))).await.status, StatusCode::OK);
    // Until it would be refused as expired anyway, the use is remembered.
    house.clock.advance(Duration::seconds(119));
    assert!(refused(&house, &assertion).await.contains("used before"));
    house.clock.advance(Duration::SECOND);
    assert!(refused(&house, &assertion).await.contains("expired"));
    let reasons = house.app.refusals(Action::AccessTokenIssue).await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "client_assertion_replayed").count(), 13, "{reasons:?}");
    assert!(house.app.rows(Action::AccessTokenIssue).await.iter().all(|row| row.team.is_some()));
}

#[tokio::test]
async fn threat_1_to_3_an_assertion_that_is_not_exactly_one_is_refused() {
    let house = house().await;
    let pair = KeyPair::generate(KeyKind::P256);
    register(&house, Some("a"), &pair).await;
    let control = ask(&house, &signed(&pair, Some("a"), &claims(&house, "control"))).await;
    assert_eq!(control.status, StatusCode::OK, "the positive control: {}", control.text);
    let stranger = KeyPair::generate(KeyKind::P256);
    let rsa = KeyPair::generate(KeyKind::Rsa2048);
    let with = |name: &str, value: Value| {
        let mut claims = claims(&house, name);
        claims[name] = value;
        signed(&pair, Some("a"), &claims)
    };
    let now = house.app.issuer.now().unix_timestamp();
    for (assertion, words) in [
        (signed(&stranger, Some("a"), &claims(&house, "s")), "signature does not hold"),
        (signed(&rsa, Some("a"), &claims(&house, "r")), "alg must be"),
        (signed(&pair, Some("b"), &claims(&house, "k")), "not registered"),
        (signed(&pair, Some("../a"), &claims(&house, "k")), "not registered"),
        (with("aud", json!([ISSUER])), "aud must be the issuer URL, as one string"),
        (with("aud", json!(format!("{ISSUER}/oauth2/token"))), "aud must be"),
        (with("sub", json!("other")), "iss and sub must both be the client_id"),
        (with("exp", json!(now + 301)), "at most 5 minutes ahead"),
        (with("exp", json!(now - 60)), "expired"),
        (with("exp", json!((now + 60).to_string())), "claim exp"),
        (with("jti", json!(null)), "claim jti"),
        (with("nbf", json!(now + 61)), "not valid yet"),
        ("a.b.c".to_owned(), "must be a signed JWT"),
        ("x".repeat(17_000), "must be a signed JWT"),
    ] {
        let said = refused(&house, &assertion).await;
        assert!(said.contains(words), "{words}: {said}");
    }
    // Another agent's name over this agent's signature: like an agent that is not there.
    let mut theirs = claims(&house, "theirs");
    (theirs["iss"], theirs["sub"]) = (json!("other"), json!("other"));
    let mut nobodys = claims(&house, "nobodys");
    (nobodys["iss"], nobodys["sub"]) = (json!("nobody"), json!("nobody"));
    let (of_other, of_nobody) = (signed(&pair, None, &theirs), signed(&pair, None, &nobodys));
    assert_eq!(refused(&house, &of_other).await, refused(&house, &of_nobody).await);
    // Not what proves, and not in its place.
    let sound = signed(&pair, Some("a"), &claims(&house, "named"));
    let base = [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &*sound)];
    let named = house.send(Listener::Public, form("/oauth2/token", &[&base[..], &[("client_id", "other")]].concat()));
    assert_eq!(named.await.status, StatusCode::UNAUTHORIZED);
    let named = house.send(Listener::Public, form("/oauth2/token", &[&base[..], &[("client_id", "robot")]].concat()));
    assert_eq!(named.await.status, StatusCode::OK);
    let agent = house.mint(&sound, json!({})).await;
    assert_eq!(agent.status, StatusCode::UNAUTHORIZED, "an assertion is no bearer");
}

#[tokio::test]
async fn threat_23_a_revoked_key_and_a_disabled_agent_prove_nothing_more() {
    let house = house().await;
    let pair = KeyPair::generate(KeyKind::P256);
    let registered = register(&house, None, &pair).await;
    let answer = ask(&house, &signed(&pair, None, &claims(&house, "1"))).await;
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(house.mint(&token, json!({})).await.status, StatusCode::OK);

    let agent = "/v1/teams/acme/service-accounts/robot";
    house.must("PATCH", agent, Some(json!({"disabled": true}))).await;
    assert!(refused(&house, &signed(&pair, None, &claims(&house, "2"))).await.contains("service account disabled"));
    house.must("PATCH", agent, Some(json!({"disabled": false}))).await;
    // What was refused for something else is not used up.
    assert_eq!(ask(&house, &signed(&pair, None, &claims(&house, "2"))).await.status, StatusCode::OK);
    assert_eq!(house.mint(&token, json!({})).await.status, StatusCode::OK);

    let path = format!("{KEYS}/{}", registered["id"].as_str().unwrap());
    house.must("DELETE", &path, None).await;
    assert!(refused(&house, &signed(&pair, None, &claims(&house, "3"))).await.contains("not registered"));
    assert_eq!(house.mint(&token, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.admin("DELETE", &path, None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_jwks_of_ones_own_is_read_and_read_again_for_a_new_key_at_a_bounded_rate() {
    let documents = crate::support::documents::Documents::start();
    let jwks = |keys: &[(&str, &KeyPair)]| {
        let keys: Vec<_> = keys.iter().map(|(kid, pair)| shown(Some(kid), &pair.public())).collect();
        json!({ "keys": keys }).to_string()
    };
    let (first, second) = (KeyPair::generate(KeyKind::P256), KeyPair::generate(KeyKind::Rsa2048));
    let place = format!("{}/jwks.json", documents.origin());
    documents.put("/jwks.json", jwks(&[("1", &first)]));
    let app = crate::support::app::App::at(
        brevet::domain::issuer_url::IssuerUrl::parse(
            "http://127.0.0.1:8080",
            brevet::domain::issuer_url::Development::On,
        )
        .unwrap(),
        crate::support::app::Options::default(),
    )
    .await;
    let team = app.team("acme").await;
    let agent = app.agent(&team, "robot").await;
    let key = brevet::domain::client_key::ClientKey {
        id: brevet::domain::id::PublicKeyId::new(uuid::Uuid::from_u128(7)),
        name: String::new(),
        source: brevet::domain::client_key::KeySource::JwksUri(place.as_str().into()),
        created_at: app.issuer.now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    app.store.create_public_key(&agent, &key, &app.event(), None).await.unwrap();
    let ask = async |pair: &KeyPair, kid: Option<&str>, id: &str| {
        let now = app.issuer.now().unix_timestamp();
        let claims =
            json!({ "iss": "robot", "sub": "robot", "aud": "http://127.0.0.1:8080", "exp": now + 60, "jti": id });
        let assertion = signed(pair, kid, &claims);
        let parameters =
            [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &*assertion)];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = Request::post("/oauth2/token").header("content-type", "application/x-www-form-urlencoded");
        app.send(request.body(Body::from(body)).unwrap()).await.status
    };
    assert_eq!(ask(&first, Some("1"), "a").await, StatusCode::OK);
    assert_eq!(ask(&first, None, "b").await, StatusCode::UNAUTHORIZED, "a JWKS finds its keys by name");
    // A new key right after: the JWKS was asked a moment ago, so the key is unknown for half a minute.
    documents.put("/jwks.json", jwks(&[("1", &first), ("2", &second)]));
    for n in 0..20 {
        assert_eq!(ask(&second, Some("2"), &format!("c{n}")).await, StatusCode::UNAUTHORIZED);
    }
    app.clock.advance(Duration::seconds(30));
    assert_eq!(ask(&second, Some("2"), "d").await, StatusCode::OK);
    // A key under another's name, and a place that answers no more.
    assert_eq!(ask(&second, Some("1"), "e").await, StatusCode::UNAUTHORIZED);
    documents.put("/jwks.json", "{}".to_owned());
    assert_eq!(ask(&first, Some("1"), "f").await, StatusCode::OK, "what was read still holds");
}

#[tokio::test]
async fn threat_22_hostile_places_of_keys_are_refused_where_they_are_registered() {
    let house = house().await;
    for uri in [
        "",
        "http://keys.example.com/jwks",
        "http://127.0.0.1:8080/jwks",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://keys.example.com/jwks",
        "gopher://keys.example.com",
        "//keys.example.com/jwks",
        "https://",
        "https:///jwks",
        "https://user:secret@keys.example.com/jwks",
        "https://keys.example.com@evil.example/jwks",
        "https://keys.example.com/jwks#x",
        "https://keys.example.com/a b",
        "https://keys.example.com\\@evil.example/",
        &format!("https://keys.example.com/{}", "a".repeat(2000)),
    ] {
        let answer = house.admin("POST", KEYS, Some(json!({ "jwks_uri": uri }))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{uri}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["field"], "jwks_uri", "{uri}: {}", answer.text);
        assert!(!answer.text.contains("secret"), "{uri}");
    }
    // What only the address tells is refused when the keys are asked for: no connection is made.
    for uri in ["https://169.254.169.254/jwks", "https://[::ffff:169.254.169.254]/jwks", "https://10.0.0.1/jwks"] {
        let made = house.must("POST", KEYS, Some(json!({ "jwks_uri": uri }))).await;
        let pair = KeyPair::generate(KeyKind::P256);
        let said = refused(&house, &signed(&pair, Some("a"), &claims(&house, uri))).await;
        assert_eq!(said, "the keys at the client's registered jwks_uri could not be had", "{uri}");
        house.must("DELETE", &format!("{KEYS}/{}", made["id"].as_str().unwrap()), None).await;
    }
}

#[tokio::test]
async fn each_broken_registration_names_its_field() {
    let house = house().await;
    let pair = KeyPair::generate(KeyKind::P256);
    let jwk = shown(None, &pair.public());
    let mut private = jwk.clone();
    private["d"] = json!("c2VjcmV0LXNlY3JldC1zZWNyZXQ");
    for (body, field) in [
        (json!({}), "jwk"),
        (json!({ "jwk": jwk, "jwks_uri": "https://x.example/j" }), "jwk"),
        (json!({ "jwk": private }), "jwk"),
        (json!({ "jwk": { "keys": [jwk] } }), "jwk"),
        (json!({ "jwk": jwk, "expires_in_seconds": 59 }), "expires_in_seconds"),
        (json!({ "jwk": jwk, "name": "" }), "name"),
        (json!({ "jwk": jwk, "colour": "red" }), "colour"),
    ] {
        let answer = house.admin("POST", KEYS, Some(body.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {}", answer.text);
        assert!(!answer.text.contains("c2VjcmV0"), "{}", answer.text);
    }
    let made = house.admin("POST", KEYS, Some(json!({ "jwk": jwk, "expires_in_seconds": 60 }))).await;
    assert_eq!((made.status, made.json()["expires_at"].as_str()), (StatusCode::CREATED, Some("2026-01-02T03:05:05Z")));
    let elsewhere =
        house.admin("POST", "/v1/teams/acme/service-accounts/nobody/public-keys", Some(json!({ "jwk": jwk })));
    assert_eq!(elsewhere.await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_key_is_rotated_with_an_overlap_in_one_step() {
    let house = house().await;
    let keys = "/v1/teams/acme/service-accounts/robot/keys";
    let old = house.must("POST", keys, Some(json!({ "name": "ci" }))).await;
    let (old_key, id) = (old["key"].as_str().unwrap(), old["id"].as_str().unwrap());
    let rotate = format!("{keys}/{id}/rotate");
    let headers = [("idempotency-key", "rotate-1")];
    let body = Some(json!({ "overlap_seconds": 600 }));
    let made = house.call_with(&house.first, "POST", &rotate, body.clone(), &headers).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let new = made.json();
    assert_eq!(new["name"], "ci", "the old one's name");
    assert_eq!(made.header("location"), format!("/brevet{keys}/{}", new["id"].as_str().unwrap()));
    // A repeat makes nothing twice and shows no secret.
    let again = house.call_with(&house.first, "POST", &rotate, body, &headers).await.json();
    assert_eq!((&again["id"], &again["key"]), (&new["id"], &Value::Null));
    let listed = house.must("GET", keys, None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let ends = listed["items"].as_array().unwrap().iter().find(|key| key["id"] == id).map(|key| &key["expires_at"]);
    assert_eq!(ends, Some(&json!("2026-01-02T03:14:05Z")));

    let new_key = new["key"].as_str().unwrap();
    for (advance, old_works) in [(Duration::ZERO, true), (Duration::seconds(599), true), (Duration::SECOND, false)] {
        house.clock.advance(advance);
        let works = async |key: &str| house.mint(key, json!({})).await.status == StatusCode::OK;
        assert_eq!((works(old_key).await, works(new_key).await), (old_works, true));
    }
    for (path, body, status) in [
        (rotate.as_str(), json!({}), 404),
        (&format!("{keys}/{}/rotate", new["id"].as_str().unwrap()), json!({ "overlap_seconds": 2_592_001 }), 400),
        (&format!("{keys}/{}/rotate", new["id"].as_str().unwrap()), json!({ "expires_in_seconds": 1 }), 400),
        ("/v1/teams/acme/service-accounts/other/keys/x/rotate", json!({}), 404),
    ] {
        let answer = house.admin("POST", path, Some(body)).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    }
}
