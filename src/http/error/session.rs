//! Refusals of enrolment codes.

use super::{Code, ProblemAnswer};
use crate::issuer::refusals::OpenSessionError;

impl From<OpenSessionError> for ProblemAnswer {
    fn from(error: OpenSessionError) -> Self {
        let words = error.to_string();
        match error {
            OpenSessionError::Malformed(error) => Self::field("code", error.to_string()),
            OpenSessionError::OtherKind => Self::field("code", "must be an enrolment code (bvt_en_…)"),
            OpenSessionError::Device => {
                Self::field("device", "must have at most 200 characters, none of them a control character")
            }
            OpenSessionError::Refused => Self::new(Code::EnrolmentCodeRefused, words),
            OpenSessionError::Limited(limited) => limited.into(),
            OpenSessionError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
