//! The caller: whom a verified token speaks for.

use time::OffsetDateTime;

use super::issuer_keys::{IssuerKeys, NotVerified};
use crate::aws::credential::Owner;
use crate::crypto::verify::TokenRefused;
use crate::domain::audience::Audience;
use crate::domain::credential::SecretHash;
use crate::domain::id::{RunId, TokenId};
use crate::domain::secret::Secret;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// What tells one token or bearer from all others, whole: two that share a part never share an entry (threat 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A verified token, by its `jti`.
    Token(TokenId),
    /// The bearer of a run, by its hash.
    Bearer(SecretHash),
}

/// Who calls. Everything in it comes from the verified token, or from the issuer's answer about the bearer of a run;
/// nothing from a header or body beside it (threat 26).
#[derive(Debug, Clone)]
pub struct Caller {
    /// Issuer and subject.
    pub owner: Owner,
    /// The run it acts in.
    pub run: Option<RunId>,
    /// What was shown.
    pub shown: Shown,
    /// The token's `exp`, or the end of the run.
    pub expires_at: OffsetDateTime,
    /// The token or bearer, to exchange it.
    pub token: Secret,
}

impl Caller {
    /// Verifies the token of a request for `audience`. Verified anew each time: a remembered verdict could be another
    /// token's (threat 4).
    pub async fn of_token(token: Secret, keys: &IssuerKeys, audience: &Audience) -> Result<Self, WorkerError> {
        let (issuer, verified) = keys.verify(&token, audience).await.map_err(|error| match error {
            NotVerified::Refused(refused) => WorkerError::refused(reason(&refused), refused.to_string()),
            NotVerified::Unknown(error) => error,
        })?;
        Ok(Self {
            owner: Owner { issuer: issuer.as_str().into(), subject: verified.subject().clone() },
            run: verified.run_id().cloned(),
            shown: Shown::Token(verified.token_id()),
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
