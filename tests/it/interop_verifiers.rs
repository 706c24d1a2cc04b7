//! Our tokens before verifiers that did not sign them: PyJWT through its JWKS client and jose through
//! `createRemoteJWKSet`, each finding the keys by itself.

use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::crypto::jwk::{self, X5c};
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::new_key::new_signing_key;
use brevet::crypto::seal::Kek;
use brevet::crypto::signer::KeySet;
use brevet::domain::claims::Claims;
use brevet::domain::clock::Clock;
use brevet::domain::entropy::Entropy;
use brevet::domain::id::{IssuerId, TeamUid, TokenId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::policy::{MintRequest, Standing, decide};
use brevet::domain::principal::{ActorType, Principal};
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
use brevet::domain::signing_key::{KeyKind, KeyTimes};
use brevet::domain::subject::Subject;
use brevet::domain::team::TeamPolicy;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::support::clients::{self, Client};
use crate::support::documents::Documents;

const AUDIENCE: &str = "sts.amazonaws.com";

/// An issuer reduced to what a verifier sees of it: two documents and tokens of one key.
struct Issuer {
    url: IssuerUrl,
    keys: KeySet,
    _documents: Documents,
}

impl Issuer {
    /// Publishes `kind`'s key, which signs, and a standby of the other algorithm, which does not.
    fn start(kind: KeyKind, x5c: X5c) -> Self {
        let documents = Documents::start();
        let url = IssuerUrl::parse(documents.origin(), Development::On).expect("a loopback issuer");
        let now = SystemClock.now();
        let times = KeyTimes { sign_from: Some(now), ..KeyTimes::published(now) };
        let kek = Kek::generate(&SystemEntropy).expect("a key-encryption key");
        let id = IssuerId::new(SystemEntropy.uuid_v7(now));
        let row = |kind| {
            let pair = KeyPair::generate(kind).expect("a key pair");
            new_signing_key(&pair, id, times, &kek, &SystemEntropy, now).expect("a row")
        };
        let standby = if kind == KeyKind::P256 { KeyKind::Rsa2048 } else { KeyKind::P256 };
        let (signing, standby) = (row(kind), row(standby));
        documents.put("/.well-known/jwks.json", jwk::document(&[&signing, &standby], x5c));
        let jwks_uri = format!("{url}/.well-known/jwks.json");
        let discovery = json!({ "issuer": url.as_str(), "jwks_uri": jwks_uri });
        documents.put("/.well-known/openid-configuration", discovery.to_string());
        let keys = KeySet::open(&signing, &kek, &SystemEntropy).expect("the sealed key opens");
        Self { url, keys, _documents: documents }
    }

    /// A token minted at `now`, and its claims as we wrote them.
    fn mint(&self, now: OffsetDateTime) -> (String, Value) {
        let principal = Principal::new(ActorType::ServiceAccount, "agent-1").expect("a uid");
        let subject = Subject::new(TeamUid::parse("team-1").expect("a uid"), principal);
        let layer = ProviderLayer {
            role_arn: Some(RoleArn::parse("arn:aws:iam::111122223333:role/bedrock").expect("a role")),
            region: Some(Region::parse("us-east-1").expect("a region")),
            ..ProviderLayer::default()
        };
        let settings = EffectiveSettings::of(&[(Layer::Team, &layer)]);
        let standing = Standing {
            subject: &subject,
            run: None,
            actor: None,
            amr: &[],
            issuer: &self.url,
            policy: &TeamPolicy::new_team(),
            settings: &settings,
            outside: &settings,
            worker_audiences: &[],
        };
        let grant = decide(standing, &MintRequest::default(), None).expect("policy allows it");
        let claims = Claims::build(&grant, &self.url, TokenId::new(SystemEntropy.uuid_v7(now)), now);
        let input = self.keys.prepare(&claims).expect("claims are JSON");
        let token = self.keys.sign(input).expect("the key signs");
        (token.expose().to_owned(), serde_json::to_value(claims).expect("claims are JSON"))
    }
}

/// The verifiers that are installed, by name.
fn verifiers() -> impl Iterator<Item = (&'static str, Client)> {
    let pyjwt = clients::python("verify_pyjwt.py").map(|client| ("PyJWT", client));
    let jose = clients::node("verify_jose.mjs").map(|client| ("jose", client));
    [pyjwt, jose].into_iter().flatten()
}

fn judged(client: Client, token: &str, issuer: &str, audience: &str) -> Value {
    client.args(["--token", token, "--issuer", issuer, "--audience", audience]).run().json()
}

#[test]
fn threat_19_independent_verifiers_take_our_keys_and_read_our_claims() {
    for (kind, x5c) in [(KeyKind::Rsa2048, X5c::Off), (KeyKind::Rsa3072, X5c::On), (KeyKind::P256, X5c::Off)] {
        let issuer = Issuer::start(kind, x5c);
        let (token, claims) = issuer.mint(SystemClock.now());
        for (name, client) in verifiers() {
            let answer = judged(client, &token, issuer.url.as_str(), AUDIENCE);
            assert_eq!(answer["ok"], true, "{name}, {kind:?}: {answer}");
            assert_eq!(answer["claims"], claims, "{name}, {kind:?}");
            let header = json!({
                "typ": "JWT",
                "alg": kind.algorithm().as_str(),
                "kid": issuer.keys.kid().as_str(),
            });
            assert_eq!(answer["header"], header, "{name}, {kind:?}");
        }
    }
}

/// The verifiers' own refusals, so that the test above proves something: they look at each of these.
#[test]
fn independent_verifiers_refuse_what_is_not_ours_or_not_for_them() {
    let issuer = Issuer::start(KeyKind::Rsa2048, X5c::Off);
    let url = issuer.url.as_str();
    let now = SystemClock.now();
    let (token, _) = issuer.mint(now);
    let (expired, _) = issuer.mint(now - Duration::hours(2));
    let (early, _) = issuer.mint(now + Duration::hours(2));
    let (foreign, _) = Issuer::start(KeyKind::Rsa2048, X5c::Off).mint(now);
    // The signature of one token under the claims of another.
    let (other, _) = issuer.mint(now);
    let (claims, _) = other.rsplit_once('.').expect("three parts");
    let (_, signature) = token.rsplit_once('.').expect("three parts");
    let tampered = format!("{claims}.{signature}");

    let cases = [
        ("tampered", tampered.as_str(), AUDIENCE, "InvalidSignatureError", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
        (
            "another audience",
            &token,
            "inference.example.com",
            "InvalidAudienceError",
            "ERR_JWT_CLAIM_VALIDATION_FAILED",
        ),
        ("expired", &expired, AUDIENCE, "ExpiredSignatureError", "ERR_JWT_EXPIRED"),
        ("not yet valid", &early, AUDIENCE, "ImmatureSignatureError", "ERR_JWT_CLAIM_VALIDATION_FAILED"),
        ("another issuer's key", &foreign, AUDIENCE, "PyJWKClientError", "ERR_JWKS_NO_MATCHING_KEY"),
    ];
    for (what, token, audience, pyjwt, jose) in cases {
        for (name, client) in verifiers() {
            let answer = judged(client, token, url, audience);
            let wanted = if name == "PyJWT" { pyjwt } else { jose };
            assert_eq!(
                (answer["ok"].as_bool(), answer["error"].as_str()),
                (Some(false), Some(wanted)),
                "{name}: {what}"
            );
        }
    }
}
