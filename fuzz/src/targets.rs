//! Every parser of outside input, each held to what it promises: what it takes it gives back unchanged, what it refuses
//! it refuses without a panic, and nothing unsigned is believed.
//!
//! `scripts/fuzz` runs them under libFuzzer; `tests/it/fuzz_corpus.rs` replays `fuzz/corpus` with them.

use std::hint::black_box;
use std::str::from_utf8;
use std::sync::LazyLock;

use brevet::crypto::client_assertion::UnverifiedAssertion;
use brevet::crypto::client_key;
use brevet::crypto::foreign_keys::ForeignKeys;
use brevet::crypto::foreign_token::UnverifiedToken;
use brevet::crypto::jwk::{Jwks, thumbprint};
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::verify::Verifier;
use brevet::crypto::verifying_key::VerifyingKey;
use brevet::domain::address_range::AddressRange;
use brevet::domain::audience::Audience;
use brevet::domain::claim_condition::{ClaimPath, Pattern};
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::endpoint::Endpoint;
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::{RunId, TeamUid, TokenId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::label;
use brevet::domain::principal::Principal;
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::secret::{Secret, SecretBytes};
use brevet::domain::session_tag::{TagKey, TagValue};
use brevet::domain::settings::ModelId;
use brevet::domain::signing_key::{KeyKind, Kid, PublicKey};
use brevet::domain::subject::Subject;
use brevet::http::issuer::oauth::form::Form;
use brevet::iam::document::{Document, Kind};
use brevet::limit::rate::Rate;
use brevet::wire::admin::policy::ChangePolicy;
use brevet::wire::admin::provider_settings::ChangeProviderSettings;
use brevet::wire::admin::public_key::CreatePublicKey;
use brevet::wire::exchange::{ExchangeRequest, LivenessRequest};
use brevet::wire::mint::MintRequest;
use brevet::wire::run::OpenRun;
use brevet::worker::token_source::presented::{Presented, presented};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use time::OffsetDateTime;

/// A target's name, which is its folder in the corpus, and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 14] = [
    ("credential", credential),
    ("subject", subject),
    ("role_arn", role_arn),
    ("identity_token", identity_token),
    ("jwks", jwks),
    ("client_assertion", client_assertion),
    ("foreign_token", foreign_token),
    ("token_form", token_form),
    ("worker_caller", worker_caller),
    ("settings", settings),
    ("url", url),
    ("policy_document", policy_document),
    ("key_file", key_file),
    ("words", words),
];

const ISSUER: &str = "https://id.example.com/brevet";

/// The key of RFC 7515, appendix A.3: the fuzzer has no private half.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    PublicKey::new(KeyKind::P256, x, y).expect("a sound key")
});
static VERIFYING: LazyLock<VerifyingKey> = LazyLock::new(|| VerifyingKey::new(&KEY).expect("a sound key"));
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let mut jwk = client_key::shown(Some(thumbprint(&KEY).as_str()), &KEY);
    jwk["alg"] = json!("ES256");
    let jwks = Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a sound JWKS");
    let issuer = IssuerUrl::parse(ISSUER, Development::Off).expect("a sound URL");
    Verifier::new(issuer, &jwks).expect("a sound key")
});
static FOREIGN: LazyLock<ForeignKeys> = LazyLock::new(|| {
    let jwks = json!({ "keys": [client_key::shown(Some("k"), &KEY)] });
    ForeignKeys::parse(jwks.to_string().as_bytes()).expect("a sound JWKS")
});

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_323_045).expect("2026")
}

fn text(data: &[u8], each: impl FnOnce(&str)) {
    if let Ok(text) = from_utf8(data) {
        each(text);
    }
}

fn credential(data: &[u8]) {
    text(data, |text| {
        if let Ok(credential) = OpaqueCredential::parse(text) {
            assert_eq!(credential.secret().expose(), text);
            assert!(text.starts_with(credential.kind().prefix()));
        }
    });
}

fn subject(data: &[u8]) {
    text(data, |text| {
        if let Ok(subject) = Subject::parse(text) {
            assert_eq!(subject.to_string(), text);
        }
        if let Ok(principal) = Principal::parse(text) {
            assert_eq!(principal.to_string(), text);
        }
        if let Ok(uid) = TeamUid::parse(text) {
            assert_eq!(uid.as_str(), text);
            assert!(!text.contains([':', '/', '*', '?', '%']));
        }
        if let Some(id) = TokenId::parse(text) {
            assert_eq!(id.to_string(), text);
        }
        black_box(RunId::parse(text).is_ok());
    });
}

fn role_arn(data: &[u8]) {
    text(data, |text| {
        if let Ok(role) = RoleArn::parse(text) {
            assert_eq!(role.to_string(), text);
        }
        if let Ok(region) = Region::parse(text) {
            assert_eq!(region.to_string(), text);
        }
        if let Ok(model) = ModelId::parse(text) {
            assert_eq!(model.to_string(), text);
        }
    });
}

fn identity_token(data: &[u8]) {
    text(data, |text| {
        let audience = Audience::parse("sts.amazonaws.com").expect("an audience");
        let refused = VERIFIER.verify(&Secret::new(text.to_owned()), &audience, now());
        assert!(refused.is_err(), "nobody here can sign");
        if let Ok(kid) = Kid::parse(text) {
            assert_eq!(kid.as_str(), text);
        }
    });
}

fn jwks(data: &[u8]) {
    if let Ok(jwks) = Jwks::parse(data) {
        for (kid, public) in jwks.keys() {
            assert_eq!(thumbprint(public), *kid, "a kid is its key's thumbprint");
        }
    }
    black_box(ForeignKeys::parse(data).is_ok());
    if let Ok(value) = serde_json::from_slice(data)
        && let Ok((kid, public)) = client_key::parse(&value)
    {
        let shown = client_key::shown(kid.as_deref(), &public);
        assert_eq!(client_key::parse(&shown), Ok((kid, public)), "what is shown is what was registered");
    }
}

fn client_assertion(data: &[u8]) {
    text(data, |text| {
        if let Ok(assertion) = UnverifiedAssertion::parse(text) {
            assert!(assertion.verify(&VERIFYING, ISSUER, now()).is_err(), "nobody here can sign");
        }
    });
}

fn foreign_token(data: &[u8]) {
    text(data, |text| {
        if let Ok(token) = UnverifiedToken::parse(text) {
            assert!(token.verify(&FOREIGN, now()).is_err(), "nobody here can sign");
        }
    });
}

/// The form of the token and revocation endpoints, whichever grant it is for.
fn token_form(data: &[u8]) {
    if let Ok(form) = Form::parse(data) {
        for name in ["grant_type", "client_id", "client_secret", "client_assertion", "subject_token", "scope"] {
            assert!(form.get(name).is_none_or(|value| !value.expose().is_empty()), "an empty parameter is absent");
        }
    }
}

/// Where a worker's caller stands: lines of `name: value`, the first of which is the query.
fn worker_caller(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = lines.next().and_then(|line| from_utf8(line).ok());
    let mut headers = HeaderMap::new();
    for line in lines.take(16) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        if let (Some(name), Some(value)) = (parts.next(), parts.next())
            && let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    match presented(&headers, query) {
        Ok(Presented::Token(token)) => {
            let is_credential = |kind: CredentialKind| token.expose().starts_with(kind.prefix());
            assert!(!CredentialKind::ALL.into_iter().any(is_credential), "a credential is no identity token");
        }
        Ok(Presented::Bearer(bearer)) => assert_eq!(bearer.kind(), CredentialKind::Run),
        Err(_) => {}
    }
}

/// Bodies of `/v1` that hold the most.
fn settings(data: &[u8]) {
    black_box(serde_json::from_slice::<ChangeProviderSettings>(data).is_ok());
    black_box(serde_json::from_slice::<ChangePolicy>(data).is_ok());
    black_box(serde_json::from_slice::<MintRequest>(data).is_ok());
    black_box(serde_json::from_slice::<OpenRun>(data).is_ok());
    black_box(serde_json::from_slice::<ExchangeRequest>(data).is_ok());
    black_box(serde_json::from_slice::<LivenessRequest>(data).is_ok());
    black_box(serde_json::from_slice::<CreatePublicKey>(data).is_ok());
}

fn url(data: &[u8]) {
    text(data, |text| {
        for development in [Development::Off, Development::On] {
            if let Ok(url) = IssuerUrl::parse(text, development) {
                assert_eq!(url.as_str(), text);
                assert!(text.ends_with(&format!("{}{}", url.authority(), url.path())));
                assert!(!text.contains(['@', '#', '?', '%', '\\']));
            }
            if let Ok(issuer) = ForeignIssuer::parse(text, development) {
                assert_eq!(issuer.as_str(), text);
            }
        }
        if let Ok(endpoint) = Endpoint::parse(text, &[]) {
            assert!(endpoint.to_string().starts_with("https://"), "only AWS's own names, and those over TLS");
        }
        if let Ok(audience) = Audience::parse(text) {
            assert_eq!(audience.as_str(), text);
        }
    });
}

fn policy_document(data: &[u8]) {
    text(data, |text| {
        for kind in [Kind::Trust, Kind::Permission] {
            black_box(Document::parse(text, kind).is_ok());
        }
    });
}

/// A key file that an operator imports.
fn key_file(data: &[u8]) {
    black_box(KeyPair::import(&SecretBytes::new(data.to_vec())).is_ok());
}

/// Small words with rules of their own.
fn words(data: &[u8]) {
    text(data, |text| {
        if let Ok(name) = label::name(text) {
            assert_eq!(name, text);
        }
        black_box(label::email(text).is_ok());
        if let Ok(key) = TagKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
        if let Ok(value) = TagValue::parse(text) {
            assert_eq!(value.to_string(), text);
        }
        if let Ok(path) = ClaimPath::parse(text) {
            assert_eq!(path.as_str(), text);
        }
        black_box(Pattern::parse(text).is_ok());
        black_box(Rate::parse(text).is_ok());
        if let Ok(range) = AddressRange::parse(text) {
            assert_eq!(AddressRange::parse(&range.to_string()), Ok(range));
        }
    });
}
