//! Why Bedrock did not take a request: the closed list, how each is told from the wire, and what to do about it.

use super::explanation::Explanation;
use super::sts_fault::is_throttling;

/// Why a call to the Bedrock runtime failed before its first byte of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BedrockFault {
    /// No identity policy of the role allows it.
    AccessDenied,
    /// A policy denies it explicitly.
    ExplicitDeny,
    /// The account may not use the model (yet).
    ModelAccess,
    /// The temporary credentials have ended.
    CredentialsExpired,
    /// The temporary credentials or our signature were not taken.
    CredentialsRejected,
    /// The worker's clock is off.
    ClockSkew,
    /// Too many calls or tokens.
    Throttled,
    /// The model is being loaded.
    ModelNotReady,
    /// The model took too long.
    ModelTimeout,
    /// The model failed.
    ModelFailed,
    /// The request's body or model id is not what the model takes.
    Validation,
    /// A quota of the account is used up.
    QuotaExceeded,
    /// No such model or resource in the region.
    NotFound,
    /// Conflict with another operation.
    Conflict,
    /// Bedrock failed by itself.
    Internal,
    /// Bedrock is overloaded or down.
    Unavailable,
    /// No answer from Bedrock.
    Unreachable,
    /// An answer that Bedrock does not give.
    Unexpected,
}

impl BedrockFault {
    /// Every fault there is.
    pub const ALL: [Self; 18] = [
        Self::AccessDenied,
        Self::ExplicitDeny,
        Self::ModelAccess,
        Self::CredentialsExpired,
        Self::CredentialsRejected,
        Self::ClockSkew,
        Self::Throttled,
        Self::ModelNotReady,
        Self::ModelTimeout,
        Self::ModelFailed,
        Self::Validation,
        Self::QuotaExceeded,
        Self::NotFound,
        Self::Conflict,
        Self::Internal,
        Self::Unavailable,
        Self::Unreachable,
        Self::Unexpected,
    ];

    /// Names the fault behind an error answer; `code` is the exception's bare name. One name can mean several
    /// things, so the message is read as well.
    pub fn of(status: u16, code: Option<&str>, message: &str) -> Self {
        match code.unwrap_or_default() {
            "ExpiredTokenException" | "ExpiredToken" => Self::CredentialsExpired,
            "AccessDeniedException" | "AccessDenied" => Self::of_denial(message),
            "FTUFormNotFilled" => Self::ModelAccess,
            "RequestExpired" | "RequestTimeTooSkewed" => Self::ClockSkew,
            "InvalidSignatureException" | "SignatureDoesNotMatch" if names_clock(message) => Self::ClockSkew,
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::CredentialsRejected,
            "ModelNotReadyException" => Self::ModelNotReady,
            "ModelTimeoutException" => Self::ModelTimeout,
            "ModelErrorException" | "ModelStreamErrorException" => Self::ModelFailed,
            "ValidationException" | "ValidationError" => Self::Validation,
            "ServiceQuotaExceededException" => Self::QuotaExceeded,
            "ResourceNotFoundException" => Self::NotFound,
            "ConflictException" => Self::Conflict,
            "InternalServerException" | "InternalFailure" => Self::Internal,
            "ServiceUnavailableException" | "ServiceUnavailable" => Self::Unavailable,
            code if is_throttling(code) => Self::Throttled,
            _ => match status {
                400 => Self::Validation,
                404 => Self::NotFound,
                408 => Self::ModelTimeout,
                429 => Self::Throttled,
                503 => Self::Unavailable,
                500..=599 => Self::Internal,
                _ => Self::Unexpected,
            },
        }
    }

    fn of_denial(message: &str) -> Self {
        if message.contains("explicit deny") {
            Self::ExplicitDeny
        } else if message.contains("is not authorized to perform") {
            Self::AccessDenied
        } else {
            Self::ModelAccess
        }
    }

    /// Whether the fault lies between the worker and AWS. The caller then gets our own status and exception: AWS's
    /// would tell its SDK to renew credentials that it does not have.
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::CredentialsExpired
                | Self::CredentialsRejected
                | Self::ClockSkew
                | Self::Unreachable
                | Self::Unexpected
        )
    }

    /// Whether the same request may succeed a moment later.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::CredentialsExpired
                | Self::Throttled
                | Self::ModelNotReady
                | Self::ModelTimeout
                | Self::Internal
                | Self::Unavailable
                | Self::Unreachable
        )
    }

    /// Code, cause and remedy. Status and exception are those of an answer that we make ourselves; where Bedrock
    /// answered, the caller gets Bedrock's.
    #[expect(clippy::too_many_lines, reason = "a table, one row for each fault")]
    pub const fn explanation(self) -> Explanation {
        match self {
            Self::AccessDenied => Explanation {
                code: "bedrock_access_denied",
                status: 403,
                exception: "AccessDeniedException",
                cause: "No policy of the role allows this action on this model.",
                remedy: "Allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on the inference profile and on the foundation model of every region it routes to.",
            },
            Self::ExplicitDeny => Explanation {
                code: "bedrock_explicit_deny",
                status: 403,
                exception: "AccessDeniedException",
                cause: "A policy denies the call explicitly; the message says of which kind.",
                remedy: "Change the denying policy: a service control policy is the organisation's, a permissions boundary or identity policy the account's.",
            },
            Self::ModelAccess => Explanation {
                code: "bedrock_model_access",
                status: 403,
                exception: "AccessDeniedException",
                cause: "The AWS account has no access to this model in this region: not subscribed, use-case form not sent in, or not yet granted.",
                remedy: "Request access to the model in the Bedrock console of the role's account and region.",
            },
            Self::CredentialsExpired => Explanation {
                code: "bedrock_credentials_expired",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "AWS says that the session has expired, again after it was renewed.",
                remedy: "Try again; if it stays, compare the worker's clock with AWS's and look for a policy that revokes sessions by their age.",
            },
            Self::CredentialsRejected => Explanation {
                code: "bedrock_credentials_rejected",
                status: 502,
                exception: "InternalServerException",
                cause: "AWS did not take the worker's signature or the session it belongs to.",
                remedy: "Check that base_url and sts_endpoint of the provider settings belong to the same AWS, and that no proxy changes requests.",
            },
            Self::ClockSkew => Explanation {
                code: "bedrock_clock_skew",
                status: 502,
                exception: "InternalServerException",
                cause: "AWS found the worker's signature too old or from the future.",
                remedy: "Set the worker's clock (NTP).",
            },
            Self::Throttled => Explanation {
                code: "bedrock_throttled",
                status: 429,
                exception: "ThrottlingException",
                cause: "The account's quota of requests or tokens per minute for this model is used up.",
                remedy: "Try again with growing pauses; raise the quota in Service Quotas or use a cross-region inference profile.",
            },
            Self::ModelNotReady => Explanation {
                code: "bedrock_model_not_ready",
                status: 429,
                exception: "ModelNotReadyException",
                cause: "The model is being loaded.",
                remedy: "Try again in a minute.",
            },
            Self::ModelTimeout => Explanation {
                code: "bedrock_model_timeout",
                status: 408,
                exception: "ModelTimeoutException",
                cause: "The model took too long.",
                remedy: "Try again, shorten the request, or use a streaming operation.",
            },
            Self::ModelFailed => Explanation {
                code: "bedrock_model_error",
                status: 424,
                exception: "ModelErrorException",
                cause: "The model failed on this request.",
                remedy: "Read the message; try again or change the request.",
            },
            Self::Validation => Explanation {
                code: "bedrock_validation",
                status: 400,
                exception: "ValidationException",
                cause: "The body is not what this model takes, or the model can only be called through an inference profile.",
                remedy: "Read the message; for on-demand throughput use the model's inference profile id (such as us.…) instead of its bare id.",
            },
            Self::QuotaExceeded => Explanation {
                code: "bedrock_quota_exceeded",
                status: 400,
                exception: "ServiceQuotaExceededException",
                cause: "A quota of the AWS account is used up.",
                remedy: "Raise it in Service Quotas.",
            },
            Self::NotFound => Explanation {
                code: "bedrock_not_found",
                status: 404,
                exception: "ResourceNotFoundException",
                cause: "The region has no such model, profile or guardrail, or the account no access to it.",
                remedy: "Check the model id and the region of the provider settings.",
            },
            Self::Conflict => Explanation {
                code: "bedrock_conflict",
                status: 400,
                exception: "ConflictException",
                cause: "Another operation on the same resource is under way.",
                remedy: "Try again when it has ended.",
            },
            Self::Internal => Explanation {
                code: "bedrock_internal",
                status: 500,
                exception: "InternalServerException",
                cause: "Bedrock failed by itself.",
                remedy: "Try again; see the AWS health dashboard.",
            },
            Self::Unavailable => Explanation {
                code: "bedrock_unavailable",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "Bedrock is overloaded or down.",
                remedy: "Try again with growing pauses; see the AWS health dashboard.",
            },
            Self::Unreachable => Explanation {
                code: "bedrock_unreachable",
                status: 503,
                exception: "ServiceUnavailableException",
                cause: "The worker got no answer from Bedrock: network, DNS, TLS or time.",
                remedy: "Check the worker's way to the Bedrock endpoint of the region; then try again.",
            },
            Self::Unexpected => Explanation {
                code: "bedrock_unexpected_answer",
                status: 502,
                exception: "InternalServerException",
                cause: "What answered at the Bedrock endpoint does not answer like Bedrock.",
                remedy: "Check base_url of the provider settings and any proxy on the way.",
            },
        }
    }
}

fn names_clock(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_bedrock_has_its_own_fault() {
        let user =
            "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: bedrock:InvokeModel on resource: x";
        for (status, code, message, fault) in [
            (403, "AccessDeniedException", user, BedrockFault::AccessDenied),
            (
                403,
                "AccessDeniedException",
                "… with an explicit deny in a service control policy",
                BedrockFault::ExplicitDeny,
            ),
            (
                403,
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
                BedrockFault::ModelAccess,
            ),
            (404, "FTUFormNotFilled", "", BedrockFault::ModelAccess),
            (
                403,
                "ExpiredTokenException",
                "The security token included in the request is expired",
                BedrockFault::CredentialsExpired,
            ),
            (403, "UnrecognizedClientException", "", BedrockFault::CredentialsRejected),
            (
                403,
                "InvalidSignatureException",
                "The request signature we calculated does not match",
                BedrockFault::CredentialsRejected,
            ),
            (
                403,
                "InvalidSignatureException",
                "Signature expired: 20260101T000000Z is now earlier",
                BedrockFault::ClockSkew,
            ),
            (429, "ThrottlingException", "", BedrockFault::Throttled),
            (429, "ModelNotReadyException", "", BedrockFault::ModelNotReady),
            (408, "ModelTimeoutException", "", BedrockFault::ModelTimeout),
            (424, "ModelErrorException", "", BedrockFault::ModelFailed),
            (400, "ValidationException", "", BedrockFault::Validation),
            (400, "ServiceQuotaExceededException", "", BedrockFault::QuotaExceeded),
            (404, "ResourceNotFoundException", "", BedrockFault::NotFound),
            (500, "InternalServerException", "", BedrockFault::Internal),
            (503, "ServiceUnavailableException", "", BedrockFault::Unavailable),
            (302, "", "", BedrockFault::Unexpected),
            (502, "", "", BedrockFault::Internal),
        ] {
            assert_eq!(BedrockFault::of(status, Some(code), message), fault, "{status} {code} {message}");
        }
    }

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> =
            BedrockFault::ALL.iter().map(|fault| fault.explanation().code).collect();
        assert_eq!(codes.len(), BedrockFault::ALL.len());
    }
}
