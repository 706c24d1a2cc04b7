//! The catalogue: every code that `/v1` answers with, its status and its title.

use http::StatusCode;

/// A stable error code: the last part of a problem's `type`. The list only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A member of the request breaks a rule; `errors` names it.
    InvalidRequest,
    /// The body is no JSON object.
    InvalidJson,
    /// The person is in several teams and named none.
    TeamRequired,
    /// The token must be bound to a role, and there is none.
    RoleRequired,
    /// A role was named for an audience other than AWS STS.
    RoleNotApplicable,
    /// A platform key said not for whom.
    OnBehalfOfRequired,
    /// No credential was presented.
    CredentialRequired,
    /// The credential is not known, expired or revoked.
    InvalidCredential,
    /// The enrolment code opens no session.
    EnrolmentCodeRefused,
    /// The presented token is none that this worker may exchange.
    InvalidToken,
    /// This kind of credential may not do this.
    NotPermitted,
    /// The audience is not on the team's list.
    AudienceNotAllowed,
    /// The audience is not on the run's list.
    AudienceNotInRun,
    /// The audience is the issuer's own URL.
    AudienceReserved,
    /// The role is not open to this principal, or not the run's.
    RoleNotAllowed,
    /// A run's settings name a model that the team's do not allow.
    ModelNotAllowed,
    /// A run's settings would undo the team's.
    SettingNotAllowed,
    /// The client's address is in none of the team's ranges.
    AddressNotAllowed,
    /// People mint in runs only.
    RunRequired,
    /// The run has had all its tokens.
    RunExhausted,
    /// Inference is switched off.
    ProviderDisabled,
    /// The provider settings lack role or region.
    ProviderNotConfigured,
    /// The provider settings contradict themselves.
    ProviderMisconfigured,
    /// The team does not accept how the session was opened.
    SignInNotAccepted,
    /// The principal is disabled.
    PrincipalDisabled,
    /// The team is disabled.
    TeamDisabled,
    /// The worker does not serve the team.
    TeamNotServed,
    /// The caller whose token a worker presents may mint no more.
    CallerNotAlive,
    /// No such route.
    RouteNotFound,
    /// No such thing, or none that the caller may know of.
    NotFound,
    /// No such team, or none the caller is in.
    TeamNotFound,
    /// No such principal in the platform key's teams.
    PrincipalNotFound,
    /// No such run, or none that the caller may know of.
    RunNotFound,
    /// No such session of one's own.
    SessionNotFound,
    /// The route has other methods.
    MethodNotAllowed,
    /// Another state than the request assumes.
    Conflict,
    /// Verifiers may hold a JWKS without the standby.
    StandbyTooYoung,
    /// Verifiers would fail, and nobody said that they may.
    OutageNotAccepted,
    /// The uid was used before, which is for ever.
    UidTaken,
    /// The idempotency key came with another request before.
    IdempotencyKeyReused,
    /// `If-Match` names an older version.
    VersionMismatch,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// More requests than the limits allow.
    RateLimited,
    /// A fault of ours.
    Internal,
    /// The issuer cannot answer now.
    Unavailable,
    /// The request took too long.
    Timeout,
}

impl Code {
    /// Every code there is, in the order of their status.
    pub const ALL: [Self; 47] = [
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::TeamRequired,
        Self::RoleRequired,
        Self::RoleNotApplicable,
        Self::OnBehalfOfRequired,
        Self::CredentialRequired,
        Self::InvalidCredential,
        Self::EnrolmentCodeRefused,
        Self::InvalidToken,
        Self::NotPermitted,
        Self::AudienceNotAllowed,
        Self::AudienceNotInRun,
        Self::AudienceReserved,
        Self::RoleNotAllowed,
        Self::ModelNotAllowed,
        Self::SettingNotAllowed,
        Self::AddressNotAllowed,
        Self::RunRequired,
        Self::RunExhausted,
        Self::ProviderDisabled,
        Self::ProviderNotConfigured,
        Self::ProviderMisconfigured,
        Self::SignInNotAccepted,
        Self::PrincipalDisabled,
        Self::TeamDisabled,
        Self::TeamNotServed,
        Self::CallerNotAlive,
        Self::RouteNotFound,
        Self::NotFound,
        Self::TeamNotFound,
        Self::PrincipalNotFound,
        Self::RunNotFound,
        Self::SessionNotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::StandbyTooYoung,
        Self::OutageNotAccepted,
        Self::UidTaken,
        Self::IdempotencyKeyReused,
        Self::VersionMismatch,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::Internal,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// The stable text, the status and the title.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST, "The request breaks a rule"),
            Self::InvalidJson => ("invalid_json", S::BAD_REQUEST, "The body is not a JSON object"),
            Self::TeamRequired => ("team_required", S::BAD_REQUEST, "A team must be chosen"),
            Self::RoleRequired => ("role_required", S::BAD_REQUEST, "A role is required"),
            Self::RoleNotApplicable => ("role_not_applicable", S::BAD_REQUEST, "A role does not apply here"),
            Self::OnBehalfOfRequired => ("on_behalf_of_required", S::BAD_REQUEST, "A principal must be named"),
            Self::CredentialRequired => ("credential_required", S::UNAUTHORIZED, "A credential is required"),
            Self::InvalidCredential => ("invalid_credential", S::UNAUTHORIZED, "The credential is not valid"),
            Self::EnrolmentCodeRefused => {
                ("enrolment_code_refused", S::FORBIDDEN, "The enrolment code opens no session")
            }
            Self::InvalidToken => ("invalid_token", S::UNPROCESSABLE_ENTITY, "The presented token is not accepted"),
            Self::NotPermitted => ("not_permitted", S::FORBIDDEN, "This credential may not do this"),
            Self::AudienceNotAllowed => ("audience_not_allowed", S::FORBIDDEN, "The audience is not allowed"),
            Self::AudienceNotInRun => ("audience_not_in_run", S::FORBIDDEN, "The audience is not the run's"),
            Self::ModelNotAllowed => ("model_not_allowed", S::FORBIDDEN, "The model is not allowed"),
            Self::SettingNotAllowed => ("setting_not_allowed", S::FORBIDDEN, "The setting is not allowed"),
            Self::AddressNotAllowed => ("address_not_allowed", S::FORBIDDEN, "The address is not allowed"),
            Self::RunRequired => ("run_required", S::FORBIDDEN, "A run is required"),
            Self::RunExhausted => ("run_exhausted", S::FORBIDDEN, "The run has had all its tokens"),
            Self::AudienceReserved => ("audience_reserved", S::FORBIDDEN, "The audience is reserved"),
            Self::RoleNotAllowed => ("role_not_allowed", S::FORBIDDEN, "The role is not allowed"),
            Self::ProviderDisabled => ("provider_disabled", S::FORBIDDEN, "Inference is switched off"),
            Self::ProviderNotConfigured => ("provider_not_configured", S::CONFLICT, "Inference is not configured"),
            Self::ProviderMisconfigured => ("provider_misconfigured", S::CONFLICT, "Inference is misconfigured"),
            Self::SignInNotAccepted => {
                ("sign_in_not_accepted", S::FORBIDDEN, "The team does not accept this way of signing in")
            }
            Self::PrincipalDisabled => ("principal_disabled", S::FORBIDDEN, "The principal is disabled"),
            Self::TeamDisabled => ("team_disabled", S::FORBIDDEN, "The team is disabled"),
            Self::TeamNotServed => ("team_not_served", S::FORBIDDEN, "The worker does not serve this team"),
            Self::CallerNotAlive => ("caller_not_alive", S::FORBIDDEN, "The caller is switched off or gone"),
            Self::RouteNotFound => ("route_not_found", S::NOT_FOUND, "No such route"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "Not found"),
            Self::TeamNotFound => ("team_not_found", S::NOT_FOUND, "No such team"),
            Self::PrincipalNotFound => ("principal_not_found", S::NOT_FOUND, "No such principal"),
            Self::RunNotFound => ("run_not_found", S::NOT_FOUND, "No such run"),
            Self::SessionNotFound => ("session_not_found", S::NOT_FOUND, "No such session"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "The route has other methods"),
            Self::Conflict => ("conflict", S::CONFLICT, "The request conflicts with the current state"),
            Self::StandbyTooYoung => ("standby_too_young", S::CONFLICT, "The next signing key may not sign yet"),
            Self::OutageNotAccepted => ("outage_not_accepted", S::CONFLICT, "Verifiers would fail meanwhile"),
            Self::UidTaken => ("uid_taken", S::CONFLICT, "The uid is or was in use"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", S::CONFLICT, "The idempotency key came with another request")
            }
            Self::VersionMismatch => ("version_mismatch", S::PRECONDITION_FAILED, "It was changed in the meantime"),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE, "The body must be application/json")
            }
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "A fault of the server"),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "The issuer cannot answer now"),
            Self::Timeout => ("timeout", S::SERVICE_UNAVAILABLE, "The request took too long"),
        }
    }

    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it always comes with.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The code in words.
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_words() {
        let mut texts = Code::ALL.map(Code::as_str);
        texts.sort_unstable();
        assert!(texts.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        assert!(Code::ALL.iter().all(|code| code.status().is_client_error() || code.status().is_server_error()));
    }
}
