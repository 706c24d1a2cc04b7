//! What cannot be answered now, and what never will be: a caller is told which, and the log why.

use super::{Code, ProblemAnswer};
use crate::issuer::refusals::Unavailable;
use crate::store::StoreError;

impl From<Unavailable> for ProblemAnswer {
    fn from(error: Unavailable) -> Self {
        let words = match &error {
            Unavailable::Busy(_) | Unavailable::Queue(_) => "too many requests are in flight; try again",
            Unavailable::Starting => "the issuer is starting; try again",
            Unavailable::Changing => "credential, team or signing key are being changed; try again",
            Unavailable::Store(store) if store.is_retryable() => "the database does not answer; try again",
            Unavailable::Unwritten(_) => "the audit row could not be written; try again",
            Unavailable::StaleKeys(_) => "the database does not answer; try again",
            Unavailable::Clock(_) => "this replica's clock is off, so that it mints nothing; try again",
            Unavailable::NoKey(_) => "no signing key is active",
            Unavailable::Store(_) | Unavailable::Sealed(_) | Unavailable::Signer(_) | Unavailable::PublicHalf(_) => {
                return Self::internal(error);
            }
        };
        let answer = Self::new(Code::Unavailable, words).retry_after(1);
        // No fault, and a flood of them must not become one of log lines: the metrics count them.
        if matches!(error, Unavailable::Busy(_)) { answer } else { answer.because(error) }
    }
}

impl From<StoreError> for ProblemAnswer {
    fn from(error: StoreError) -> Self {
        Unavailable::from(error).into()
    }
}
