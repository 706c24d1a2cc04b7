//! JSON Web Keys: what is published, and what a verifier reads.
//!
//! What is published is built member by member from a type that has no private half (threat 19).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::strict_json;
use crate::domain::signing_key::{Algorithm, KeyKind, Kid, PublicKey, SigningKey};

/// Most bytes of a JWKS that a verifier reads.
pub const JWKS_MAX: usize = 64 * 1024;
/// Most keys of a JWKS that a verifier reads; AWS IAM takes as many.
pub const JWKS_KEYS_MAX: usize = 100;

/// The RFC 7638 thumbprint: SHA-256 over the required members in lexicographic order, without white space.
pub fn thumbprint(public: &PublicKey) -> Kid {
    // The members are base64url, so nothing needs escaping.
    let canonical = match public {
        PublicKey::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        PublicKey::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, canonical.as_bytes()).as_ref());
    Kid::from_thumbprint(&hash)
}

/// Whether keys are published with their certificates. Ceph RGW takes a key only so, and tries only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum X5c {
    /// Without, the default.
    #[default]
    Off,
    /// With.
    On,
}

/// The JWKS of `keys`, in their order (`domain::signing_key::published` puts the signing key first). The same
/// keys give the same bytes on every replica.
pub fn document(keys: &[&SigningKey], x5c: X5c) -> String {
    let keys: Vec<_> = keys.iter().map(|key| public_jwk(key, x5c)).collect();
    json!({ "keys": keys }).to_string()
}

fn public_jwk(key: &SigningKey, x5c: X5c) -> Value {
    let mut jwk = match &key.public {
        PublicKey::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
        PublicKey::P256 { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
    };
    // No key_ops: some verifiers refuse a key that has both it and use (RFC 7517, section 4.3).
    jwk["use"] = json!("sig");
    jwk["alg"] = json!(key.algorithm().as_str());
    jwk["kid"] = json!(key.kid.as_str());
    if let (X5c::On, Some(certificate)) = (x5c, &key.certificate) {
        jwk["x5c"] = json!([certificate]);
    }
    jwk
}

/// A JWKS of a Brevet issuer, as a verifier read it: each kid with its one key and algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwks(Vec<(Kid, PublicKey)>);

/// Why a JWKS is refused as a whole. A document that is wrong in one place is not trusted in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// More than [`JWKS_MAX`] bytes or [`JWKS_KEYS_MAX`] keys.
    #[error("JWKS must have at most 65536 bytes and 100 keys")]
    Size,
    /// No JSON object with an array `keys` of objects, or one that repeats a name.
    #[error("JWKS must be a JSON object with an array `keys` of objects, each name once")]
    Form,
    /// A key shows a private or symmetric member.
    #[error("JWKS must not hold private members")]
    Private,
    /// The members of a key do not fit its `kty` and `alg`.
    #[error("JWKS key must have the members of its kty and alg")]
    Members,
    /// A kid that is not the thumbprint of its key (a kid of a Brevet issuer always is).
    #[error("JWKS kid must be the RFC 7638 thumbprint of its key")]
    Kid,
    /// One kid twice.
    #[error("JWKS must hold each kid once")]
    Twice,
}

pub(super) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Jwks {
    /// Reads a document. Keys of an unknown `kty`, `crv`, `alg` or `use` are passed over, so that an issuer may
    /// add kinds; a known one must be whole.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > JWKS_MAX {
            return Err(JwksError::Size);
        }
        let members = strict_json::object(document).ok_or(JwksError::Form)?;
        let listed = members.get("keys").and_then(Value::as_array).ok_or(JwksError::Form)?;
        if listed.len() > JWKS_KEYS_MAX {
            return Err(JwksError::Size);
        }
        let mut keys: Vec<(Kid, PublicKey)> = Vec::with_capacity(listed.len());
        for jwk in listed {
            let Some((kid, public)) = read(jwk.as_object().ok_or(JwksError::Form)?)? else { continue };
            if keys.iter().any(|(other, _)| *other == kid) {
                return Err(JwksError::Twice);
            }
            keys.push((kid, public));
        }
        Ok(Self(keys))
    }

    /// The JWKS that `keys` make, without the way through text.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.kid.clone(), key.public.clone())).collect())
    }

    /// The keys, in the document's order.
    pub fn keys(&self) -> &[(Kid, PublicKey)] {
        &self.0
    }
}

fn read(jwk: &Map<String, Value>) -> Result<Option<(Kid, PublicKey)>, JwksError> {
    let text = |name: &str| match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(JwksError::Form),
    };
    let member = |name: &str| text(name)?.ok_or(JwksError::Members);
    if PRIVATE_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
        return Err(JwksError::Private);
    }
    if text("use")?.is_some_and(|purpose| purpose != "sig") {
        return Ok(None);
    }
    let (algorithm, first, second) = match member("kty")? {
        "RSA" => (Algorithm::Rs256, member("n")?, member("e")?),
        "EC" if member("crv")? == "P-256" => (Algorithm::Es256, member("x")?, member("y")?),
        _ => return Ok(None),
    };
    match Algorithm::parse(member("alg")?) {
        Some(named) if named == algorithm => {}
        Some(_) => return Err(JwksError::Members),
        None => return Ok(None),
    }
    let bytes = URL_SAFE_NO_PAD.decode(first).map_err(|_| JwksError::Members)?.len();
    let bits = u32::try_from(bytes * 8).map_err(|_| JwksError::Members)?;
    let kind = KeyKind::new(algorithm, Some(bits)).map_err(|_| JwksError::Members)?;
    let public = PublicKey::new(kind, first, second).map_err(|_| JwksError::Members)?;
    let kid = Kid::parse(member("kid")?).map_err(|_| JwksError::Kid)?;
    if thumbprint(&public) != kid {
        return Err(JwksError::Kid);
    }
    Ok(Some((kid, public)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keypair::KeyPair;
    use crate::crypto::new_key::new_signing_key;
    use crate::crypto::seal::Kek;
    use crate::domain::entropy::seeded::SeededEntropy;
    use crate::domain::id::IssuerId;
    use crate::domain::key_schedule::KeySchedule;
    use std::collections::BTreeSet;
    use time::OffsetDateTime;

    fn made(kind: KeyKind) -> SigningKey {
        let (entropy, now) = (SeededEntropy::new(1), OffsetDateTime::UNIX_EPOCH);
        let issuer = IssuerId::new(uuid::Uuid::nil());
        let kek = Kek::generate(&entropy).unwrap();
        new_signing_key(&KeyPair::generate(kind).unwrap(), issuer, KeySchedule::first_pair(now).0, &kek, &entropy, now)
            .unwrap()
    }

    #[test]
    fn a_thumbprint_is_the_one_of_the_rfc() {
        // RFC 7638, section 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                 tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n\
                 91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let public = PublicKey::new(KeyKind::Rsa2048, n, "AQAB").unwrap();
        assert_eq!(thumbprint(&public).as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn threat_19_each_kind_of_key_is_published_with_exactly_these_members() {
        for kind in KeyKind::ALL {
            let key = made(kind);
            for (x5c, certificate) in [(X5c::Off, None), (X5c::On, Some("x5c"))] {
                let document: Value = serde_json::from_str(&document(&[&key], x5c)).unwrap();
                let members: BTreeSet<_> =
                    document["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
                let own: &[&str] = if kind == KeyKind::P256 { &["crv", "x", "y"] } else { &["n", "e"] };
                let expected = ["kty", "use", "alg", "kid"].iter().chain(own).copied().chain(certificate).collect();
                assert_eq!(members, expected, "{kind:?}");
                assert_eq!(document.as_object().unwrap().len(), 1);
                assert_eq!(document["keys"][0]["use"], "sig");
                assert_eq!(document["keys"][0]["alg"], key.algorithm().as_str());
            }
        }
    }

    #[test]
    fn what_is_published_is_what_a_verifier_reads() {
        let keys: Vec<_> = KeyKind::ALL.into_iter().map(made).collect();
        let listed: Vec<_> = keys.iter().collect();
        for x5c in [X5c::Off, X5c::On] {
            assert_eq!(Jwks::parse(document(&listed, x5c).as_bytes()), Ok(Jwks::of(&keys)));
        }
    }

    #[test]
    fn a_document_that_is_wrong_anywhere_is_refused() {
        let key = made(KeyKind::P256);
        let sound: Value = serde_json::from_str(&document(&[&key], X5c::Off)).unwrap();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut jwks = sound.clone();
            change(&mut jwks["keys"][0]);
            Jwks::parse(jwks.to_string().as_bytes()).map(|jwks| jwks.keys().len())
        };
        assert_eq!(with(&|_| ()), Ok(1));
        for (name, value, answer) in [
            ("kty", json!("OKP"), Ok(0)),
            ("kty", json!("oct"), Ok(0)),
            ("crv", json!("P-384"), Ok(0)),
            ("use", json!("enc"), Ok(0)),
            ("alg", json!("HS256"), Ok(0)),
            ("alg", json!("none"), Ok(0)),
            ("key_ops", json!(["verify"]), Ok(1)),
            ("alg", json!("RS256"), Err(JwksError::Members)),
            ("alg", json!(null), Err(JwksError::Form)),
            ("kty", json!("RSA"), Err(JwksError::Members)),
            ("x", json!("AQAB"), Err(JwksError::Members)),
            ("x", json!(key.public.members().1), Err(JwksError::Kid)),
            ("kid", json!("../../etc/passwd"), Err(JwksError::Kid)),
            ("kid", json!(1), Err(JwksError::Form)),
            ("d", json!("AQAB"), Err(JwksError::Private)),
            ("k", json!("AQAB"), Err(JwksError::Private)),
        ] {
            assert_eq!(with(&|jwk| jwk[name] = value.clone()), answer, "{name} {value}");
        }
        for (document, error) in [
            ("{}".to_owned(), JwksError::Form),
            (r#"{"keys":[1]}"#.to_owned(), JwksError::Form),
            (r#"{"keys":[],"keys":[]}"#.to_owned(), JwksError::Form),
            (json!({ "keys": [sound["keys"][0], sound["keys"][0]] }).to_string(), JwksError::Twice),
            (json!({ "keys": vec![json!({ "kty": "OKP" }); 101] }).to_string(), JwksError::Size),
            (format!("{}{sound}", " ".repeat(JWKS_MAX)), JwksError::Size),
        ] {
            assert_eq!(Jwks::parse(document.as_bytes()), Err(error));
        }
    }
}
