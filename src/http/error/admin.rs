//! What the admin API refuses.

use super::{Code, ProblemAnswer};
use crate::issuer::admin::{AdminError, KeyRefused};

impl From<AdminError> for ProblemAnswer {
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        match error {
            AdminError::Store(error) => error.into(),
            AdminError::NotFound(_) => Self::new(Code::NotFound, detail),
            AdminError::VersionMismatch { .. } => Self::new(Code::VersionMismatch, detail),
            AdminError::UidTaken => Self::new(Code::UidTaken, detail),
            AdminError::KeyReused => Self::new(Code::IdempotencyKeyReused, detail),
            AdminError::LastAdministrator | AdminError::Conflict(_) => Self::new(Code::Conflict, detail),
            AdminError::Field { field, rule } => Self::field(field, rule),
            error @ AdminError::NewKey(_) => Self::internal(error),
            AdminError::Cursor => Self::field("after", "must be the next of an earlier page"),
        }
    }
}

impl From<KeyRefused> for ProblemAnswer {
    fn from(error: KeyRefused) -> Self {
        let detail = error.to_string();
        match error {
            KeyRefused::Admin(error) => error.into(),
            KeyRefused::Unavailable(error) => error.into(),
            KeyRefused::Key(error) => Self::internal(error),
            KeyRefused::Unknown(_) => Self::new(Code::NotFound, detail),
            KeyRefused::TooYoung { .. } => Self::new(Code::StandbyTooYoung, detail),
            KeyRefused::OutageNotAccepted(_) => Self::new(Code::OutageNotAccepted, detail),
            KeyRefused::Busy
            | KeyRefused::Keys(_)
            | KeyRefused::NoStandby
            | KeyRefused::TooMany
            | KeyRefused::Over { .. } => Self::new(Code::Conflict, detail),
            KeyRefused::Schedule(error) => {
                let field = format!("{}_seconds", error.number);
                let rule = format!("is {} and must be at least {}: {}", error.given, error.needed, error.sum);
                Self::field(field, rule)
            }
        }
    }
}
