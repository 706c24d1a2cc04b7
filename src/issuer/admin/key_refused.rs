//! Why an operator's word on the keys was not followed.

use super::AdminError;
use crate::crypto::new_key::NewKeyError;
use crate::domain::key_schedule::{OutOfBounds, ScheduleError};
use crate::domain::rotation::{DistrustRefused, Outage, PrepareRefused, RotateRefused};
use crate::issuer::refusals::Unavailable;
use crate::issuer::rotate::RotateError;

/// Why an operator's word on the keys was not followed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    /// What can be wrong with any request.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The keys cannot be read, or this replica's clock is off.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A key was not made.
    #[error(transparent)]
    Key(#[from] NewKeyError),
    /// Others are changing the keys.
    #[error("the signing keys are being changed by others; try again")]
    Busy,
    /// The signing key does not move now.
    #[error(transparent)]
    Rotate(#[from] RotateRefused),
    /// The standby is not replaced now.
    #[error(transparent)]
    Prepare(#[from] PrepareRefused),
    /// The key is not distrusted.
    #[error(transparent)]
    Distrust(#[from] DistrustRefused),
    /// Verifiers would fail, and nobody said that they may.
    #[error(
        "verifiers whose JWKS is from before the new signing key will fail, those that honour max-age until {}, any \
         other until {}: say that this is accepted",
        .0.until, .0.surely_until
    )]
    OutageNotAccepted(Outage),
    /// Numbers that break a rule of the schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Numbers with which the issuer would not keep working.
    #[error(transparent)]
    Bounds(#[from] OutOfBounds),
}

impl From<RotateError> for KeyRefused {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Unavailable(error) => Self::Unavailable(error),
            RotateError::Change(error) => Self::Admin(AdminError::of("issuer")(error)),
            RotateError::Key(error) => Self::Key(error),
            RotateError::Busy => Self::Busy,
        }
    }
}
