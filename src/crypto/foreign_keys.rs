//! The public keys of a foreign issuer, as its JWKS shows them.
//!
//! Unlike ours, a foreign kid is whatever its issuer calls it, and other kinds of keys may stand beside those that
//! are used here. Each kid that is kept names one key with one algorithm.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::{JWKS_KEYS_MAX, JWKS_MAX, PRIVATE_MEMBERS};
use super::strict_json;
use super::verifying_key::VerifyingKey;
use crate::domain::signing_key::{Algorithm, KeyKind, PublicKey};

/// Most characters of a foreign kid.
pub const FOREIGN_KID_MAX: usize = 255;

/// Keys by kid: RS256 with a modulus of 2048, 3072 or 4096 bits, and ES256.
#[derive(Debug, Clone)]
pub struct ForeignKeys(HashMap<Box<str>, VerifyingKey>);

/// Why a JWKS is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignKeysError {
    /// Too long.
    #[error("JWKS must have at most 65536 bytes and 100 keys")]
    Size,
    /// No JSON object with an array `keys` of objects, or one that repeats a name.
    #[error("JWKS must be a JSON object with an array `keys` of objects, each name once")]
    Form,
    /// A private or symmetric member: whoever reads the document can sign.
    #[error("JWKS must not hold private members")]
    Private,
    /// One kid names two usable keys.
    #[error("JWKS must hold each kid once")]
    Twice,
    /// Nothing that verifies here.
    #[error("JWKS must hold at least one key for RS256 (2048, 3072 or 4096 bits) or ES256 with a kid")]
    None,
}

impl ForeignKeys {
    /// Reads a document. What is of another kind, for another use or without a kid is passed over.
    pub fn parse(document: &[u8]) -> Result<Self, ForeignKeysError> {
        if document.len() > JWKS_MAX {
            return Err(ForeignKeysError::Size);
        }
        let members = strict_json::object(document).ok_or(ForeignKeysError::Form)?;
        let listed = members.get("keys").and_then(Value::as_array).ok_or(ForeignKeysError::Form)?;
        if listed.len() > JWKS_KEYS_MAX {
            return Err(ForeignKeysError::Size);
        }
        let mut keys = HashMap::new();
        for jwk in listed {
            let jwk = jwk.as_object().ok_or(ForeignKeysError::Form)?;
            if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
                return Err(ForeignKeysError::Private);
            }
            let Some((kid, key)) = read(jwk) else { continue };
            if keys.insert(kid.into(), key).is_some() {
                return Err(ForeignKeysError::Twice);
            }
        }
        if keys.is_empty() { Err(ForeignKeysError::None) } else { Ok(Self(keys)) }
    }

    /// The key of this name.
    pub fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.get(kid)
    }
}

/// A key with its kid, where it is one that verifies tokens here. Its algorithm is what `alg` says, or what the kind
/// of key means where `alg` is left out (RFC 7517, section 4.4).
fn read(jwk: &Map<String, Value>) -> Option<(&str, VerifyingKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let says_no = |name: &str, wanted: &str| jwk.get(name).is_some_and(|value| value != wanted);
    let ops = jwk.get("key_ops").is_some_and(|ops| !ops.as_array().is_some_and(|ops| ops.contains(&"verify".into())));
    let (algorithm, first, second) = match text("kty")? {
        "RSA" => (Algorithm::Rs256, text("n")?, text("e")?),
        "EC" if text("crv")? == "P-256" => (Algorithm::Es256, text("x")?, text("y")?),
        _ => return None,
    };
    if ops || says_no("use", "sig") || says_no("alg", algorithm.as_str()) {
        return None;
    }
    let bits = u32::try_from(URL_SAFE_NO_PAD.decode(first).ok()?.len() * 8).ok()?;
    let public = PublicKey::new(KeyKind::new(algorithm, Some(bits)).ok()?, first, second).ok()?;
    let kid = text("kid").filter(|kid| is_kid(kid))?;
    Some((kid, VerifyingKey::new(&public).ok()?))
}

/// Whether `text` may name a key: it is compared and looked up, never opened, fetched or asked a database for.
pub(super) fn is_kid(text: &str) -> bool {
    (1..=FOREIGN_KID_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;
    use serde_json::json;

    fn jwk(kind: KeyKind, kid: &str) -> Value {
        let pair = KeyPair::generate(kind).unwrap();
        let (first, second) = pair.public().members();
        match kind.algorithm() {
            Algorithm::Rs256 => json!({ "kty": "RSA", "kid": kid, "n": first, "e": second }),
            Algorithm::Es256 => json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": first, "y": second }),
        }
    }

    fn parse(keys: &[Value]) -> Result<usize, ForeignKeysError> {
        ForeignKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).map(|keys| keys.0.len())
    }

    #[test]
    fn keys_as_known_issuers_show_them_are_read() {
        let mut github = jwk(KeyKind::Rsa2048, "cc413527-173f-5a05-976e-9c52b1d7b431");
        for (name, value) in [("use", json!("sig")), ("alg", json!("RS256")), ("x5c", json!(["MIIB"]))] {
            github[name] = value;
        }
        github["x5t"] = json!("LcGkEE9DjGh7RzNbJlNFcMMKNrQ");
        let mut cluster = jwk(KeyKind::P256, "DHhGLTnoLQiyVQzKKcYJ-cPPRzfMYQqBpBPPUFMg7yE");
        cluster["alg"] = json!("ES256");
        let bare = jwk(KeyKind::Rsa2048, "1");
        assert_eq!(parse(&[github, cluster, bare]), Ok(3));
    }

    #[test]
    fn threat_1_what_verifies_nothing_here_is_passed_over() {
        let sound = jwk(KeyKind::P256, "a");
        let other = jwk(KeyKind::P256, "b");
        for (name, value) in [
            ("kty", json!("OKP")),
            ("kty", json!("oct")),
            ("kty", json!(["EC"])),
            ("crv", json!("P-384")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("alg", json!("RS256")),
            ("alg", json!(null)),
            ("use", json!("enc")),
            ("use", json!(1)),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!("verify")),
            ("kid", json!("")),
            ("kid", json!(7)),
            ("kid", json!("a b")),
            ("kid", json!("x".repeat(256))),
            ("x", json!("AQAB")),
            ("x", other["y"].clone()),
        ] {
            let mut odd = sound.clone();
            odd[name] = value.clone();
            assert_eq!(parse(&[odd.clone(), other.clone()]), Ok(1), "{name} {value}");
            assert_eq!(parse(&[odd]), Err(ForeignKeysError::None), "{name} {value}");
        }
        let mut verifying = sound;
        verifying["key_ops"] = json!(["verify"]);
        assert_eq!(parse(&[verifying]), Ok(1));
    }

    #[test]
    fn threat_19_a_document_that_cannot_be_trusted_is_refused_whole() {
        let (sound, other) = (jwk(KeyKind::P256, "a"), jwk(KeyKind::P256, "a"));
        assert_eq!(parse(&[sound.clone(), other]), Err(ForeignKeysError::Twice));
        for name in ["d", "k", "p"] {
            let mut private = sound.clone();
            private[name] = json!("AQAB");
            assert_eq!(parse(&[private, jwk(KeyKind::P256, "b")]), Err(ForeignKeysError::Private), "{name}");
        }
        assert_eq!(parse(&[]), Err(ForeignKeysError::None));
        assert_eq!(parse(&[json!(1)]), Err(ForeignKeysError::Form));
        assert_eq!(parse(&vec![json!({ "kty": "OKP" }); 101]), Err(ForeignKeysError::Size));
        for (text, error) in [
            ("", ForeignKeysError::Form),
            ("[]", ForeignKeysError::Form),
            (r#"{"keys":{}}"#, ForeignKeysError::Form),
            (r#"{"keys":[],"keys":[]}"#, ForeignKeysError::Form),
            (&" ".repeat(JWKS_MAX + 1), ForeignKeysError::Size),
        ] {
            assert_eq!(ForeignKeys::parse(text.as_bytes()).map(drop), Err(error), "{text:.20}");
        }
    }
}
