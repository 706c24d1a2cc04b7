//! What a request came to when it failed: ours or AWS's fault, and what was presented.

use time::Duration;

use super::refusal::Refusal;
use crate::aws::bedrock_fault::BedrockFault;
use crate::aws::error::AwsError;
use crate::aws::explanation::Explanation;
use crate::aws::flight_cache::{CacheError, Failure};
use crate::aws::sts_fault::StsFault;

/// Why a request got no answer from Bedrock.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// The worker or the issuer said no.
    #[error("{}: {detail}", why.explanation().code)]
    Refused {
        /// Why.
        why: Refusal,
        /// What was wrong with this request; never a part of a credential.
        detail: Box<str>,
    },
    /// STS said no.
    #[error("{error}")]
    Sts {
        /// What it said.
        error: AwsError,
        /// What it was shown, to compare with the role's trust policy.
        presented: Box<Presented>,
    },
    /// Bedrock said no.
    #[error("{0}")]
    Bedrock(AwsError),
}

/// The parts of an identity token and its call that a trust policy is about. None is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: String,
    /// The role that was to be assumed.
    pub role_arn: String,
    /// The `RoleSessionName`.
    pub session_name: String,
    /// The STS that was called.
    pub sts_endpoint: String,
}

impl WorkerError {
    /// A refusal of ours.
    pub fn refused(why: Refusal, detail: impl Into<String>) -> Self {
        Self::Refused { why, detail: detail.into().into() }
    }

    /// Code, status, cause and remedy.
    pub const fn explanation(&self) -> Explanation {
        match self {
            Self::Refused { why, .. } => why.explanation(),
            Self::Sts { error, .. } | Self::Bedrock(error) => error.explanation(),
        }
    }

    /// Whether a refusal is about one token and the credential behind it, and says nothing of others of the same
    /// principal.
    pub const fn is_of_the_token(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                why: Refusal::TokenExpired
                    | Refusal::TokenNotAccepted
                    | Refusal::CallerNotAlive
                    | Refusal::ExchangeRefused,
                ..
            }
        )
    }

    /// What was wrong with this request.
    pub fn detail(&self) -> &str {
        match self {
            Self::Refused { detail, .. } => detail,
            Self::Sts { error, .. } | Self::Bedrock(error) => error.message(),
        }
    }
}

/// Every answer that the worker documents.
pub fn catalogue() -> impl Iterator<Item = Explanation> {
    let ours = Refusal::ALL.into_iter().map(Refusal::explanation);
    let sts = StsFault::ALL.into_iter().map(StsFault::explanation);
    ours.chain(sts).chain(BedrockFault::ALL.into_iter().map(BedrockFault::explanation))
}

impl Failure for WorkerError {
    fn is_outage(&self) -> bool {
        match self {
            Self::Refused { why, .. } => why.is_outage(),
            Self::Sts { error: AwsError::Sts { fault, .. }, .. } => fault.is_outage(),
            Self::Sts { .. } | Self::Bedrock(_) => false,
        }
    }

    /// Long where only a change of settings or account helps; short where a repaired trust policy should work at
    /// once, or the other side may be back.
    fn remember_for(&self) -> Duration {
        Duration::seconds(match self {
            Self::Refused { why: Refusal::SettingsChanging, .. } => 0,
            Self::Refused { .. } if self.is_outage() => 2,
            Self::Refused { .. } => 5,
            Self::Sts { error: AwsError::Sts { fault, .. }, .. } => match fault {
                StsFault::Throttled => 5,
                fault if fault.is_outage() => 2,
                StsFault::AccessDenied
                | StsFault::TagSessionDenied
                | StsFault::KeyFetchFailed
                | StsFault::TokenExpired
                | StsFault::TokenInvalid => 3,
                _ => 10,
            },
            Self::Sts { .. } | Self::Bedrock(_) => 2,
        })
    }
}

impl From<CacheError<Self>> for WorkerError {
    fn from(error: CacheError<Self>) -> Self {
        match error {
            CacheError::Load(error) => error,
            CacheError::Abandoned => Self::refused(Refusal::Internal, "a load was abandoned"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_answer_has_a_code_of_its_own_and_says_cause_and_remedy() {
        let all: Vec<_> = catalogue().collect();
        let codes: BTreeSet<_> = all.iter().map(|answer| answer.code).collect();
        assert_eq!(codes.len(), all.len());
        for answer in all {
            assert!((400..=599).contains(&answer.status), "{}", answer.code);
            assert!(answer.cause.ends_with('.') && answer.remedy.ends_with('.'), "{}", answer.code);
            assert!(!matches!(answer.code, "access_denied" | "AccessDenied"));
        }
    }

    #[test]
    fn threat_28_failures_are_remembered_for_two_to_ten_seconds() {
        for why in Refusal::ALL.into_iter().filter(|why| *why != Refusal::SettingsChanging) {
            let seconds = WorkerError::refused(why, "").remember_for().whole_seconds();
            assert!((2..=10).contains(&seconds), "{why:?}");
        }
        for fault in StsFault::ALL {
            let presented = Presented {
                issuer: String::new(),
                subject: String::new(),
                audience: String::new(),
                role_arn: String::new(),
                session_name: String::new(),
                sts_endpoint: String::new(),
            };
            let error = WorkerError::Sts { error: AwsError::sts(fault, "", ""), presented: Box::new(presented) };
            assert!((2..=10).contains(&error.remember_for().whole_seconds()), "{fault:?}");
            assert_eq!(error.is_outage(), fault.is_outage());
        }
    }
}
