//! Every byte of the JWKS through a key's life, over HTTP: what AWS's verifier is known to need and to refuse, for
//! every kind of key, with certificates and without.

use std::collections::BTreeSet;

use brevet::crypto::jwk::Jwks;
use brevet::domain::clock::Clock as _;
use brevet::domain::issuer_url::Development;
use brevet::domain::rotation::sighting_within;
use brevet::domain::signing_key::{KeyKind, KeyState, Kid, published};
use brevet::issuer::bootstrap::{self, Host, Publishing};
use serde_json::Value;
use time::Duration;

use crate::signing_keys;
use crate::support::app::App;

const JWKS: &str = "/.well-known/jwks.json";

/// Publishes what there is to publish now, and holds the answer to the facts; the kids in order.
async fn facts(app: &App, x5c: bool, moment: &str) -> Vec<String> {
    app.issuer.round().await;
    let answer = app.get(JWKS, None).await;
    let jwks = answer.json();
    assert_eq!(jwks.as_object().unwrap().keys().collect::<Vec<_>>(), ["keys"], "{moment}");
    let keys = jwks["keys"].as_array().unwrap();
    assert!((1..=5).contains(&keys.len()), "{moment}: {answer}");
    let mut kids = Vec::new();
    for key in keys {
        let text = |name: &str| key[name].as_str().unwrap_or_else(|| panic!("{moment}: no {name} in {key}"));
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let own: &[&str] = match text("kty") {
            "RSA" => {
                // 2048 to 4096 bits, and the exponent that everybody takes.
                assert!([342, 512, 683].contains(&text("n").len()), "{moment}: {key}");
                assert_eq!((text("e"), text("alg")), ("AQAB", "RS256"), "{moment}");
                &["n", "e"]
            }
            "EC" => {
                assert_eq!((text("crv"), text("alg")), ("P-256", "ES256"), "{moment}");
                assert_eq!((text("x").len(), text("y").len()), (43, 43), "{moment}");
                &["crv", "x", "y"]
            }
            other => panic!("{moment}: kty {other}"),
        };
        // Exactly these: a `key_ops` would make AWS refuse the key, and there is no place for a private member.
        let certificate = x5c.then_some("x5c");
        let whole = ["kty", "use", "alg", "kid"].iter().chain(own).copied().chain(certificate).collect();
        assert_eq!(members, whole, "{moment}");
        assert_eq!(text("use"), "sig", "{moment}");
        if x5c {
            let chain = key["x5c"].as_array().unwrap();
            assert!(chain.len() == 1 && chain[0].is_string(), "{moment}: {key}");
        }
        kids.push(text("kid").to_owned());
    }
    assert_eq!(kids.iter().collect::<BTreeSet<_>>().len(), kids.len(), "{moment}: a kid twice");
    // Our own reader takes it, which makes sure that each kid is its key's thumbprint.
    assert_eq!(Jwks::parse(&answer.body).unwrap().keys().len(), kids.len(), "{moment}");
    // And they are those that the rows say, the signing key first.
    let rows = app.store.signing_keys(app.issuer.id()).await.unwrap();
    let now = app.clock.now();
    let listed = published(&rows, now);
    assert_eq!(kids, listed.iter().map(|key| key.kid.to_string()).collect::<Vec<_>>(), "{moment}");
    assert_eq!(listed[0].state(now), KeyState::Active, "{moment}");
    kids
}

/// Notes a look that saw everything.
async fn look(app: &App) {
    let now = app.clock.now();
    let rows = app.store.signing_keys(app.issuer.id()).await.unwrap();
    let listed: Vec<Kid> = rows.iter().map(|key| key.kid.clone()).collect();
    app.store
        .note_look(app.issuer.id(), now, &sighting_within(&rows, &listed, now, Duration::MAX).times)
        .await
        .unwrap();
}

/// Lets time pass as it does: looks and rounds go on.
async fn pass(app: &App, hours: i64) {
    for _ in 0..hours {
        look(app).await;
        app.clock.advance(Duration::HOUR);
    }
    look(app).await;
}

async fn lives_through(kind: KeyKind, x5c: bool) {
    let app = App::start().await;
    let host = Host { clock: app.clock.clone(), entropy: app.entropy.clone() };
    let row = app.store.issuer().await.unwrap().unwrap();
    let asked = Publishing { x5c: Some(x5c), ..Publishing::default() };
    bootstrap::publishing(&app.store, row, asked, Development::Off, &host).await.unwrap();
    let named = |moment: &str| format!("{kind:?}, x5c {x5c}, {moment}");
    let keys = signing_keys::operator(&app).await;

    let first = facts(&app, x5c, &named("at the start")).await;
    keys.prepare(kind).await.unwrap();
    let prepared = facts(&app, x5c, &named("prepared")).await;
    assert_eq!((prepared.len(), &prepared[0]), (2, &first[0]));
    assert!(!prepared.contains(&first[1]), "the old standby is still published");
    pass(&app, 26).await;
    keys.rotate().await.unwrap();
    app.clock.advance(Duration::SECOND);
    let active = facts(&app, x5c, &named("signing")).await;
    assert_eq!(active[0], prepared[1]);
    assert!(active.contains(&first[0]), "the retired key has left at once");
    pass(&app, 4).await;
    let alone = facts(&app, x5c, &named("the retired one gone")).await;
    assert!(!alone.contains(&first[0]));
    keys.distrust(&Kid::parse(&alone[0]).unwrap(), true).await.unwrap();
    let distrusted = facts(&app, x5c, &named("distrusted")).await;
    assert!(!distrusted.contains(&alone[0]));
    let before: BTreeSet<String> = distrusted.into_iter().collect();
    keys.replace_all(None, true).await.unwrap();
    let replaced = facts(&app, x5c, &named("all replaced")).await;
    assert!(replaced.iter().all(|kid| !before.contains(kid)));
    let signing: Value = app.get(JWKS, None).await.json()["keys"][0].clone();
    assert_eq!(signing["alg"], kind.algorithm().as_str());
}

#[tokio::test]
async fn threat_19_every_jwks_of_an_rsa_key_s_life_is_what_aws_takes() {
    for kind in [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096] {
        lives_through(kind, false).await;
    }
    lives_through(KeyKind::Rsa2048, true).await;
}

#[tokio::test]
async fn threat_19_every_jwks_of_an_elliptic_key_s_life_is_what_aws_takes() {
    for x5c in [false, true] {
        lives_through(KeyKind::P256, x5c).await;
    }
}
