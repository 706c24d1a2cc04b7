//! Assertions by which a client proves itself (RFC 7523, section 3), narrowed: the audience is the issuer as one
//! string, the end at most five minutes ahead, an id required.
//!
//! Two steps, two types. [`UnverifiedAssertion`] says only whose it claims to be, so that the keys of that client can be
//! found. [`ClientAssertion`] is what holds under one of those keys. Nothing in a header says how to verify: the key is
//! one that was registered, the algorithm is the key's, and no file, URL or certificate is ever followed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::foreign_keys::is_kid;
use super::strict_json;
use super::verify::{LEEWAY, TOKEN_MAX};
use super::verifying_key::VerifyingKey;

/// The farthest end of an assertion.
pub const ASSERTION_LIFE_MAX: Duration = Duration::minutes(5);
/// Most characters of a `jti`.
const ID_MAX: usize = 255;

/// Why an assertion is refused: a closed list, none of which repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum AssertionRefused {
    /// Not three base64url parts of JSON objects, or too long.
    #[error("client_assertion must be a signed JWT of at most 16384 characters")]
    Form,
    /// A member that names a key or changes the meaning, or a type of token that is no assertion.
    #[error("client_assertion header must hold alg, at most kid and typ JWT, and no jku, x5u, jwk, x5c, crit or b64")]
    Header,
    /// Signed with something that is not taken from anybody.
    #[error("client_assertion alg must be RS256 or ES256, and that of the registered key")]
    Algorithm,
    /// No key of the client is named so.
    #[error("client_assertion is signed with a key that is not registered for this client")]
    UnknownKey,
    /// The signature does not hold.
    #[error("client_assertion signature does not hold under any key registered for this client")]
    Signature,
    /// A claim is absent, or not of its exact type.
    #[error("client_assertion claim {0} is missing or malformed")]
    Claim(&'static str),
    /// Issuer and subject are not one and the same client.
    #[error("client_assertion iss and sub must both be the client_id")]
    Subject,
    /// For somebody else, or for more than us.
    #[error("client_assertion aud must be the issuer URL, as one string")]
    Audience,
    /// Its time is over.
    #[error("client_assertion has expired")]
    Expired,
    /// Its time has not come.
    #[error("client_assertion is not valid yet: check the clocks")]
    NotYet,
    /// It lives too long.
    #[error("client_assertion exp must be at most 5 minutes ahead")]
    TooLong,
}

impl AssertionRefused {
    /// The stable word in audit rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "client_assertion_malformed",
            Self::Header => "client_assertion_header",
            Self::Algorithm => "client_assertion_algorithm",
            Self::UnknownKey => "client_assertion_unknown_key",
            Self::Signature => "client_assertion_signature",
            Self::Claim(_) => "client_assertion_claim",
            Self::Subject => "client_assertion_subject",
            Self::Audience => "client_assertion_audience",
            Self::Expired => "client_assertion_expired",
            Self::NotYet => "client_assertion_not_yet_valid",
            Self::TooLong => "client_assertion_lifetime",
        }
    }
}

/// An assertion that nobody vouches for yet.
#[derive(Clone)]
pub struct UnverifiedAssertion {
    client: String,
    kid: Option<String>,
    algorithm: String,
    input: String,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl UnverifiedAssertion {
    /// Takes `text` apart.
    pub fn parse(text: &str) -> Result<Self, AssertionRefused> {
        if text.len() > TOKEN_MAX {
            return Err(AssertionRefused::Form);
        }
        let (input, signature) = text.rsplit_once('.').ok_or(AssertionRefused::Form)?;
        let (header, payload) = input.split_once('.').ok_or(AssertionRefused::Form)?;
        // One canonical spelling: no padding, no white space, no stray bits.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| AssertionRefused::Form);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let (algorithm, kid) = read_header(&header)?;
        let claims = strict_json::object(&payload).ok_or(AssertionRefused::Form)?;
        let named = |name| claims.get(name).and_then(Value::as_str).ok_or(AssertionRefused::Claim(name));
        let client = named("iss")?.to_owned();
        if named("sub")? != client {
            return Err(AssertionRefused::Subject);
        }
        Ok(Self { client, kid, algorithm, input: input.to_owned(), signature, claims })
    }

    /// Whose it claims to be; to look up registered keys, and for nothing else.
    pub fn claimed_client(&self) -> &str {
        &self.client
    }

    /// The name of its key, if it gives one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Verifies it with `key`, which must be one of its claimed client's, for `issuer` at `now`.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        issuer: &str,
        now: OffsetDateTime,
    ) -> Result<ClientAssertion, AssertionRefused> {
        if self.algorithm != key.algorithm().as_str() {
            return Err(AssertionRefused::Algorithm);
        }
        if !key.verifies(self.input.as_bytes(), &self.signature) {
            return Err(AssertionRefused::Signature);
        }
        // RFC 7523 takes a list too; an assertion for several is one that each of them could bring here.
        if self.claims.get("aud").and_then(Value::as_str) != Some(issuer) {
            return Err(AssertionRefused::Audience);
        }
        let leeway = Duration::seconds(LEEWAY);
        let expires_at = self.instant("exp")?.ok_or(AssertionRefused::Claim("exp"))?;
        if now >= expires_at.saturating_add(leeway) {
            return Err(AssertionRefused::Expired);
        }
        if expires_at > now.saturating_add(ASSERTION_LIFE_MAX) {
            return Err(AssertionRefused::TooLong);
        }
        for name in ["nbf", "iat"] {
            if self.instant(name)?.is_some_and(|begins| now.saturating_add(leeway) < begins) {
                return Err(AssertionRefused::NotYet);
            }
        }
        let id = self.claims.get("jti").and_then(Value::as_str).ok_or(AssertionRefused::Claim("jti"))?;
        if !(1..=ID_MAX).contains(&id.len()) {
            return Err(AssertionRefused::Claim("jti"));
        }
        Ok(ClientAssertion { id: id.to_owned(), refused_from: expires_at.saturating_add(leeway) })
    }

    /// An instant that may be absent, but only an integer.
    fn instant(&self, name: &'static str) -> Result<Option<OffsetDateTime>, AssertionRefused> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let seconds = value.as_u64().and_then(|seconds| i64::try_from(seconds).ok());
        let at = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        at.map(Some).ok_or(AssertionRefused::Claim(name))
    }
}

/// An assertion that holds. Only [`UnverifiedAssertion::verify`] makes one; that it comes the first time is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAssertion {
    id: String,
    refused_from: OffsetDateTime,
}

impl ClientAssertion {
    /// Its `jti`, by which a replay is known.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// From when on it is refused as expired: until then a replay must be known.
    pub const fn refused_from(&self) -> OffsetDateTime {
        self.refused_from
    }
}

/// `alg`, and `kid` if it is there. Thumbprints of certificates may stand beside them; they are not looked at.
fn read_header(text: &[u8]) -> Result<(String, Option<String>), AssertionRefused> {
    let mut header = strict_json::object(text).ok_or(AssertionRefused::Header)?;
    let Some(Value::String(algorithm)) = header.remove("alg") else { return Err(AssertionRefused::Header) };
    let kid = match header.remove("kid") {
        None => None,
        Some(Value::String(kid)) if is_kid(&kid) => Some(kid),
        Some(_) => return Err(AssertionRefused::Header),
    };
    let typ = |typ: Value| {
        let ours = ["JWT", "client-authentication+jwt"];
        typ.as_str().is_some_and(|typ| ours.iter().any(|one| typ.eq_ignore_ascii_case(one)))
    };
    if !header.remove("typ").is_none_or(typ) {
        return Err(AssertionRefused::Header);
    }
    for thumbprint in ["x5t", "x5t#S256"] {
        header.remove(thumbprint);
    }
    if header.is_empty() { Ok((algorithm, kid)) } else { Err(AssertionRefused::Header) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;
    use crate::domain::signing_key::KeyKind;
    use aws_lc_rs::hmac;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);
    const ISSUER: &str = "https://id.example.com/brevet";

    static ES256: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeyKind::P256).unwrap());
    static RS256: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeyKind::Rsa2048).unwrap());

    fn sound() -> Value {
        let now = NOW.unix_timestamp();
        json!({ "iss": "agent-1", "sub": "agent-1", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "j-1" })
    }

    fn header(pair: &KeyPair) -> Value {
        json!({ "alg": pair.kind().algorithm().as_str(), "typ": "JWT", "kid": "key/1" })
    }

    fn signed(pair: &KeyPair, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = pair.sign(input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn judged(pair: &KeyPair, text: &str) -> Result<ClientAssertion, AssertionRefused> {
        let key = VerifyingKey::new(pair.public()).unwrap();
        UnverifiedAssertion::parse(text)?.verify(&key, ISSUER, NOW)
    }

    fn with(name: &str, value: Value) -> String {
        let mut claims = sound();
        claims[name] = value;
        claims.to_string()
    }

    #[test]
    fn a_sound_assertion_holds_under_its_own_key_only() {
        for (pair, other) in [(&*ES256, &*RS256), (&*RS256, &*ES256)] {
            let text = signed(pair, &header(pair).to_string(), &sound().to_string());
            let held = judged(pair, &text).unwrap();
            assert_eq!((held.id(), held.refused_from()), ("j-1", NOW + Duration::seconds(120)));
            assert_eq!(judged(other, &text), Err(AssertionRefused::Algorithm));
            let stranger = KeyPair::generate(pair.kind()).unwrap();
            assert_eq!(judged(&stranger, &text), Err(AssertionRefused::Signature));
            let parsed = UnverifiedAssertion::parse(&text).unwrap();
            assert_eq!((parsed.claimed_client(), parsed.kid()), ("agent-1", Some("key/1")));
        }
    }

    #[test]
    fn threat_1_a_public_key_is_never_an_hmac_secret_and_no_signature_is_none() {
        let pair = &*RS256;
        let (n, e) = pair.public().members();
        let jwk = crate::crypto::client_key::shown(None, pair.public()).to_string();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(pair.subject_public_key())
        );
        for secret in [pair.subject_public_key(), pem.as_bytes(), jwk.as_bytes(), n.as_bytes(), e.as_bytes()] {
            for algorithm in ["HS256", "RS256", "hs256"] {
                let head = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
                let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(sound().to_string()));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
                assert!(judged(pair, &format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))).is_err(), "{algorithm}");
            }
        }
        let sound_text = signed(pair, &header(pair).to_string(), &sound().to_string());
        assert!(judged(pair, &sound_text).is_ok(), "the positive control");
        for algorithm in ["none", "None", "NONE", "nOnE", "", " RS256", "rs256", "RS256 ", "RS512", "PS256", "ES256K"] {
            let mut head = header(pair);
            head["alg"] = json!(algorithm);
            let text = signed(pair, &head.to_string(), &sound().to_string());
            assert_eq!(judged(pair, &text), Err(AssertionRefused::Algorithm), "{algorithm}");
            let (input, _) = text.rsplit_once('.').unwrap();
            assert!(judged(pair, &format!("{input}.")).is_err(), "{algorithm} unsigned");
        }
        let es = signed(&ES256, &header(&ES256).to_string(), &sound().to_string());
        assert!(judged(&ES256, &es).is_ok(), "the positive control");
        let (input, _) = es.rsplit_once('.').unwrap();
        // A zero signature (CVE-2022-21449), and DER where the fixed form belongs.
        for bytes in [vec![0; 64], vec![0x30, 6, 2, 1, 0, 2, 1, 0], Vec::new()] {
            assert!(judged(&ES256, &format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes))).is_err());
        }
    }

    #[test]
    fn threat_2_a_claim_has_one_exact_type() {
        let pair = &*ES256;
        let head = header(pair).to_string();
        let now = NOW.unix_timestamp();
        let control = signed(pair, &head, &sound().to_string());
        assert!(judged(pair, &control).is_ok(), "the positive control");
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            let mut claims = sound();
            claims.as_object_mut().unwrap().remove(name);
            assert!(judged(pair, &signed(pair, &head, &claims.to_string())).is_err(), "without {name}");
            for value in [json!(null), json!(true), json!([]), json!({}), json!(-1), json!(1.5)] {
                assert!(judged(pair, &signed(pair, &head, &with(name, value.clone()))).is_err(), "{name} {value}");
            }
        }
        for (name, value) in [
            ("exp", json!((now + 60).to_string())),
            ("exp", json!(1e18)),
            ("exp", json!(u64::MAX)),
            ("iat", json!("now")),
            ("nbf", json!(-5)),
            ("iss", json!(["agent-1"])),
            ("jti", json!("")),
            ("jti", json!("x".repeat(256))),
        ] {
            let refused = judged(pair, &signed(pair, &head, &with(name, value.clone())));
            assert!(
                matches!(refused, Err(AssertionRefused::Claim(claim)) if claim == name),
                "{name} {value}: {refused:?}"
            );
        }
        let twice = sound().to_string().replacen('{', &format!(r#"{{"exp":{},"#, now + 60), 1);
        assert_eq!(judged(pair, &signed(pair, &head, &twice)), Err(AssertionRefused::Form));
    }

    #[test]
    fn threat_3_nothing_in_a_header_leads_to_a_key() {
        let pair = &*ES256;
        let claims = sound().to_string();
        let control = signed(pair, &header(pair).to_string(), &claims);
        assert!(judged(pair, &control).is_ok(), "the positive control");
        let jwk = crate::crypto::client_key::shown(None, pair.public());
        for (name, value) in [
            ("jku", json!("https://evil.example/jwks")),
            ("x5u", json!("https://evil.example/cert")),
            ("jwk", jwk),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A128GCM")),
            ("typ", json!("at+jwt")),
            ("typ", json!("secevent+jwt")),
            ("typ", json!(1)),
            ("kid", json!("")),
            ("kid", json!("../../etc/passwd\n")),
            ("kid", json!("' OR 1=1 --")),
            ("kid", json!({ "a": 1 })),
            ("kid", json!("k".repeat(256))),
            ("alg", json!(["ES256"])),
            ("alg", json!(null)),
        ] {
            let mut head = header(pair);
            head[name] = value.clone();
            let refused = judged(pair, &signed(pair, &head.to_string(), &claims));
            assert_eq!(refused, Err(AssertionRefused::Header), "{name} {value}");
        }
        let twice = r#"{"alg":"ES256","alg":"none"}"#;
        assert_eq!(judged(pair, &signed(pair, twice, &claims)), Err(AssertionRefused::Header));
        for typ in ["jwt", "client-authentication+jwt"] {
            let mut head = header(pair);
            head["typ"] = json!(typ);
            assert!(judged(pair, &signed(pair, &head.to_string(), &claims)).is_ok(), "{typ}");
        }
        assert!(judged(pair, &signed(pair, r#"{"alg":"ES256"}"#, &claims)).is_ok());
    }

    #[test]
    fn an_assertion_is_for_us_alone_from_its_client_alone_and_short() {
        let pair = &*ES256;
        let now = NOW.unix_timestamp();
        for (name, value, error) in [
            ("aud", json!([ISSUER]), AssertionRefused::Audience),
            ("aud", json!([ISSUER, "https://other.example"]), AssertionRefused::Audience),
            ("aud", json!(format!("{ISSUER}/")), AssertionRefused::Audience),
            ("aud", json!(format!("{ISSUER}/oauth2/token")), AssertionRefused::Audience),
            ("aud", json!(ISSUER.to_uppercase()), AssertionRefused::Audience),
            ("iss", json!("agent-2"), AssertionRefused::Subject),
            ("sub", json!("agent-2"), AssertionRefused::Subject),
            ("sub", json!("AGENT-1"), AssertionRefused::Subject),
            ("exp", json!(now - 60), AssertionRefused::Expired),
            ("exp", json!(0), AssertionRefused::Expired),
            ("exp", json!(now + 301), AssertionRefused::TooLong),
            ("nbf", json!(now + 61), AssertionRefused::NotYet),
            ("iat", json!(now + 61), AssertionRefused::NotYet),
        ] {
            let text = signed(pair, &header(pair).to_string(), &with(name, value.clone()));
            assert_eq!(judged(pair, &text), Err(error), "{name} {value}");
        }
        for (name, value) in [
            ("exp", json!(now - 59)),
            ("exp", json!(now + 300)),
            ("nbf", json!(now + 60)),
            ("iat", json!(now - 3600)),
            ("more", json!({ "a": 1 })),
        ] {
            let text = signed(pair, &header(pair).to_string(), &with(name, value.clone()));
            assert!(judged(pair, &text).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn each_reason_is_a_word_of_its_own() {
        use AssertionRefused as R;
        let all = [
            R::Form,
            R::Header,
            R::Algorithm,
            R::UnknownKey,
            R::Signature,
            R::Claim("x"),
            R::Subject,
            R::Audience,
            R::Expired,
            R::NotYet,
            R::TooLong,
        ];
        let words: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), all.len());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}") {
            let _ = UnverifiedAssertion::parse(&text);
        }

        #[test]
        fn a_changed_character_is_noticed(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
            let pair = &*ES256;
            let text = signed(pair, &header(pair).to_string(), &sound().to_string());
            let at = at.index(text.len());
            prop_assume!(text[at..=at] != with);
            let mut altered = text;
            altered.replace_range(at..=at, &with);
            prop_assert!(judged(pair, &altered).is_err());
        }
    }
}
