//! Why an operator's word on the keys was not followed.

use time::OffsetDateTime;

use super::AdminError;
use crate::crypto::new_key::NewKeyError;
use crate::domain::key_schedule::{OutOfBounds, ScheduleError};
use crate::domain::rotation::{DistrustRefused, Outage, PrepareRefused, RotateRefused};
use crate::domain::signing_key::{KeySetError, KeyState, Kid};
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
    /// There is no one signing key.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// Too late to call off the hand-over to the standby: some replica may sign with it already.
    #[error("signing moves to the standby at {until}: try again after that")]
    HandingOver {
        /// When it does.
        until: OffsetDateTime,
    },
    /// There is no standby to move to.
    #[error("there is no standby yet; one is made within seconds")]
    NoStandby,
    /// Verifiers may still hold a JWKS without the standby.
    #[error("the standby {kid} may not sign before {until}; distrust the signing key if it must stop now")]
    TooYoung {
        /// The standby.
        kid: Kid,
        /// From when on it may, if it is seen at the public `jwks_uri` until then.
        until: OffsetDateTime,
    },
    /// One key more than an issuer may have.
    #[error("an issuer has at most 5 signing keys: wait until a retired one is gone")]
    TooMany,
    /// The issuer has no such key.
    #[error("no such signing key")]
    Unknown(Kid),
    /// It neither signs nor is published as it is.
    #[error("signing key {kid} is {} already", state.as_str())]
    Over {
        /// Which key.
        kid: Kid,
        /// Gone or revoked.
        state: KeyState,
    },
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

impl From<RotateRefused> for KeyRefused {
    fn from(refused: RotateRefused) -> Self {
        match refused {
            RotateRefused::Keys(error) => Self::Keys(error),
            RotateRefused::NoStandby => Self::NoStandby,
            RotateRefused::TooYoung { kid, until } => Self::TooYoung { kid, until },
        }
    }
}

impl From<PrepareRefused> for KeyRefused {
    fn from(refused: PrepareRefused) -> Self {
        match refused {
            PrepareRefused::Keys(error) => Self::Keys(error),
            PrepareRefused::TooMany => Self::TooMany,
            PrepareRefused::HandingOver { until } => Self::HandingOver { until },
        }
    }
}

impl From<DistrustRefused> for KeyRefused {
    fn from(refused: DistrustRefused) -> Self {
        match refused {
            DistrustRefused::Unknown(kid) => Self::Unknown(kid),
            DistrustRefused::Over { kid, state } => Self::Over { kid, state },
        }
    }
}
