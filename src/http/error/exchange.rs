//! Refusals of the exchange. The worker's own credential is good here, so none of them is a 401.

use super::{Code, ProblemAnswer};
use crate::issuer::refusals::ExchangeError;

impl From<ExchangeError> for ProblemAnswer {
    fn from(error: ExchangeError) -> Self {
        let words = error.to_string();
        match error {
            ExchangeError::Token(_)
            | ExchangeError::NotMinted
            | ExchangeError::Credential(_)
            | ExchangeError::UnknownBearer
            | ExchangeError::RunAudience => Self::new(Code::InvalidToken, words),
            ExchangeError::TeamNotServed => Self::new(Code::TeamNotServed, words),
            ExchangeError::NotMember | ExchangeError::Dead(_) => Self::new(Code::CallerNotAlive, words),
            ExchangeError::SignInNotAccepted(_) => Self::new(Code::SignInNotAccepted, words),
            ExchangeError::WorkerDead(reason) => reason.into(),
            ExchangeError::Refused(refusal) => refusal.into(),
            ExchangeError::Limited(limited) => limited.into(),
            ExchangeError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
