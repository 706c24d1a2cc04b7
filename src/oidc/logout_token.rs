//! Logout tokens of sign-in providers (OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6).
//!
//! The crate reads none, so that its keys and algorithms are used here by themselves: the key is the one that the
//! provider publishes under the token's kid, the algorithm one that the provider lists.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JwsSigningAlgorithm as _};
use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::provider::Provider;
use super::upstream::{LEEWAY, Registration, RelyingParty, TOKEN_MAX};
use super::upstream_claims::claims;
use super::upstream_error::{RedeemFault, TokenFault};
use crate::crypto::strict_json;
use crate::domain::secret::Secret;
use crate::domain::upstream;

/// A logout token is taken for so long after it was made: providers send it at once, and say no more than two minutes
/// of `exp` is of use (section 2.4).
const AGE_MAX: Duration = Duration::minutes(5);
/// The one event that it must be about.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token that nobody vouches for yet.
pub struct UnverifiedLogout {
    algorithm: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    input: String,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

/// What a verified logout token asks for. At least one of subject and session is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutAsked {
    /// Whose sessions.
    pub subject: Option<String>,
    /// Which session at the provider.
    pub sid: Option<String>,
    /// Its `jti`.
    pub token_id: String,
    /// From when on it is refused as too old: until then a replay must be known.
    pub refused_from: OffsetDateTime,
}

impl UnverifiedLogout {
    /// Takes `token` apart.
    pub fn parse(token: &Secret) -> Result<Self, TokenFault> {
        let token = token.expose();
        if token.len() > TOKEN_MAX {
            return Err(TokenFault::Form);
        }
        let (input, signature) = token.rsplit_once('.').ok_or(TokenFault::Form)?;
        let (header, _) = input.split_once('.').ok_or(TokenFault::Form)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Form);
        let header = strict_json::object(&decode(header)?).ok_or(TokenFault::Form)?;
        let algorithm = header.get("alg").cloned().ok_or(TokenFault::Form)?;
        // RFC 7515, section 4.1.11: what must be understood and is not, refuses.
        if header.contains_key("crit") {
            return Err(TokenFault::Form);
        }
        // Section 2.4: explicit typing is recommended, so that other tokens are told by theirs.
        let typ = |typ: &Value| {
            typ.as_str().is_some_and(|typ| typ.eq_ignore_ascii_case("logout+jwt") || typ.eq_ignore_ascii_case("JWT"))
        };
        if !header.get("typ").is_none_or(typ) {
            return Err(TokenFault::Form);
        }
        Ok(Self {
            algorithm: serde_json::from_value(algorithm).map_err(|_| TokenFault::Algorithm)?,
            kid: match header.get("kid") {
                None => None,
                Some(kid) => Some(kid.as_str().ok_or(TokenFault::Form)?.to_owned()),
            },
            claims: claims(token)?,
            input: input.to_owned(),
            signature: decode(signature)?,
        })
    }

    /// Whose token it claims to be, and for which client: to look up the provider, and for nothing else.
    pub fn claimed(&self) -> Result<(&str, &str), TokenFault> {
        let issuer = self.claims.get("iss").and_then(Value::as_str).ok_or(TokenFault::Claim("iss"))?;
        let audience = match self.claims.get("aud") {
            Some(Value::String(one)) => Some(one),
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(one)] => Some(one),
                _ => None,
            },
            _ => None,
        };
        Ok((issuer, audience.ok_or(TokenFault::Audience)?))
    }

    fn holds(&self, provider: &Provider) -> Result<(), TokenFault> {
        if !provider.metadata.id_token_signing_alg_values_supported().contains(&self.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        let fits = |key: &&CoreJsonWebKey| {
            let named = self.kid.as_deref().is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid));
            let bound = match key.signing_alg() {
                JsonWebKeyAlgorithm::Unspecified => true,
                JsonWebKeyAlgorithm::Algorithm(algorithm) => *algorithm == self.algorithm,
                JsonWebKeyAlgorithm::Unsupported => false,
            };
            named && bound && self.algorithm.key_type().as_ref() == Some(key.key_type())
        };
        let verifies = |key: &CoreJsonWebKey| {
            key.verify_signature(&self.algorithm, self.input.as_bytes(), &self.signature).is_ok()
        };
        let mut keys = provider.metadata.jwks().keys().iter().filter(fits);
        if keys.any(verifies) { Ok(()) } else { Err(TokenFault::Signature) }
    }

    fn read(&self, at: &Registration<'_>, now: OffsetDateTime) -> Result<LogoutAsked, TokenFault> {
        let (issuer, audience) = self.claimed()?;
        if issuer != at.issuer.as_str() {
            return Err(TokenFault::Issuer);
        }
        if audience != at.client_id.as_str() {
            return Err(TokenFault::Audience);
        }
        // Section 2.4: so that no ID token is taken for one of these, nor the other way round.
        if self.claims.contains_key("nonce") {
            return Err(TokenFault::Nonce);
        }
        let about = self.claims.get("events").and_then(|events| events.get(EVENT));
        if !about.is_some_and(Value::is_object) {
            return Err(TokenFault::Claim("events"));
        }
        let issued_at = self.instant("iat")?.ok_or(TokenFault::Claim("iat"))?;
        let expires_at = self.instant("exp")?.unwrap_or(issued_at + AGE_MAX).min(issued_at + AGE_MAX);
        let refused_from = expires_at + LEEWAY;
        if now >= refused_from || now + LEEWAY < issued_at {
            return Err(TokenFault::Time);
        }
        let name = |claim: &'static str| match self.claims.get(claim) {
            None => Ok(None),
            Some(text) => {
                let text = text.as_str().and_then(|text| upstream::subject(text).ok());
                text.map(Some).ok_or(TokenFault::Claim(claim))
            }
        };
        let (subject, sid) = (name("sub")?, name("sid")?);
        if subject.is_none() && sid.is_none() {
            return Err(TokenFault::Claim("sub"));
        }
        Ok(LogoutAsked { subject, sid, token_id: name("jti")?.ok_or(TokenFault::Claim("jti"))?, refused_from })
    }

    fn instant(&self, claim: &'static str) -> Result<Option<OffsetDateTime>, TokenFault> {
        let Some(value) = self.claims.get(claim) else { return Ok(None) };
        let seconds = value.as_u64().and_then(|seconds| i64::try_from(seconds).ok());
        // Far enough from the end of time that minutes can be added.
        let at = seconds.filter(|seconds| *seconds < 1 << 40).and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        at.map(Some).ok_or(TokenFault::Claim(claim))
    }
}

impl RelyingParty {
    /// Verifies a logout token of the provider that it claims to be of.
    pub async fn logout(&self, at: &Registration<'_>, token: &UnverifiedLogout) -> Result<LogoutAsked, RedeemFault> {
        // What costs nothing is judged first.
        let asked = token.read(at, self.now())?;
        let provider = self.provider(at.issuer).await?;
        if token.holds(&provider) == Err(TokenFault::Signature) {
            // The provider may have turned to a new key since it was asked.
            token.holds(&*self.newer(at.issuer, &provider).await?)?;
        } else {
            token.holds(&provider)?;
        }
        Ok(asked)
    }
}

impl fmt::Debug for UnverifiedLogout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedLogout")
    }
}
