//! Refusals of bearers.

use super::{Code, ProblemAnswer};
use crate::domain::access::Denied;
use crate::issuer::refusals::AuthError;
use crate::limit::rate::Limited;
use crate::store::DeadReason;

/// The challenge to a bearer that is no good (RFC 6750, section 3.1).
pub const INVALID: &str = "Bearer error=\"invalid_token\"";

impl From<AuthError> for ProblemAnswer {
    fn from(error: AuthError) -> Self {
        let words = error.to_string();
        match error {
            AuthError::Malformed(_) | AuthError::EnrolmentCode | AuthError::RefreshToken | AuthError::Unknown => {
                Self::new(Code::InvalidCredential, words).challenge(INVALID)
            }
            AuthError::Dead(reason) => reason.into(),
            AuthError::Limited(limited) => limited.into(),
            AuthError::CallerLimited(limited, requester) => Self::from(limited).asked_by(requester),
            AuthError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// What is over is 401: another credential may do. What is switched off is 403: no other will.
impl From<DeadReason> for ProblemAnswer {
    fn from(reason: DeadReason) -> Self {
        let (code, words) = match reason {
            DeadReason::CredentialExpired => (Code::InvalidCredential, "the credential has expired"),
            DeadReason::CredentialRevoked => (Code::InvalidCredential, "the credential was revoked"),
            DeadReason::AdministratorRevoked => (Code::InvalidCredential, "the administrator was removed"),
            DeadReason::AdministratorExpired => (Code::InvalidCredential, "the administrator's time is over"),
            DeadReason::RunEnded => (Code::InvalidCredential, "the run was ended"),
            DeadReason::RunExpired => (Code::InvalidCredential, "the run's time is over"),
            DeadReason::RunOpenerRevoked => (Code::InvalidCredential, "the credential that opened the run was revoked"),
            DeadReason::RunOpenerExpired => (Code::InvalidCredential, "the credential that opened the run has expired"),
            DeadReason::ParentKeyRevoked => (Code::InvalidCredential, "the key behind the access token was revoked"),
            DeadReason::ParentKeyExpired => (Code::InvalidCredential, "the key behind the access token has expired"),
            DeadReason::PublicKeyRevoked => (Code::InvalidCredential, "the public key behind the token was revoked"),
            DeadReason::PublicKeyExpired => (Code::InvalidCredential, "the public key behind the token has expired"),
            DeadReason::TrustRuleDisabled => (Code::InvalidCredential, "the trust rule behind the token is disabled"),
            DeadReason::TrustRuleDeleted => (Code::InvalidCredential, "the trust rule behind the token was deleted"),
            DeadReason::PlatformTeamRemoved => (Code::InvalidCredential, "the platform key lists the team no more"),
            DeadReason::PlatformRightRemoved => (Code::InvalidCredential, "the platform key has the right no more"),
            DeadReason::MembershipEnded => (Code::InvalidCredential, "the person is in the team no more"),
            DeadReason::UserDeleted => (Code::InvalidCredential, "the person was deleted"),
            DeadReason::SessionEnded => (Code::InvalidCredential, "the session was ended: sign in again"),
            DeadReason::SessionExpired => (Code::InvalidCredential, "the session is over: sign in again"),
            DeadReason::SessionIdle => (Code::InvalidCredential, "the session was not refreshed for too long"),
            DeadReason::ProviderDisabled => {
                (Code::InvalidCredential, "the provider at which the session was opened is switched off")
            }
            DeadReason::ProviderDeleted => {
                (Code::InvalidCredential, "the provider at which the session was opened is gone")
            }
            DeadReason::ServiceAccountDeleted => (Code::InvalidCredential, "the service account was deleted"),
            DeadReason::TeamDeleted => (Code::InvalidCredential, "the team was deleted"),
            DeadReason::UserDisabled => (Code::PrincipalDisabled, "the person is disabled"),
            DeadReason::ServiceAccountDisabled => (Code::PrincipalDisabled, "the service account is disabled"),
            DeadReason::TeamDisabled => (Code::TeamDisabled, "the team is disabled"),
        };
        let answer = Self::new(code, words);
        if code == Code::InvalidCredential { answer.challenge(INVALID) } else { answer }
    }
}

impl From<Denied> for ProblemAnswer {
    fn from(denied: Denied) -> Self {
        Self::new(Code::NotPermitted, denied.to_string())
    }
}

impl From<Limited> for ProblemAnswer {
    fn from(limited: Limited) -> Self {
        Self::new(Code::RateLimited, limited.to_string()).retry_after(limited.retry_after)
    }
}
