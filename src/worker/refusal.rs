//! Why the worker itself says no: the closed list, with code, cause and remedy of each. What AWS says is
//! `aws::sts_fault` and `aws::bedrock_fault`.

use crate::aws::explanation::Explanation;

/// Why a request got no answer from Bedrock, AWS's own refusals apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No credential at all.
    CallerMissing,
    /// Two different ones.
    CallerSeveral,
    /// An authorization scheme that carries no token.
    CallerScheme,
    /// A pre-signed URL.
    QuerySignature,
    /// A signature with AWS keys of the caller's own.
    OwnAwsKeys,
    /// The reserved key pair without its session token.
    SessionTokenMissing,
    /// A key, session or code instead of an identity token.
    NotIdentityToken,
    /// No sound token.
    TokenInvalid,
    /// Signed with a key that the issuer does not publish.
    TokenUnknownKey,
    /// Of another issuer.
    TokenOtherIssuer,
    /// Made for AWS STS.
    TokenForSts,
    /// Made for somebody else.
    TokenOtherAudience,
    /// Past its end.
    TokenExpired,
    /// Before its beginning.
    TokenNotYetValid,
    /// The issuer does not take the token.
    TokenNotAccepted,
    /// The caller, its credential or its team is not alive.
    CallerNotAlive,
    /// The worker key does not serve the caller's team.
    TeamNotServed,
    /// Inference is switched off.
    ProviderDisabled,
    /// Role or region is missing.
    ProviderNotConfigured,
    /// The settings contradict themselves.
    ProviderMisconfigured,
    /// The issuer refuses for a reason without a code of its own here.
    ExchangeRefused,
    /// The issuer does not take the worker's own key.
    WorkerKeyRefused,
    /// The issuer limits the rate.
    IssuerBusy,
    /// The issuer does not answer.
    IssuerUnreachable,
    /// What answers is not a Brevet issuer.
    IssuerUnexpected,
    /// The issuer's keys cannot be read.
    IssuerKeysUnavailable,
    /// The settings name an endpoint that this worker's operator did not list.
    EndpointNotAllowed,
    /// The settings hold a value that this worker does not understand.
    SettingsUnusable,
    /// The settings changed again and again while a session was opened.
    SettingsChanging,
    /// No model id, ARN or name of the settings.
    ModelInvalid,
    /// The model is not on the list.
    ModelNotAllowed,
    /// No such route.
    RouteUnknown,
    /// Another method than POST.
    MethodNotAllowed,
    /// The body is too long.
    BodyTooLarge,
    /// The body ended early.
    BodyIncomplete,
    /// The body took too long.
    BodyTimeout,
    /// Too many requests at once.
    Busy,
    /// Too many bearers that are not known.
    StrangersLimited,
    /// The cache held another principal's credentials.
    AttributionMismatch,
    /// A fault of ours.
    Internal,
}

impl Refusal {
    /// Every reason there is.
    pub const ALL: [Self; 40] = [
        Self::CallerMissing,
        Self::CallerSeveral,
        Self::CallerScheme,
        Self::QuerySignature,
        Self::OwnAwsKeys,
        Self::SessionTokenMissing,
        Self::NotIdentityToken,
        Self::TokenInvalid,
        Self::TokenUnknownKey,
        Self::TokenOtherIssuer,
        Self::TokenForSts,
        Self::TokenOtherAudience,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::TokenNotAccepted,
        Self::CallerNotAlive,
        Self::TeamNotServed,
        Self::ProviderDisabled,
        Self::ProviderNotConfigured,
        Self::ProviderMisconfigured,
        Self::ExchangeRefused,
        Self::WorkerKeyRefused,
        Self::IssuerBusy,
        Self::IssuerUnreachable,
        Self::IssuerUnexpected,
        Self::IssuerKeysUnavailable,
        Self::EndpointNotAllowed,
        Self::SettingsUnusable,
        Self::SettingsChanging,
        Self::ModelInvalid,
        Self::ModelNotAllowed,
        Self::RouteUnknown,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::BodyIncomplete,
        Self::BodyTimeout,
        Self::Busy,
        Self::StrangersLimited,
        Self::AttributionMismatch,
        Self::Internal,
    ];

    /// Whether nobody refused: the issuer was unreachable, busy or broken.
    pub const fn is_outage(self) -> bool {
        matches!(
            self,
            Self::IssuerBusy | Self::IssuerUnreachable | Self::IssuerUnexpected | Self::IssuerKeysUnavailable
        )
    }

    /// Code, status, exception, cause and remedy.
    pub const fn explanation(self) -> Explanation {
        match self {
            Self::CallerMissing
            | Self::CallerSeveral
            | Self::CallerScheme
            | Self::QuerySignature
            | Self::OwnAwsKeys
            | Self::SessionTokenMissing
            | Self::NotIdentityToken => self.of_the_credential(),
            Self::TokenInvalid
            | Self::TokenUnknownKey
            | Self::TokenOtherIssuer
            | Self::TokenForSts
            | Self::TokenOtherAudience
            | Self::TokenExpired
            | Self::TokenNotYetValid
            | Self::TokenNotAccepted => self.of_the_token(),
            Self::CallerNotAlive
            | Self::TeamNotServed
            | Self::ProviderDisabled
            | Self::ProviderNotConfigured
            | Self::ProviderMisconfigured
            | Self::ExchangeRefused
            | Self::WorkerKeyRefused
            | Self::IssuerBusy
            | Self::IssuerUnreachable
            | Self::IssuerUnexpected
            | Self::IssuerKeysUnavailable => self.of_the_issuer(),
            _ => self.of_the_request(),
        }
    }

    const fn of_the_credential(self) -> Explanation {
        match self {
            Self::CallerMissing => unauthorized(
                "caller_missing",
                "The request carries no credential.",
                "Send the identity token as Authorization: Bearer, as x-api-key, or as the session token of the key pair BREVETTOKEN00000000.",
            ),
            Self::CallerSeveral => unauthorized(
                "caller_several_credentials",
                "The request carries two different credentials.",
                "Send one: SDKs add a configured API key or bearer token beside their own signature.",
            ),
            Self::CallerScheme => unauthorized(
                "caller_scheme_unknown",
                "The Authorization header is neither Bearer nor a version 4 signature.",
                "Send the identity token as Authorization: Bearer.",
            ),
            Self::QuerySignature => unauthorized(
                "caller_query_signature",
                "The request is signed in its URL, which would leave the token in logs.",
                "Sign in headers, or send the identity token as Authorization: Bearer.",
            ),
            Self::OwnAwsKeys => unauthorized(
                "caller_own_aws_keys",
                "The request is signed with AWS keys of the caller's own, which the worker neither needs nor takes.",
                "Point the client at brevet's credentials (credential_process, access key id BREVETTOKEN00000000), and revoke the keys if they should not have left the machine.",
            ),
            Self::SessionTokenMissing => unauthorized(
                "caller_session_token_missing",
                "The request is signed with BREVETTOKEN00000000 but carries no X-Amz-Security-Token.",
                "Set the session token of that key pair to the identity token.",
            ),
            _ => unauthorized(
                "caller_not_identity_token",
                "A Brevet key, session or code was sent where the identity token or the bearer of a run belongs.",
                "Mint a token for the worker's audience (brevet token --audience …) and send that; revoke the credential if it should not have left the machine.",
            ),
        }
    }

    const fn of_the_token(self) -> Explanation {
        match self {
            Self::TokenInvalid => unauthorized(
                "token_invalid",
                "The token is not a sound identity token of this issuer.",
                "Mint a new one and send it unchanged.",
            ),
            Self::TokenUnknownKey => unauthorized(
                "token_unknown_key",
                "The token is signed with a key that the issuer does not publish (any more).",
                "Mint a new one; if it stays, compare BREVET_ISSUER of the worker with the token's iss.",
            ),
            Self::TokenOtherIssuer => unauthorized(
                "token_other_issuer",
                "The token is of another issuer than this worker's.",
                "Mint it at the worker's issuer; the two URLs must be equal byte for byte.",
            ),
            Self::TokenForSts => unauthorized(
                "token_for_sts",
                "The token was minted for AWS STS, not for this worker.",
                "Mint one with the worker's audience: a token for STS must never be shown to anyone but STS.",
            ),
            Self::TokenOtherAudience => unauthorized(
                "token_other_audience",
                "The token was minted for another relying party.",
                "Mint one with the worker's audience.",
            ),
            Self::TokenExpired => Explanation {
                code: "token_expired",
                status: 401,
                exception: "ExpiredTokenException",
                cause: "The token is past its end.",
                remedy: "Mint a new one; credential_process does so by itself.",
            },
            Self::TokenNotYetValid => unauthorized(
                "token_not_yet_valid",
                "The token is not valid yet.",
                "Set the clocks of issuer and worker (NTP).",
            ),
            _ => unauthorized(
                "token_not_accepted",
                "The issuer does not exchange this token: it was not minted under a principal's own credential for this worker.",
                "Mint a new one with the worker's audience; the message names the issuer's reason.",
            ),
        }
    }

    const fn of_the_issuer(self) -> Explanation {
        match self {
            Self::CallerNotAlive => denied(
                "caller_not_alive",
                "Principal, credential, session, membership or team was disabled, revoked or deleted, or has ended.",
                "Sign in again, or ask the administrator of the team; the message names the reason.",
            ),
            Self::TeamNotServed => denied(
                "team_not_served",
                "The worker's key does not serve the caller's team.",
                "Use the team's own worker, or have the operator add the team to the worker key.",
            ),
            Self::ProviderDisabled => denied(
                "provider_disabled",
                "Inference is switched off for this principal or its team.",
                "Have it switched on in the provider settings.",
            ),
            Self::ProviderNotConfigured => denied(
                "provider_not_configured",
                "The team's provider settings name no role or no region.",
                "Set role_arn and region in the provider settings.",
            ),
            Self::ProviderMisconfigured => denied(
                "provider_misconfigured",
                "Role and region of the provider settings lie in different AWS partitions.",
                "Set a region of the role's partition.",
            ),
            Self::ExchangeRefused => denied(
                "exchange_refused",
                "The issuer refused the exchange.",
                "Read the message: it holds the issuer's own code, which its error catalogue explains.",
            ),
            Self::WorkerKeyRefused => Explanation {
                code: "worker_key_refused",
                status: 502,
                exception: "InternalServerException",
                cause: "The issuer does not take this worker's own key: unknown, expired or revoked.",
                remedy: "Have the operator give the worker a live worker key.",
            },
            Self::IssuerBusy => Explanation {
                code: "issuer_busy",
                status: 429,
                exception: "ThrottlingException",
                cause: "The issuer limits the rate of exchanges of this principal, team or worker.",
                remedy: "Try again in a few seconds.",
            },
            Self::IssuerUnreachable => unavailable(
                "issuer_unreachable",
                "The issuer does not answer, and the last check of the caller is too long ago.",
                "Try again in a few seconds; have the operator check issuer and network.",
            ),
            Self::IssuerUnexpected => unavailable(
                "issuer_unexpected_answer",
                "What answers at the issuer's URL does not answer like a Brevet issuer of this version.",
                "Have the operator check BREVET_ISSUER and any proxy on the way.",
            ),
            _ => unavailable(
                "issuer_keys_unavailable",
                "The worker cannot read the issuer's published keys and has none from before.",
                "Try again in a few seconds; have the operator check issuer and network.",
            ),
        }
    }

    const fn of_the_request(self) -> Explanation {
        match self {
            Self::EndpointNotAllowed => denied(
                "endpoint_not_allowed",
                "The provider settings name an endpoint that is neither AWS's nor on this worker's list.",
                "Have the operator list it in BREVET_ALLOWED_ENDPOINTS of the worker, or take it out of the settings.",
            ),
            Self::SettingsUnusable => denied(
                "settings_unusable",
                "The provider settings hold a value that this worker does not understand.",
                "Correct the member that the message names, or update the worker.",
            ),
            Self::SettingsChanging => unavailable(
                "settings_changing",
                "The provider settings changed while a session was being opened, more than once.",
                "Try again.",
            ),
            Self::ModelInvalid => Explanation {
                code: "model_invalid",
                status: 400,
                exception: "ValidationException",
                cause: "The path holds no model id, inference profile id, ARN or name of the provider settings.",
                remedy: "Correct the model id; in a path it is percent-encoded as one segment.",
            },
            Self::ModelNotAllowed => denied(
                "model_not_allowed",
                "The model is not on the list of the team's provider settings.",
                "Use a model of allowed_models, or have this one added.",
            ),
            Self::RouteUnknown => Explanation {
                code: "route_not_found",
                status: 404,
                exception: "UnknownOperationException",
                cause: "There is no such route on this worker.",
                remedy: "Use POST /bedrock/model/{id}/ and invoke, invoke-with-response-stream, converse, converse-stream or count-tokens; or the same under /model.",
            },
            Self::MethodNotAllowed => Explanation {
                code: "method_not_allowed",
                status: 405,
                exception: "UnknownOperationException",
                cause: "The route takes POST only.",
                remedy: "Use POST.",
            },
            Self::BodyTooLarge => Explanation {
                code: "body_too_large",
                status: 413,
                exception: "ValidationException",
                cause: "The body is longer than the 25 000 000 bytes that Bedrock takes.",
                remedy: "Send less, images and documents first of all.",
            },
            Self::BodyIncomplete => Explanation {
                code: "body_incomplete",
                status: 400,
                exception: "ValidationException",
                cause: "The body ended before it was whole.",
                remedy: "Send it again.",
            },
            Self::BodyTimeout => Explanation {
                code: "body_timeout",
                status: 408,
                exception: "ValidationException",
                cause: "The body did not arrive within a minute.",
                remedy: "Send it again on a faster connection.",
            },
            Self::Busy => unavailable(
                "worker_busy",
                "The worker has as many requests in flight as it takes.",
                "Try again in a second; have the operator add workers.",
            ),
            Self::StrangersLimited => Explanation {
                code: "bearers_rate_limited",
                status: 429,
                exception: "ThrottlingException",
                cause: "Too many bearers of runs that the worker does not know yet were shown to it, by this client or others.",
                remedy: "Try again in a few seconds; identity tokens and bearers that the worker knows are not held up.",
            },
            Self::AttributionMismatch => Explanation {
                code: "attribution_mismatch",
                status: 500,
                exception: "InternalServerException",
                cause: "The session found for the caller belongs to another principal. Nothing was signed.",
                remedy: "Report this as a defect of Brevet, with the request id.",
            },
            _ => Explanation {
                code: "worker_internal",
                status: 500,
                exception: "InternalServerException",
                cause: "A fault of the worker's own.",
                remedy: "Report it with the request id.",
            },
        }
    }
}

const fn unauthorized(code: &'static str, cause: &'static str, remedy: &'static str) -> Explanation {
    Explanation { code, status: 401, exception: "UnrecognizedClientException", cause, remedy }
}

const fn denied(code: &'static str, cause: &'static str, remedy: &'static str) -> Explanation {
    Explanation { code, status: 403, exception: "AccessDeniedException", cause, remedy }
}

const fn unavailable(code: &'static str, cause: &'static str, remedy: &'static str) -> Explanation {
    Explanation { code, status: 503, exception: "ServiceUnavailableException", cause, remedy }
}
