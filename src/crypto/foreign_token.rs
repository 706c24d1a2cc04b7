//! Verifying tokens of foreign issuers, for token exchange.
//!
//! Two steps, two types. [`UnverifiedToken`] says only whose token it claims to be, so that the rules about that
//! issuer, and through them its keys, can be found; nothing else of it is believed. [`ForeignToken`] is what holds under
//! one of those keys, at an instant. Nothing in a header says how to verify: the key is found by name among those of
//! the issuer, the algorithm is the key's, and no file, URL or certificate is ever followed.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::foreign_keys::{ForeignKeys, is_kid};
use super::hex;
use super::strict_json;
use super::verify::{LEEWAY, TOKEN_MAX};
use crate::domain::signing_key::Kid;
use crate::domain::trust::FOREIGN_LIFETIME_MAX;

/// Most characters of `sub` and of `jti`.
const TEXT_MAX: usize = 1000;

/// Why a foreign token is refused: a closed list, none of which repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum ForeignRefused {
    /// Not three base64url parts of JSON objects, or too long.
    #[error("must be a signed JWT of at most 16384 characters")]
    Form,
    /// A member that names a key or changes the meaning of the token, or a type of token that is none of these.
    #[error("header must hold alg and kid, at most typ JWT or at+jwt, and no jku, x5u, jwk, x5c, crit, b64 or zip")]
    Header,
    /// Signed with something that is not taken from anybody.
    #[error("alg must be RS256 or ES256, and that of its key")]
    Algorithm,
    /// The key is not among those of its issuer. It may be new: fetch the JWKS again, at a bounded rate.
    #[error("is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// The signature does not hold.
    #[error("signature does not hold")]
    Signature,
    /// A claim is absent, or not of its exact type.
    #[error("claim {0} is missing or malformed")]
    Claim(&'static str),
    /// It may be used with several services: each of them could bring it here.
    #[error("aud must be one audience")]
    Audiences,
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// Its time has not come.
    #[error("is not valid yet: check the clocks")]
    NotYet,
    /// It lives too long.
    #[error("must not live longer than 24 hours")]
    TooLong,
}

impl ForeignRefused {
    /// The stable word in audit rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "subject_token_malformed",
            Self::Header => "subject_token_header",
            Self::Algorithm => "subject_token_algorithm",
            Self::UnknownKey => "subject_token_unknown_key",
            Self::Signature => "subject_token_signature",
            Self::Claim(_) => "subject_token_claim",
            Self::Audiences => "subject_token_audiences",
            Self::Expired => "subject_token_expired",
            Self::NotYet => "subject_token_not_yet_valid",
            Self::TooLong => "subject_token_lifetime",
        }
    }
}

/// A token that nobody vouches for yet.
#[derive(Clone)]
pub struct UnverifiedToken {
    issuer: String,
    kid: String,
    algorithm: String,
    input: String,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl UnverifiedToken {
    /// Takes `token` apart.
    pub fn parse(token: &str) -> Result<Self, ForeignRefused> {
        if token.len() > TOKEN_MAX {
            return Err(ForeignRefused::Form);
        }
        let (input, signature) = token.rsplit_once('.').ok_or(ForeignRefused::Form)?;
        let (header, payload) = input.split_once('.').ok_or(ForeignRefused::Form)?;
        // One canonical spelling: no padding, no white space, no stray bits. So a replay cannot be respelled.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| ForeignRefused::Form);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let (algorithm, kid) = read_header(&header)?;
        let claims = strict_json::object(&payload).ok_or(ForeignRefused::Form)?;
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(ForeignRefused::Claim("iss"))?.to_owned();
        Ok(Self { issuer, kid, algorithm, input: input.to_owned(), signature, claims })
    }

    /// Whose token it claims to be; to look up who is trusted, and for nothing else.
    pub fn claimed_issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies it with `keys`, which must be those of its claimed issuer.
    pub fn verify(&self, keys: &ForeignKeys, now: OffsetDateTime) -> Result<ForeignToken, ForeignRefused> {
        let key = keys.get(&self.kid).ok_or(ForeignRefused::UnknownKey)?;
        if self.algorithm != key.algorithm().as_str() {
            return Err(ForeignRefused::Algorithm);
        }
        if !key.verifies(self.input.as_bytes(), &self.signature) {
            return Err(ForeignRefused::Signature);
        }
        let token = self.read(key.thumbprint())?;
        let leeway = Duration::seconds(LEEWAY);
        if now >= token.expires_at.saturating_add(leeway) {
            return Err(ForeignRefused::Expired);
        }
        let begins = self.instant("nbf")?.map_or(token.issued_at, |not_before| not_before.max(token.issued_at));
        if now.saturating_add(leeway) < begins {
            return Err(ForeignRefused::NotYet);
        }
        Ok(token)
    }

    fn read(&self, key: &Kid) -> Result<ForeignToken, ForeignRefused> {
        let required = |name| self.instant(name)?.ok_or(ForeignRefused::Claim(name));
        let (issued_at, expires_at) = (required("iat")?, required("exp")?);
        if expires_at <= issued_at {
            return Err(ForeignRefused::Claim("exp"));
        }
        if expires_at - issued_at > FOREIGN_LIFETIME_MAX {
            return Err(ForeignRefused::TooLong);
        }
        let subject = self.text("sub")?.ok_or(ForeignRefused::Claim("sub"))?.to_owned();
        let token_id = match self.text("jti")? {
            Some(jti) => format!("jti:{jti}"),
            None => format!("sha256:{}", hex::encode(digest::digest(&digest::SHA256, self.input.as_bytes()).as_ref())),
        };
        let (issuer, audience) = (self.issuer.clone(), self.audience()?.to_owned());
        let (key, claims) = (key.clone(), self.claims.clone());
        Ok(ForeignToken { key, issuer, subject, audience, token_id, issued_at, expires_at, claims })
    }

    /// RFC 7519, section 4.1.3 lets one audience stand alone or in a list; Kubernetes always lists.
    fn audience(&self) -> Result<&str, ForeignRefused> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => Ok(one),
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(one)] => Ok(one),
                [_, _, ..] => Err(ForeignRefused::Audiences),
                _ => Err(ForeignRefused::Claim("aud")),
            },
            _ => Err(ForeignRefused::Claim("aud")),
        }
    }

    /// A text that may be absent, but not empty, overlong or of another type.
    fn text(&self, name: &'static str) -> Result<Option<&str>, ForeignRefused> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if (1..=TEXT_MAX).contains(&text.len()) => Ok(Some(text)),
            Some(_) => Err(ForeignRefused::Claim(name)),
        }
    }

    /// An instant that may be absent, but only an integer: RFC 7519, section 2 allows fractions, which no known issuer
    /// writes and which readers round differently.
    fn instant(&self, name: &'static str) -> Result<Option<OffsetDateTime>, ForeignRefused> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let seconds = value.as_u64().and_then(|seconds| i64::try_from(seconds).ok());
        let at = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        at.map(Some).ok_or(ForeignRefused::Claim(name))
    }
}

/// What a foreign token says, once all of it is verified. Only [`UnverifiedToken::verify`] makes one.
#[derive(Clone)]
pub struct ForeignToken {
    key: Kid,
    issuer: String,
    subject: String,
    audience: String,
    token_id: String,
    issued_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    claims: Map<String, Value>,
}

impl ForeignToken {
    /// The thumbprint of the key that signed it.
    pub const fn key(&self) -> &Kid {
        &self.key
    }

    /// Its `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its one audience.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// What tells it from every other token of its issuer: its `jti`, or the SHA-256 of what was signed. The signature
    /// itself does not count: ECDSA has two for one input.
    pub fn token_id(&self) -> &str {
        &self.token_id
    }

    /// Its `iat`.
    pub const fn issued_at(&self) -> OffsetDateTime {
        self.issued_at
    }

    /// Its `exp`, without leeway.
    pub const fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// From when on it is refused as expired: until then a replay must be known.
    pub fn refused_from(&self) -> OffsetDateTime {
        self.expires_at.saturating_add(Duration::seconds(LEEWAY))
    }

    /// All its claims.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// `alg` and `kid`. Thumbprints of certificates may stand beside them; they are not looked at.
fn read_header(text: &[u8]) -> Result<(String, String), ForeignRefused> {
    let mut header = strict_json::object(text).ok_or(ForeignRefused::Header)?;
    let (Some(Value::String(algorithm)), Some(Value::String(kid))) = (header.remove("alg"), header.remove("kid"))
    else {
        return Err(ForeignRefused::Header);
    };
    let typ = |typ: Value| {
        typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt"))
    };
    if !header.remove("typ").is_none_or(typ) {
        return Err(ForeignRefused::Header);
    }
    for thumbprint in ["x5t", "x5t#S256"] {
        header.remove(thumbprint);
    }
    if !header.is_empty() || !is_kid(&kid) {
        return Err(ForeignRefused::Header);
    }
    Ok((algorithm, kid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;
    use crate::domain::signing_key::{KeyKind, PublicKey};
    use aws_lc_rs::hmac;
    use proptest::prelude::*;
    use serde_json::json;
    use std::sync::LazyLock;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    /// A foreign issuer's key and the keys it publishes.
    struct House {
        pair: KeyPair,
        keys: ForeignKeys,
    }

    static ES256: LazyLock<House> = LazyLock::new(|| House::new(KeyKind::P256));
    static RS256: LazyLock<House> = LazyLock::new(|| House::new(KeyKind::Rsa2048));

    fn jwk(pair: &KeyPair) -> Value {
        let (first, second) = pair.public().members();
        match pair.public() {
            PublicKey::Rsa { .. } => json!({ "kty": "RSA", "kid": "key/1", "n": first, "e": second }),
            PublicKey::P256 { .. } => json!({ "kty": "EC", "crv": "P-256", "kid": "key/1", "x": first, "y": second }),
        }
    }

    impl House {
        fn new(kind: KeyKind) -> Self {
            let pair = KeyPair::generate(kind).unwrap();
            let keys = ForeignKeys::parse(json!({ "keys": [jwk(&pair)] }).to_string().as_bytes()).unwrap();
            Self { pair, keys }
        }

        fn header(&self) -> Value {
            json!({ "alg": self.pair.kind().algorithm().as_str(), "typ": "JWT", "kid": "key/1" })
        }

        fn token(&self, header: &Value, claims: &str) -> String {
            let input = input(&header.to_string(), claims);
            let signature = self.pair.sign(input.as_bytes()).unwrap();
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn verify(&self, token: &str) -> Result<ForeignToken, ForeignRefused> {
            UnverifiedToken::parse(token)?.verify(&self.keys, NOW)
        }

        fn refused(&self, token: &str) -> Option<ForeignRefused> {
            self.verify(token).err()
        }

        fn claims(&self, claims: &Value) -> Result<ForeignToken, ForeignRefused> {
            self.verify(&self.token(&self.header(), &claims.to_string()))
        }
    }

    fn input(header: &str, claims: &str) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn sound() -> Value {
        let now = NOW.unix_timestamp();
        json!({
            "iss": "https://ci.example.com", "sub": "repo:acme/web", "aud": "https://id.example.com/teams/red",
            "iat": now, "nbf": now - 5, "exp": now + 300, "jti": "j-1", "repository_owner_id": "1234",
        })
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut claims = sound();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = sound();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn a_sound_token_says_what_was_signed() {
        for house in [&*ES256, &*RS256] {
            let token = house.claims(&sound()).unwrap();
            assert_eq!((token.issuer(), token.subject()), ("https://ci.example.com", "repo:acme/web"));
            assert_eq!(token.audience(), "https://id.example.com/teams/red");
            assert_eq!(token.token_id(), "jti:j-1");
            assert_eq!(token.refused_from(), NOW + Duration::seconds(360));
            assert_eq!(token.claims()["repository_owner_id"], "1234");
            let listed = house.claims(&changed("aud", json!(["brevet"]))).unwrap();
            assert_eq!(listed.audience(), "brevet", "as Kubernetes writes it");
            assert!(house.claims(&without("nbf")).is_ok(), "as OpenID Connect has it");
        }
    }

    #[test]
    fn threat_8_without_a_jti_what_was_signed_is_the_id() {
        let house = &*ES256;
        let token = house.token(&house.header(), &without("jti").to_string());
        let again = house.token(&house.header(), &without("jti").to_string());
        assert_ne!(token, again, "ECDSA signs one input in many ways");
        let ids = [&token, &again].map(|token| house.verify(token).unwrap().token_id().to_owned());
        assert_eq!(ids[0], ids[1]);
        assert!(ids[0].starts_with("sha256:") && ids[0].len() == 71, "{}", ids[0]);
        let other = house.claims(&changed("sub", json!("repo:acme/api"))).unwrap();
        assert_ne!(other.token_id(), ids[0]);
        let posing = house.claims(&changed("jti", json!(ids[0]))).unwrap();
        assert_ne!(posing.token_id(), ids[0], "a jti is never taken for a hash");
    }

    #[test]
    fn threat_1_the_algorithm_is_the_keys_and_a_public_key_is_no_secret() {
        for house in [&*ES256, &*RS256] {
            let own = house.pair.kind().algorithm().as_str();
            for claimed in ["none", "None", "nOnE", "", "HS256", "HS512", "RS256", "ES256", "PS256", "RS512", "es256"] {
                let mut header = house.header();
                header["alg"] = json!(claimed);
                let token = house.token(&header, &sound().to_string());
                let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
                if claimed == own {
                    assert_eq!(house.refused(&token), None, "positive control");
                    assert_eq!(house.refused(&unsigned), Some(ForeignRefused::Signature));
                } else {
                    assert_eq!(house.refused(&token), Some(ForeignRefused::Algorithm), "{claimed:?}");
                    assert_eq!(house.refused(&unsigned), Some(ForeignRefused::Algorithm), "{claimed:?}");
                }
                let jwk = jwk(&house.pair).to_string();
                let (first, _) = house.pair.public().members();
                for secret in [house.pair.subject_public_key(), jwk.as_bytes(), first.as_bytes()] {
                    let input = input(&header.to_string(), &sound().to_string());
                    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
                    assert!(house.refused(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))).is_some());
                }
            }
            for value in [json!(null), json!(1), json!(["RS256"]), json!({})] {
                let mut header = house.header();
                header["alg"] = value;
                let refused = house.refused(&house.token(&header, &sound().to_string()));
                assert_eq!(refused, Some(ForeignRefused::Header));
            }
        }
    }

    #[test]
    fn threat_3_no_header_member_brings_a_key_along() {
        let (house, attacker) = (&*ES256, House::new(KeyKind::P256));
        for (name, value) in [
            ("jku", json!("https://evil.example/jwks.json")),
            ("x5u", json!("https://evil.example/cert.pem")),
            ("jwk", jwk(&attacker.pair)),
            ("x5c", json!(["MIIB"])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("typ", json!("logout+jwt")),
            ("typ", json!(1)),
            ("kid", json!("")),
            ("kid", json!(["key/1"])),
            ("kid", json!("x".repeat(256))),
            ("kid", json!("key/1\0")),
        ] {
            let mut header = house.header();
            header[name] = value;
            for signer in [house, &attacker] {
                let token = signer.token(&header, &sound().to_string());
                assert_eq!(house.refused(&token), Some(ForeignRefused::Header), "{header}");
            }
        }
        for kid in ["../../../../etc/passwd", "' OR '1'='1", "https://evil.example/key", "KEY/1", "key/1/"] {
            let mut header = house.header();
            header["kid"] = json!(kid);
            let token = house.token(&header, &sound().to_string());
            let refused = house.refused(&token);
            let expected = if kid.contains(' ') { ForeignRefused::Header } else { ForeignRefused::UnknownKey };
            assert_eq!(refused, Some(expected), "{kid}");
        }
        let forged = attacker.token(&house.header(), &sound().to_string());
        assert_eq!(house.refused(&forged), Some(ForeignRefused::Signature));
        for harmless in [json!("at+jwt"), json!("jwt")] {
            let mut header = house.header();
            header["typ"] = harmless;
            header["x5t"] = json!("abc");
            assert_eq!(house.refused(&house.token(&header, &sound().to_string())), None);
        }
    }

    #[test]
    fn threat_2_a_claim_of_another_type_is_no_claim() {
        let house = &*ES256;
        for name in ["iss", "sub", "aud", "iat", "exp"] {
            assert_eq!(house.claims(&without(name)).err(), Some(ForeignRefused::Claim(name)));
        }
        for name in ["iat", "nbf", "exp"] {
            let good = sound()[name].clone();
            for bad in [json!(good.to_string()), json!(-1), json!(1.5), json!(u64::MAX), json!(null), json!([good])] {
                let refused = house.claims(&changed(name, bad.clone())).err();
                assert_eq!(refused, Some(ForeignRefused::Claim(name)), "{name} {bad}");
            }
        }
        for (name, bad, refused) in [
            ("iss", json!(["https://ci.example.com"]), ForeignRefused::Claim("iss")),
            ("sub", json!(["repo:acme/web"]), ForeignRefused::Claim("sub")),
            ("sub", json!(""), ForeignRefused::Claim("sub")),
            ("sub", json!("x".repeat(1001)), ForeignRefused::Claim("sub")),
            ("jti", json!(7), ForeignRefused::Claim("jti")),
            ("jti", json!(["j-1"]), ForeignRefused::Claim("jti")),
            ("jti", json!(null), ForeignRefused::Claim("jti")),
            ("aud", json!([]), ForeignRefused::Claim("aud")),
            ("aud", json!([1]), ForeignRefused::Claim("aud")),
            ("aud", json!([["a"]]), ForeignRefused::Claim("aud")),
            ("aud", json!({ "a": 1 }), ForeignRefused::Claim("aud")),
            ("aud", json!(["a", "b"]), ForeignRefused::Audiences),
            ("exp", sound()["iat"].clone(), ForeignRefused::Claim("exp")),
        ] {
            assert_eq!(house.claims(&changed(name, bad.clone())).err(), Some(refused), "{name} {bad}");
        }
        let twice = sound().to_string().replace("\"sub\":", "\"sub\":\"repo:evil/web\",\"sub\":");
        assert_eq!(house.refused(&house.token(&house.header(), &twice)), Some(ForeignRefused::Form));
    }

    #[test]
    fn threat_7_a_token_has_its_time_with_a_minute_on_both_sides() {
        let house = &*ES256;
        let token = house.token(&house.header(), &sound().to_string());
        let at = |seconds| {
            UnverifiedToken::parse(&token).unwrap().verify(&house.keys, NOW + Duration::seconds(seconds)).err()
        };
        for (seconds, refused) in [
            (-61, Some(ForeignRefused::NotYet)),
            (-60, None),
            (0, None),
            (359, None),
            (360, Some(ForeignRefused::Expired)),
        ] {
            assert_eq!(at(seconds), refused, "{seconds}");
        }
        let now = NOW.unix_timestamp();
        assert_eq!(house.claims(&changed("nbf", json!(now + 61))).err(), Some(ForeignRefused::NotYet));
        assert_eq!(house.claims(&changed("exp", json!(now + 86_401))).err(), Some(ForeignRefused::TooLong));
        assert!(house.claims(&changed("exp", json!(now + 86_400))).is_ok());
    }

    #[test]
    fn what_is_no_token_is_refused_before_anything_is_looked_up() {
        let house = &*ES256;
        let token = house.token(&house.header(), &sound().to_string());
        let parts: Vec<_> = token.split('.').collect();
        for bad in [
            String::new(),
            "..".to_owned(),
            "a.b".to_owned(),
            format!("{token} "),
            format!("{token}="),
            format!("{token}.x"),
            format!("{}.{}", parts[0], parts[1]),
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            "a".repeat(TOKEN_MAX + 1),
            "bvt_at_abc.def.ghi".to_owned(),
        ] {
            let refused = house.refused(&bad);
            assert!(matches!(refused, Some(ForeignRefused::Form | ForeignRefused::Header)), "{bad:.40}: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn threat_3_no_changed_token_is_taken(at: prop::sample::Index, to in "[A-Za-z0-9_.-]") {
            let token = RS256.token(&RS256.header(), &sound().to_string());
            let at = at.index(token.len());
            prop_assume!(token[at..=at] != to);
            let mut changed = token;
            changed.replace_range(at..=at, &to);
            prop_assert!(RS256.verify(&changed).is_err());
        }

        #[test]
        fn whatever_is_presented_nothing_panics(text in "\\PC{0,60}", header in "\\PC{0,40}", claims in "\\PC{0,40}") {
            prop_assert!(UnverifiedToken::parse(&text).is_err());
            let unsigned = format!("{}.AA", input(&header, &claims));
            prop_assert!(UnverifiedToken::parse(&unsigned).is_err());
        }
    }
}
