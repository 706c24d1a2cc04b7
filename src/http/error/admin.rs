//! What the admin API refuses.

use super::{Code, ProblemAnswer};
use crate::issuer::admin::AdminError;

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
