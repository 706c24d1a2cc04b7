//! A service account's public key as its owner registers it: one JWK (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::foreign_keys::is_kid;
use super::jwk::PRIVATE_MEMBERS;
use super::verifying_key::VerifyingKey;
use crate::domain::signing_key::{Algorithm, KeyKind, PublicKey};

/// Why a JWK is not registered. Messages repeat nothing of it: it may hold a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// No JSON object with texts.
    #[error("must be one JWK, a JSON object")]
    Form,
    /// The private half stands in it.
    #[error("must be the public half alone: it holds private or symmetric members; make a new key pair")]
    Private,
    /// Another kind or size.
    #[error("must be an RSA key of 2048, 3072 or 4096 bits, or a P-256 key")]
    Kind,
    /// An algorithm that is not the one of the key.
    #[error("alg, where it stands, must be RS256 for RSA and ES256 for P-256")]
    Algorithm,
    /// A key for something else.
    #[error("use and key_ops, where they stand, must let it verify signatures")]
    Use,
    /// A name that cannot stand in a header.
    #[error("kid, where it stands, must be 1 to 255 characters of printable ASCII")]
    Kid,
    /// Members that are no sound key.
    #[error("must hold a sound key: n and e, or a point of P-256, in base64url without padding")]
    Members,
}

/// Reads a JWK: its kid, if it has one, and its public half.
pub fn parse(jwk: &Value) -> Result<(Option<Box<str>>, PublicKey), ClientKeyError> {
    let members = jwk.as_object().ok_or(ClientKeyError::Form)?;
    if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err(ClientKeyError::Private);
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let (algorithm, first, second) = match text("kty") {
        Some("RSA") => (Algorithm::Rs256, text("n"), text("e")),
        Some("EC") if text("crv") == Some("P-256") => (Algorithm::Es256, text("x"), text("y")),
        Some(_) => return Err(ClientKeyError::Kind),
        None => return Err(ClientKeyError::Form),
    };
    if members.get("alg").is_some_and(|alg| alg != algorithm.as_str()) {
        return Err(ClientKeyError::Algorithm);
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.contains(&"verify".into()));
    let ops = members.get("key_ops").is_none_or(verifies);
    if !ops || members.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(ClientKeyError::Use);
    }
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if is_kid(kid) => Some(kid.as_str().into()),
        Some(_) => return Err(ClientKeyError::Kid),
    };
    let (Some(first), Some(second)) = (first, second) else { return Err(ClientKeyError::Members) };
    let bytes = URL_SAFE_NO_PAD.decode(first).map_err(|_| ClientKeyError::Members)?;
    // A leading zero would make a modulus look longer than it is.
    if algorithm == Algorithm::Rs256 && bytes.first().is_none_or(|first| *first < 0x80) {
        return Err(ClientKeyError::Kind);
    }
    let bits = u32::try_from(bytes.len() * 8).map_err(|_| ClientKeyError::Kind)?;
    let kind = KeyKind::new(algorithm, Some(bits)).map_err(|_| ClientKeyError::Kind)?;
    let public = PublicKey::new(kind, first, second).map_err(|_| ClientKeyError::Members)?;
    VerifyingKey::new(&public).map_err(|_| ClientKeyError::Members)?;
    Ok((kid, public))
}

/// The JWK of a registered key, as it is shown.
pub fn shown(kid: Option<&str>, public: &PublicKey) -> Value {
    let mut jwk = match public {
        PublicKey::Rsa { n, e } => json!({ "kty": "RSA", "alg": "RS256", "n": n, "e": e }),
        PublicKey::P256 { x, y } => json!({ "kty": "EC", "alg": "ES256", "crv": "P-256", "x": x, "y": y }),
    };
    jwk["use"] = json!("sig");
    if let Some(kid) = kid {
        jwk["kid"] = json!(kid);
    }
    jwk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;

    fn public(kind: KeyKind) -> PublicKey {
        KeyPair::generate(kind).unwrap().public().clone()
    }

    #[test]
    fn what_is_shown_is_what_was_registered() {
        for kind in KeyKind::ALL {
            let public = public(kind);
            for kid in [None, Some("key/1")] {
                let read = parse(&shown(kid, &public));
                assert_eq!(read, Ok((kid.map(Into::into), public.clone())), "{kind:?}");
            }
        }
    }

    #[test]
    fn threat_1_and_19_each_odd_key_is_refused_with_its_rule() {
        let ec = shown(Some("a"), &public(KeyKind::P256));
        let rsa = shown(None, &public(KeyKind::Rsa2048));
        let n = rsa["n"].as_str().unwrap().to_owned();
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let padded = URL_SAFE_NO_PAD.encode([&[0][..], &URL_SAFE_NO_PAD.decode(&n).unwrap()[..255]].concat());
        for (jwk, name, value, error) in [
            (&ec, "d", json!("AQAB"), ClientKeyError::Private),
            (&rsa, "p", json!("AQAB"), ClientKeyError::Private),
            (&ec, "k", json!("AQAB"), ClientKeyError::Private),
            (&ec, "kty", json!("oct"), ClientKeyError::Kind),
            (&ec, "kty", json!("OKP"), ClientKeyError::Kind),
            (&ec, "kty", json!(1), ClientKeyError::Form),
            (&ec, "crv", json!("P-384"), ClientKeyError::Kind),
            (&ec, "alg", json!("RS256"), ClientKeyError::Algorithm),
            (&ec, "alg", json!("none"), ClientKeyError::Algorithm),
            (&rsa, "alg", json!("PS256"), ClientKeyError::Algorithm),
            (&rsa, "alg", json!("HS256"), ClientKeyError::Algorithm),
            (&rsa, "alg", json!(null), ClientKeyError::Algorithm),
            (&ec, "use", json!("enc"), ClientKeyError::Use),
            (&ec, "key_ops", json!(["sign"]), ClientKeyError::Use),
            (&ec, "kid", json!(""), ClientKeyError::Kid),
            (&ec, "kid", json!("a b"), ClientKeyError::Kid),
            (&ec, "kid", json!(7), ClientKeyError::Kid),
            (&ec, "x", json!("AQAB"), ClientKeyError::Kind),
            (&ec, "x", ec["y"].clone(), ClientKeyError::Members),
            (&ec, "y", json!(null), ClientKeyError::Members),
            (&rsa, "n", json!(short), ClientKeyError::Kind),
            (&rsa, "n", json!(padded), ClientKeyError::Kind),
            (&rsa, "n", json!(format!("{n}=")), ClientKeyError::Members),
            (&rsa, "e", json!("AQ"), ClientKeyError::Members),
            (&rsa, "e", json!(""), ClientKeyError::Members),
        ] {
            let mut odd = jwk.clone();
            odd[name] = value.clone();
            assert_eq!(parse(&odd), Err(error), "{name} {value}");
            assert!(parse(jwk).is_ok());
        }
        for odd in [json!([]), json!("x"), json!({}), json!({ "keys": [ec] })] {
            assert_eq!(parse(&odd), Err(ClientKeyError::Form), "{odd}");
        }
    }
}
