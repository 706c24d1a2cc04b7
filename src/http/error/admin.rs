//! What the admin API refuses.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Code, ProblemAnswer};
use crate::domain::authority::Withheld;
use crate::domain::key_schedule::OutOfBounds;
use crate::domain::rotation::{DistrustRefused, PrepareRefused, RotateRefused};
use crate::issuer::admin::{AdminError, CapabilityError, KeyRefused};

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
            error @ (AdminError::NewKey(_) | AdminError::Seal(_)) => Self::internal(error),
            AdminError::AskerEnded => {
                Self::new(Code::InvalidCredential, detail).challenge(super::authenticate::INVALID)
            }
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

impl From<KeyRefused> for ProblemAnswer {
    fn from(error: KeyRefused) -> Self {
        let detail = error.to_string();
        match error {
            KeyRefused::Admin(error) => error.into(),
            KeyRefused::Unavailable(error) => error.into(),
            KeyRefused::Key(error) => Self::internal(error),
            KeyRefused::Distrust(DistrustRefused::Unknown(_)) => Self::new(Code::NotFound, detail),
            KeyRefused::Rotate(RotateRefused::TooYoung { kid, until }) => Self::new(
                Code::StandbyTooYoung,
                format!(
                    "the standby {kid} may not sign before {}; distrust the signing key if it must stop now",
                    written(until)
                ),
            ),
            KeyRefused::OutageNotAccepted(outage) => Self::new(
                Code::OutageNotAccepted,
                format!(
                    "verifiers whose JWKS is from before the new signing key will fail, those that honour max-age \
                     until {}, any other until {}: accept_outage must say that they may",
                    written(outage.until),
                    written(outage.surely_until)
                ),
            ),
            KeyRefused::Prepare(PrepareRefused::HandingOver { until }) => Self::new(
                Code::Conflict,
                format!("signing moves to the standby at {}: try again after that", written(until)),
            ),
            KeyRefused::Bounds(OutOfBounds { number, least, most }) => {
                Self::field(format!("{number}_seconds"), format!("must be from {least} to {most}"))
            }
            KeyRefused::Busy
            | KeyRefused::Rotate(RotateRefused::Keys(_) | RotateRefused::NoStandby)
            | KeyRefused::Prepare(PrepareRefused::Keys(_) | PrepareRefused::TooMany)
            | KeyRefused::Distrust(DistrustRefused::Over { .. }) => Self::new(Code::Conflict, detail),
            KeyRefused::Schedule(error) => {
                let field = format!("{}_seconds", error.number);
                let rule = format!("is {} and must be at least {}: {}", error.given, error.needed, error.sum);
                Self::field(field, rule)
            }
        }
    }
}

/// RFC 3339 in whole seconds, rounded up: from that one on.
fn written(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    let up = if whole < at { whole + time::Duration::SECOND } else { whole };
    up.format(&Rfc3339).unwrap_or_default()
}
