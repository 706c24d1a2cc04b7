//! The OAuth endpoints before clients that nobody here wrote: openid-client and Authlib complete the machine flows
//! against the real binary, finding everything by the issuer URL.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock;
use serde_json::{Value, json};

use crate::support::clients::{self, Client};
use crate::support::documents::Documents;
use crate::support::process::Home;
use crate::support::served::Served;

/// An agent's own key pair.
struct Pair(EcdsaKeyPair);

impl Pair {
    fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair"))
    }

    fn pem(&self) -> String {
        let der = self.0.to_pkcs8v1().expect("a private key");
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
    }

    fn jwk(&self, kid: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": text(x), "y": text(y) })
    }

    fn sign(&self, kid: &str, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid })), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn installed() -> impl Iterator<Item = (&'static str, Client)> {
    let node = clients::node("oauth_openid_client.mjs").map(|client| ("openid-client", client));
    let python = clients::python("oauth_authlib.py").map(|client| ("Authlib", client));
    [node, python].into_iter().flatten()
}

/// A second issuer, for token exchange: its documents, and one token of it.
fn second_issuer(audience: &str, id: &str) -> (Documents, String) {
    let (documents, pair) = (Documents::start(), Pair::generate());
    let issuer = documents.origin().to_owned();
    let discovery = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") });
    documents.put("/.well-known/openid-configuration", discovery.to_string());
    documents.put("/jwks", json!({ "keys": [pair.jwk("ci")] }).to_string());
    let now = SystemClock.now().unix_timestamp();
    let claims = json!({
        "iss": issuer, "sub": "repo:acme/web", "aud": audience, "iat": now, "exp": now + 300, "jti": id,
        "repository_owner_id": "9919",
    });
    let token = pair.sign("ci", &claims);
    (documents, token)
}

#[test]
fn independent_clients_complete_the_machine_flows() {
    let served = Served::start();
    let key = served.furnish();
    let files = Home::new();
    let pair = Pair::generate();
    let (private, public) = (files.path().join("key.pem"), files.path().join("key.jwk"));
    fs::write(&private, pair.pem()).expect("a file");
    fs::write(&public, pair.jwk("laptop").to_string()).expect("a file");
    let public = public.to_str().expect("a path");
    served.admin(&["admin", "public-keys", "add", "--team", "red", "bot", "--jwk", public, "--name", "laptop"]);
    let audience = format!("{}/teams/red", served.url);

    for (name, client) in installed() {
        let (documents, subject_token) = second_issuer(&audience, name);
        let rule = ["--from", documents.origin(), "--audience", &audience, "--claim", "repository_owner_id=9919"];
        served
            .admin(&[&["admin", "trust-rules", "create", "--team", "red", "bot", "--name", name][..], &rule].concat());
        let private = private.to_str().expect("a path");
        let flags = ["--issuer", &served.url, "--client-id", "bot", "--secret", &key, "--key", private];
        let flags = [&flags[..], &["--kid", "laptop", "--subject-token", &subject_token]].concat();
        let answer = client.args(flags).run().json();
        assert_eq!(answer["ok"], true, "{name}: {answer}");
        assert_eq!(answer["metadata"]["issuer"], *served.url, "{name}");
        let tokens = answer["tokens"].as_object().expect("tokens");
        assert_eq!(tokens.len(), 5, "{name}: {:?}", tokens.keys());
        for (flow, token) in tokens {
            assert!(token["expires_in"].as_u64().is_some_and(|left| (890..=900).contains(&left)), "{name}: {flow}");
            assert!(
                token["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")),
                "{name}: {flow}"
            );
            let access = token["access_token"].as_str().expect("a token");
            let minted = served.brevet(Some(access), &["token"]);
            let works = minted.code() == Some(0);
            assert_eq!(works, flow != "revoked", "{name}: {flow}: {minted:#?}");
        }
        // The clients' own refusals, so that the flows above prove something: a wrong key is told as what it is.
        let wrong = if name == "Authlib" {
            clients::python("oauth_authlib.py")
        } else {
            clients::node("oauth_openid_client.mjs")
        };
        let cut = &key[..40];
        let flags = ["--issuer", &served.url, "--client-id", "bot", "--secret", cut, "--key", private];
        let refused = wrong.expect("it ran a moment ago").args(flags).run().json();
        assert_eq!(refused["ok"], false, "{name}: {refused}");
        let said = refused.to_string();
        assert!(
            said.contains("invalid_client") || said.contains("WWW-Authenticate") || said.contains("WWW_AUTHENTICATE"),
            "{name}: {said}"
        );
    }
}
