//! What an AWS call came to when it failed: the fault by name, and AWS's own words about it.

use super::bedrock_fault::BedrockFault;
use super::explanation::Explanation;
use super::sts_fault::StsFault;

/// Most characters kept of a message of AWS.
const MESSAGE_MAX: usize = 600;

/// A failed call to STS or Bedrock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// STS gave no credentials.
    #[error("STS: {}: {message}", fault.explanation().code)]
    Sts {
        /// Why.
        fault: StsFault,
        /// AWS's words, or ours where it said nothing.
        message: Box<str>,
    },
    /// Bedrock did not take the request.
    #[error("Bedrock: {}: {message}", fault.explanation().code)]
    Bedrock {
        /// Why.
        fault: BedrockFault,
        /// AWS's words, or ours where it said nothing.
        message: Box<str>,
        /// What Bedrock answered, where the caller gets it as it is.
        answered: Option<Box<Answered>>,
    },
}

/// The head of an error answer of Bedrock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The exception's bare name, ASCII letters and digits.
    pub exception: Option<Box<str>>,
    /// AWS's name for the request, for its support.
    pub request_id: Option<Box<str>>,
    /// After how many seconds to try again.
    pub retry_after: Option<u32>,
}

impl AwsError {
    /// A fault of STS. `secret` is what was sent: a message that repeats any long part of it is not kept.
    pub fn sts(fault: StsFault, message: &str, secret: &str) -> Self {
        Self::Sts { fault, message: kept(message, secret) }
    }

    /// A fault of Bedrock, which was sent no bearer it could repeat.
    pub fn bedrock(fault: BedrockFault, message: &str, answered: Option<Answered>) -> Self {
        Self::Bedrock { fault, message: kept(message, ""), answered: answered.map(Box::new) }
    }

    /// Code, status, cause and remedy.
    pub const fn explanation(&self) -> Explanation {
        match self {
            Self::Sts { fault, .. } => fault.explanation(),
            Self::Bedrock { fault, .. } => fault.explanation(),
        }
    }

    /// What Bedrock answered, where the caller gets it as it is.
    pub fn answered(&self) -> Option<&Answered> {
        match self {
            Self::Bedrock { answered, .. } => answered.as_deref(),
            Self::Sts { .. } => None,
        }
    }

    /// AWS's own words.
    pub fn message(&self) -> &str {
        match self {
            Self::Sts { message, .. } | Self::Bedrock { message, .. } => message,
        }
    }

    /// Whether the same call may succeed a moment later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Sts { fault, .. } => fault.is_retryable(),
            Self::Bedrock { fault, .. } => fault.is_retryable(),
        }
    }
}

/// One line of printable text, bounded. A message that holds a part of what was sent, or anything that looks like
/// a signed token, is dropped whole: an endpoint is free to echo.
fn kept(message: &str, secret: &str) -> Box<str> {
    const PART: usize = 16;
    let echoes = secret.as_bytes().windows(PART).any(|part| message.as_bytes().windows(PART).any(|w| w == part));
    if echoes || message.contains("eyJ") {
        return "(a message that repeated the token was not kept)".into();
    }
    let line = |c: char| if c.is_control() { ' ' } else { c };
    message.trim().chars().take(MESSAGE_MAX).map(line).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_31_a_message_that_echoes_the_token_is_not_kept() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLWNhbmFyeS1jYW5hcnk";
        for echo in [token.to_owned(), format!("bad token {}", &token[30..60]), "x eyJhbGciOiJub25lIn0".to_owned()] {
            let error = AwsError::sts(StsFault::TokenInvalid, &echo, token);
            assert!(!error.to_string().contains("signature") && !error.to_string().contains("eyJ"), "{error}");
        }
        let plain = AwsError::sts(StsFault::TokenInvalid, " Missing a\nrequired claim: sub ", token);
        assert_eq!(plain.message(), "Missing a required claim: sub");
        assert_eq!(AwsError::bedrock(BedrockFault::Internal, &"é".repeat(5000), None).message().chars().count(), 600);
    }
}
