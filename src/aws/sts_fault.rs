//! Why STS gave no credentials: the closed list, how each is told from the wire, and what to do about it.

use super::explanation::Explanation;

/// Why AssumeRoleWithWebIdentity failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StsFault {
    /// The token did not pass: signature, audience, timestamps or form.
    TokenInvalid,
    /// The role's account knows no provider for the issuer.
    NoProvider,
    /// The signing key was not found at the issuer, or not in time.
    KeyFetchFailed,
    /// The role is not in the token's roles claim.
    RoleNotInClaim,
    /// The token is past its end.
    TokenExpired,
    /// AWS could not reach the issuer.
    IssuerUnreachable,
    /// The provider rejected a claim.
    ClaimRejected,
    /// The trust policy, or a policy above it, says no.
    AccessDenied,
    /// The same, for a token with session tags or a source identity.
    TagSessionDenied,
    /// The session would outlast the role's maximum.
    DurationTooLong,
    /// A parameter is out of range.
    RequestInvalid,
    /// STS is off in the region.
    RegionDisabled,
    /// Tags and policies are too large for a session token.
    SessionTooLarge,
    /// The session policy is no policy.
    PolicyMalformed,
    /// Too many calls.
    Throttled,
    /// STS failed by itself.
    Unavailable,
    /// No answer from STS.
    Unreachable,
    /// An answer that STS does not give.
    Unexpected,
}

impl StsFault {
    /// Every fault there is.
    pub const ALL: [Self; 18] = [
        Self::TokenInvalid,
        Self::NoProvider,
        Self::KeyFetchFailed,
        Self::RoleNotInClaim,
        Self::TokenExpired,
        Self::IssuerUnreachable,
        Self::ClaimRejected,
        Self::AccessDenied,
        Self::TagSessionDenied,
        Self::DurationTooLong,
        Self::RequestInvalid,
        Self::RegionDisabled,
        Self::SessionTooLarge,
        Self::PolicyMalformed,
        Self::Throttled,
        Self::Unavailable,
        Self::Unreachable,
        Self::Unexpected,
    ];

    /// Names the fault behind an error answer. AWS overloads `InvalidIdentityToken`, `AccessDenied` and
    /// `ValidationError`, so the message is read as well; and it documents `ExpiredToken` and `RegionDisabled`
    /// where the wire says `…Exception`, so both are taken. `tagged` tells that the token carried session tags
    /// or a source identity, which the trust policy must allow by actions of their own.
    pub fn of(status: u16, code: Option<&str>, message: &str, tagged: bool) -> Self {
        match code.unwrap_or_default() {
            "InvalidIdentityToken" | "InvalidIdentityTokenException" => Self::of_token(message),
            "ExpiredToken" | "ExpiredTokenException" => Self::TokenExpired,
            "IDPCommunicationError" => Self::IssuerUnreachable,
            "IDPRejectedClaim" => Self::ClaimRejected,
            "AccessDenied" | "AccessDeniedException" if tagged || names_tagging(message) => Self::TagSessionDenied,
            "AccessDenied" | "AccessDeniedException" => Self::AccessDenied,
            "ValidationError" if message.contains("MaxSessionDuration") => Self::DurationTooLong,
            "ValidationError" | "ValidationException" | "InvalidParameterValue" | "MissingParameter" => {
                Self::RequestInvalid
            }
            "RegionDisabled" | "RegionDisabledException" => Self::RegionDisabled,
            "PackedPolicyTooLarge" | "PackedPolicyTooLargeException" => Self::SessionTooLarge,
            "MalformedPolicyDocument" | "MalformedPolicyDocumentException" => Self::PolicyMalformed,
            code if is_throttling(code) => Self::Throttled,
            "InternalFailure" | "InternalError" | "ServiceUnavailable" | "RequestTimeout" => Self::Unavailable,
            _ => match status {
                429 => Self::Throttled,
                500..=599 => Self::Unavailable,
                _ => Self::Unexpected,
            },
        }
    }

    fn of_token(message: &str) -> Self {
        if message.contains("retrieve verification key") {
            Self::KeyFetchFailed
        } else if message.contains("roles claim") {
            Self::RoleNotInClaim
        } else if message.contains("No OpenIDConnect provider") {
            Self::NoProvider
        } else {
            Self::TokenInvalid
        }
    }

    /// Whether the same call, with the same token, may succeed a moment later.
    pub const fn is_retryable(self) -> bool {
        self.attempts() > 1 || matches!(self, Self::Throttled)
    }

    /// Whether STS, or the way there, is at fault rather than token, role or request. Only then may credentials
    /// that are still valid be used on (a refusal ends them).
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Unreachable | Self::IssuerUnreachable)
    }

    /// How often the call is made in all. Throttling is not answered with more calls, and the key fetch is tried
    /// once more only: its text also stands for a key that is really not there.
    pub const fn attempts(self) -> u32 {
        match self {
            Self::IssuerUnreachable => 3,
            Self::KeyFetchFailed | Self::Unavailable | Self::Unreachable => 2,
            _ => 1,
        }
    }

    /// Code, status, cause and remedy.
    #[expect(clippy::too_many_lines, reason = "a table, one row for each fault")]
    pub const fn explanation(self) -> Explanation {
        match self {
            Self::TokenInvalid => Explanation {
                code: "sts_token_invalid",
                status: 403,
                exception: "AccessDeniedException",
                cause: "AWS could not validate the identity token: most often its audience is not registered at the IAM OIDC provider, or the token was changed on its way.",
                remedy: "Register the audience sts.amazonaws.com at the provider of the role's account, compare the provider's URL with the issuer byte for byte, and send the token as it was minted.",
            },
            Self::NoProvider => Explanation {
                code: "sts_no_provider",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The role's AWS account has no IAM OIDC provider for this issuer.",
                remedy: "Create the provider in the account of the role, with the issuer's URL byte for byte (no trailing slash).",
            },
            Self::KeyFetchFailed => Explanation {
                code: "sts_key_fetch_failed",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "AWS could not read the signing key at the issuer: its public documents were unreachable, slow (over 5 s) or lack the key.",
                remedy: "Check that discovery document and JWKS answer publicly over HTTPS without redirect. CloudTrail does not show this fault.",
            },
            Self::RoleNotInClaim => Explanation {
                code: "sts_role_not_in_roles_claim",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The identity token is bound to another role than the one that was assumed.",
                remedy: "Set role_arn in the team's provider settings to the exact ARN of the role, path and letter case included.",
            },
            Self::TokenExpired => Explanation {
                code: "sts_token_expired",
                status: 403,
                exception: "AccessDeniedException",
                cause: "AWS says that a fresh identity token has expired: the clocks of issuer and AWS differ by more than 5 minutes.",
                remedy: "Set the issuer's clock (NTP).",
            },
            Self::IssuerUnreachable => Explanation {
                code: "sts_issuer_unreachable",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "AWS could not reach the issuer to verify the token.",
                remedy: "Check that the issuer answers publicly over HTTPS with TLS 1.2 and a public certificate; then try again.",
            },
            Self::ClaimRejected => Explanation {
                code: "sts_claim_rejected",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The identity provider rejected a claim of the token.",
                remedy: "Check the IAM OIDC provider of the role's account.",
            },
            Self::AccessDenied => Explanation {
                code: "sts_access_denied",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The role's trust policy does not admit this subject and audience, the role does not exist, or an organisation's policy denies it.",
                remedy: "Compare the trust policy's :sub and :aud conditions with subject and audience of this answer; a new role takes some 10 seconds to work.",
            },
            Self::TagSessionDenied => Explanation {
                code: "sts_tag_session_denied",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The token carries session tags or a source identity, and the role's trust policy does not allow them (or does not admit the subject at all).",
                remedy: "Allow sts:TagSession (and sts:SetSourceIdentity) beside sts:AssumeRoleWithWebIdentity in the trust policy, or switch session_tags and source_identity off in the provider settings.",
            },
            Self::DurationTooLong => Explanation {
                code: "sts_duration_too_long",
                status: 403,
                exception: "AccessDeniedException",
                cause: "session_duration_seconds of the provider settings is longer than the role's maximum session duration.",
                remedy: "Lower session_duration_seconds, or raise MaxSessionDuration of the role.",
            },
            Self::RequestInvalid => Explanation {
                code: "sts_request_invalid",
                status: 403,
                exception: "AccessDeniedException",
                cause: "STS found a parameter out of range.",
                remedy: "Check role_arn and session_duration_seconds of the provider settings against the message.",
            },
            Self::RegionDisabled => Explanation {
                code: "sts_region_disabled",
                status: 403,
                exception: "AccessDeniedException",
                cause: "STS is not activated in this region for the role's account.",
                remedy: "Activate STS for the region in IAM's account settings, or set another region in the provider settings.",
            },
            Self::SessionTooLarge => Explanation {
                code: "sts_session_too_large",
                status: 403,
                exception: "AccessDeniedException",
                cause: "Session tags and policies together are too large for a session token.",
                remedy: "Switch session_tags off in the provider settings, or shorten what they carry.",
            },
            Self::PolicyMalformed => Explanation {
                code: "sts_session_policy_malformed",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The session policy is not a valid policy document.",
                remedy: "Switch the session policy off, and report this as a defect of Brevet.",
            },
            Self::Throttled => Explanation {
                code: "sts_throttled",
                status: 429,
                exception: "ThrottlingException",
                cause: "STS limits the rate of calls of this account and region.",
                remedy: "Try again in a few seconds; longer sessions (session_duration_seconds) need fewer calls.",
            },
            Self::Unavailable => Explanation {
                code: "sts_unavailable",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "STS answered with an error of its own.",
                remedy: "Try again in a few seconds; see the AWS health dashboard.",
            },
            Self::Unreachable => Explanation {
                code: "sts_unreachable",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "The worker got no answer from STS: network, DNS, TLS or time.",
                remedy: "Check the worker's way to the STS endpoint of the region; then try again.",
            },
            Self::Unexpected => Explanation {
                code: "sts_unexpected_answer",
                status: 502,
                exception: "InternalServerException",
                cause: "What answered at the STS endpoint does not answer like STS.",
                remedy: "Check sts_endpoint of the provider settings and any proxy on the way.",
            },
        }
    }
}

fn names_tagging(message: &str) -> bool {
    message.contains("sts:TagSession") || message.contains("sts:SetSourceIdentity")
}

/// The throttling codes of AWS's own SDKs.
pub(super) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottledException"
            | "RequestThrottled"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
            | "SlowDown"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_sts_has_its_own_fault() {
        const KEY: &str = "Couldn't retrieve verification key from your identity provider,  please reference \
                           AssumeRoleWithWebIdentity documentation for requirements";
        let denied = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        for (status, code, message, tagged, fault) in [
            (400, "InvalidIdentityToken", "Missing a required claim: sub", false, StsFault::TokenInvalid),
            (400, "InvalidIdentityToken", KEY, false, StsFault::KeyFetchFailed),
            (
                400,
                "InvalidIdentityToken",
                "No OpenIDConnect provider found in your account for https://x",
                false,
                StsFault::NoProvider,
            ),
            (
                400,
                "InvalidIdentityToken",
                "The target role ARN is not present in the roles claim of the identity token",
                false,
                StsFault::RoleNotInClaim,
            ),
            (400, "ExpiredTokenException", "Token expired: …", false, StsFault::TokenExpired),
            (400, "ExpiredToken", "", false, StsFault::TokenExpired),
            (400, "IDPCommunicationError", "", false, StsFault::IssuerUnreachable),
            (403, "IDPRejectedClaim", "", false, StsFault::ClaimRejected),
            (403, "AccessDenied", denied, false, StsFault::AccessDenied),
            (403, "AccessDenied", denied, true, StsFault::TagSessionDenied),
            (403, "AccessDenied", "not authorized to perform: sts:TagSession", false, StsFault::TagSessionDenied),
            (
                400,
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                false,
                StsFault::DurationTooLong,
            ),
            (400, "ValidationError", "1 validation error detected", false, StsFault::RequestInvalid),
            (403, "RegionDisabledException", "", false, StsFault::RegionDisabled),
            (403, "RegionDisabled", "", false, StsFault::RegionDisabled),
            (400, "PackedPolicyTooLarge", "", false, StsFault::SessionTooLarge),
            (400, "MalformedPolicyDocument", "", false, StsFault::PolicyMalformed),
            (400, "Throttling", "Rate exceeded", false, StsFault::Throttled),
            (400, "SlowDown", "", false, StsFault::Throttled),
            (500, "InternalFailure", "", false, StsFault::Unavailable),
            (503, "ServiceUnavailable", "", false, StsFault::Unavailable),
            (502, "", "", false, StsFault::Unavailable),
            (429, "", "", false, StsFault::Throttled),
            (404, "", "", false, StsFault::Unexpected),
            (400, "SomethingNew", "", false, StsFault::Unexpected),
        ] {
            assert_eq!(StsFault::of(status, Some(code), message, tagged), fault, "{status} {code} {message}");
        }
    }

    #[test]
    fn threat_28_only_what_may_pass_is_tried_again_and_no_refusal_is_an_outage() {
        for fault in StsFault::ALL {
            assert!((1..=3).contains(&fault.attempts()));
            if fault.is_outage() {
                assert!(fault.is_retryable(), "{fault:?}");
                assert!(matches!(fault.explanation().status, 429 | 503));
            }
        }
        assert_eq!(StsFault::AccessDenied.attempts(), 1);
        assert_eq!(StsFault::Throttled.attempts(), 1);
        assert!(!StsFault::KeyFetchFailed.is_outage());
    }

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> = StsFault::ALL.iter().map(|fault| fault.explanation().code).collect();
        assert_eq!(codes.len(), StsFault::ALL.len());
    }
}
