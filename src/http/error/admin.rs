//! What the admin API refuses.

use super::{Code, ProblemAnswer};
use crate::domain::authority::Withheld;
use crate::issuer::admin::{AdminError, CapabilityError};

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
            AdminError::Denied(denied) => denied.into(),
            error @ AdminError::NewKey(_) => Self::internal(error),
            AdminError::Cursor => Self::field("after", "must be the next of an earlier page"),
        }
    }
}

impl From<CapabilityError> for ProblemAnswer {
    fn from(error: CapabilityError) -> Self {
        let detail = error.to_string();
        match error {
            CapabilityError::Withheld(Withheld::Denied(denied)) => denied.into(),
            CapabilityError::Withheld(Withheld::Hidden) => Self::new(Code::NotFound, detail),
            CapabilityError::Withheld(Withheld::TeamDisabled) => Self::new(Code::TeamDisabled, detail),
            CapabilityError::Withheld(Withheld::SignInNotAccepted) => Self::new(Code::SignInNotAccepted, detail),
            CapabilityError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}
