//! The caller: whom a verified token speaks for.

use http::HeaderMap;
use time::OffsetDateTime;

use super::issuer_keys::{IssuerKeys, NotVerified};
use super::presented::presented;
use crate::aws::credential::Owner;
use crate::crypto::verify::TokenRefused;
use crate::domain::audience::Audience;
use crate::domain::id::{RunId, TokenId};
use crate::domain::secret::Secret;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// Who calls. Everything in it comes from the verified token; nothing from a header or body beside it (threat 26).
#[derive(Debug, Clone)]
pub struct Caller {
    /// Issuer and subject.
    pub owner: Owner,
    /// The run it acts in.
    pub run: Option<RunId>,
    /// The token's `jti`.
    pub token_id: TokenId,
    /// The token's `exp`.
    pub expires_at: OffsetDateTime,
    /// The token, to exchange it.
    pub token: Secret,
}

impl Caller {
    /// Finds and verifies the token of a request for `audience`. Verified anew each time: a remembered verdict
    /// could be another token's (threat 4).
    pub async fn of(
        headers: &HeaderMap,
        query: Option<&str>,
        keys: &IssuerKeys,
        audience: &Audience,
    ) -> Result<Self, WorkerError> {
        let token = presented(headers, query)?;
        let (issuer, verified) = keys.verify(&token, audience).await.map_err(|error| match error {
            NotVerified::Refused(refused) => WorkerError::refused(reason(&refused), refused.to_string()),
            NotVerified::Unknown(error) => error,
        })?;
        Ok(Self {
            owner: Owner { issuer: issuer.as_str().into(), subject: verified.subject().clone() },
            run: verified.run_id().cloned(),
            token_id: verified.token_id(),
            expires_at: verified.expires_at(),
            token,
        })
    }
}

fn reason(refused: &TokenRefused) -> Refusal {
    match refused {
        TokenRefused::UnknownKid(_) => Refusal::TokenUnknownKey,
        TokenRefused::Issuer { .. } | TokenRefused::ForeignTeam => Refusal::TokenOtherIssuer,
        TokenRefused::Audience { found, .. } if found.is_sts() => Refusal::TokenForSts,
        TokenRefused::Audience { .. } => Refusal::TokenOtherAudience,
        TokenRefused::Expired(_) => Refusal::TokenExpired,
        TokenRefused::NotYet(_) => Refusal::TokenNotYetValid,
        TokenRefused::Form
        | TokenRefused::Header
        | TokenRefused::KidForm
        | TokenRefused::Algorithm
        | TokenRefused::Signature
        | TokenRefused::Claim(_) => Refusal::TokenInvalid,
    }
}
