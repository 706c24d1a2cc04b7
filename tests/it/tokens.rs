//! A key's whole way: made, sealed, opened, published, signed with, verified against what was published.

use brevet::crypto::jwk::{self, Jwks, X5c};
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::new_key::new_signing_key;
use brevet::crypto::seal::Kek;
use brevet::crypto::signer::KeySet;
use brevet::crypto::verify::{TokenRefused, Verifier};
use brevet::domain::audience::Audience;
use brevet::domain::clock::Clock;
use brevet::domain::id::IssuerId;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::key_schedule::{KeySchedule, ScheduleNumbers};
use brevet::domain::signing_key::{KeyKind, SigningKey, check, published, signing_key};
use serde_json::json;
use time::Duration;

use crate::support::clock;
use crate::support::entropy::SeededEntropy;

#[test]
fn threat_16_tokens_of_both_keys_of_a_hand_over_verify_under_one_published_document() {
    let (clock, entropy) = (clock::clock(), SeededEntropy::new(1));
    let (kek, issuer) = (Kek::generate(&entropy).unwrap(), IssuerId::new(uuid::Uuid::from_u128(1)));
    let schedule = KeySchedule::new(ScheduleNumbers::default(), Development::Off).unwrap();
    let (mut first, mut standby) = KeySchedule::first_pair(clock.now());
    let at = schedule.turn_until(clock.now());
    (first.sign_until, first.publish_until) = (Some(at), Some(schedule.keep_until(at)));
    standby.sign_from = Some(at);
    let make = |kind, times| {
        new_signing_key(&KeyPair::generate(kind).unwrap(), issuer, times, &kek, &entropy, clock.now()).unwrap()
    };
    // A hand-over to the other algorithm, which is a property of the key.
    let keys = [make(KeyKind::Rsa2048, first), make(KeyKind::P256, standby)];
    check(&keys, issuer, clock.now()).unwrap();

    let url = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
    let document = jwk::document(&published(&keys, clock.now()), X5c::On);
    let verifier = Verifier::new(url, &Jwks::parse(document.as_bytes()).unwrap()).unwrap();
    let audience = Audience::sts();

    let mint_and_verify = |signing: &SigningKey| {
        let now = clock.now();
        let set = KeySet::open(signing, &kek, &entropy).unwrap();
        let claims = json!({
            "iss": "https://id.example.com", "sub": "scoped_principal:t1/user:u1", "aud": audience.as_str(),
            "iat": now.unix_timestamp(), "nbf": now.unix_timestamp() - 30, "exp": now.unix_timestamp() + 300,
            "jti": "01890a5d-ac96-774b-bcce-b302099a8057",
        });
        let token = set.sign(set.prepare(&claims).unwrap()).unwrap();
        assert_eq!(verifier.verify(&token, &audience, now).unwrap().kid(), &signing.kid);
        let late = now + Duration::minutes(7);
        assert!(matches!(verifier.verify(&token, &audience, late), Err(TokenRefused::Expired(_))));
        signing.kid.clone()
    };
    let before = mint_and_verify(signing_key(&keys, clock.now()).unwrap());
    clock.set(at - Duration::nanoseconds(1));
    assert_eq!(mint_and_verify(signing_key(&keys, clock.now()).unwrap()), before);
    clock.advance(Duration::nanoseconds(1));
    let after = mint_and_verify(signing_key(&keys, clock.now()).unwrap());
    assert_eq!([before, after], keys.clone().map(|key| key.kid));
    assert_eq!(published(&keys, clock.now()).len(), 2, "the retired key stays for the tokens it signed");
}
