//! The compact JWS (RFC 7515) around a token's claims.

use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::jwk::Jwk;
use super::material::{Curve, KeyType, Material};
use super::{no_key, not_validated};
use crate::sandbox::error::AwsError;

/// A token taken apart, nothing of it believed yet.
pub(in crate::sandbox) struct Jws {
    alg: String,
    kid: Option<String>,
    /// The claims set. Of members given twice the last one counts, as at AWS.
    pub(in crate::sandbox) claims: Map<String, Value>,
    signing_input: String,
    signature: Vec<u8>,
}

impl Jws {
    pub(in crate::sandbox) fn parse(token: &str) -> Result<Self, AwsError> {
        Self::take_apart(token).ok_or_else(|| {
            AwsError::invalid_token(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
            )
        })
    }

    fn take_apart(token: &str) -> Option<Self> {
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        let object = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let (header, claims): (Map<String, Value>, Map<String, Value>) = (object(header)?, object(claims)?);
        // RFC 7515, section 4.1.11: an extension that is not understood makes the token invalid; none is understood.
        if header.contains_key("crit") {
            return None;
        }
        let kid = match header.get("kid") {
            None | Some(Value::Null) => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        Some(Self {
            alg: header.get("alg")?.as_str()?.to_owned(),
            kid,
            claims,
            signing_input: signing_input.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Finds the key among the issuer's and checks the signature with the token's own algorithm.
    pub(in crate::sandbox) fn verify(&self, keys: &[Jwk]) -> Result<(), AwsError> {
        let wanted = match self.alg.as_str() {
            "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => KeyType::Rsa,
            "ES256" | "ES384" | "ES512" => KeyType::Ec,
            "none" => return Err(not_validated()),
            _ => return Err(no_key()),
        };
        let key = self.select(keys, wanted).ok_or_else(no_key)?;
        if key.has_key_ops || !self.holds(&key.material) {
            return Err(not_validated());
        }
        Ok(())
    }

    /// The last usable key of the token's kid; without a kid in the token, the only usable key there is. Beyond 100
    /// keys of one type that type has no usable key.
    fn select<'k>(&self, keys: &'k [Jwk], wanted: KeyType) -> Option<&'k Jwk> {
        if keys.iter().filter(|key| key.key_type == wanted).count() > 100 {
            return None;
        }
        let usable = || keys.iter().filter(|key| key.is_usable);
        let found = if let Some(kid) = &self.kid {
            usable().rfind(|key| key.kid == *kid)?
        } else {
            let last = usable().next_back()?;
            // Repetitions of one kid are one key, the last.
            usable().all(|key| key.kid == last.kid).then_some(last)?
        };
        (found.key_type == wanted).then_some(found)
    }

    fn holds(&self, material: &Material) -> bool {
        let message = self.signing_input.as_bytes();
        match material {
            Material::Rsa { n, e } => {
                let Some(algorithm) = rsa(&self.alg) else { return false };
                RsaPublicKeyComponents { n, e }.verify(algorithm, message, &self.signature).is_ok()
            }
            Material::Ec { curve, point } => {
                let Some(algorithm) = ec(&self.alg, *curve) else { return false };
                UnparsedPublicKey::new(algorithm, point).verify(message, &self.signature).is_ok()
            }
        }
    }
}

fn rsa(alg: &str) -> Option<&'static RsaParameters> {
    match alg {
        "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

/// JWA binds each algorithm to its curve (RFC 7518, section 3.4).
fn ec(alg: &str, curve: Curve) -> Option<&'static dyn VerificationAlgorithm> {
    match (alg, curve) {
        ("ES256", Curve::P256) => Some(&signature::ECDSA_P256_SHA256_FIXED),
        ("ES384", Curve::P384) => Some(&signature::ECDSA_P384_SHA384_FIXED),
        ("ES512", Curve::P521) => Some(&signature::ECDSA_P521_SHA512_FIXED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn what_is_no_jws() {
        let good = token(r#"{"alg":"RS256"}"#, "{}");
        assert!(Jws::parse(&good).is_ok());
        for text in [
            String::new(),
            "a.b".to_owned(),
            format!("{good}.AAAA"),
            format!("{good}="),
            token("[]", "{}"),
            token(r#"{"alg":"RS256"}"#, "[]"),
            token("{}", "{}"),
            token(r#"{"alg":1}"#, "{}"),
            token(r#"{"alg":"RS256","kid":1}"#, "{}"),
            token(r#"{"alg":"RS256","crit":["b64"]}"#, "{}"),
            token(r#"{"alg":"RS256"}"#, "{} {}"),
        ] {
            assert!(Jws::parse(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn threat_1_no_text_is_verified_without_a_key(alg in "[A-Za-z0-9]{0,6}", text in "[ -~]{0,40}") {
            let _ = Jws::parse(&text);
            let header = serde_json::json!({ "alg": alg, "kid": "k" }).to_string();
            let jws = Jws::parse(&token(&header, "{}")).unwrap();
            prop_assert!(jws.verify(&[]).is_err());
        }
    }
}
