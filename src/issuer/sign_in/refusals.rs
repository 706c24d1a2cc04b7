//! Why a page refuses: closed lists, as data. What they look like is `http::pages`' to say; what the token endpoint
//! refuses is in `issuer::oauth::refusals`.

use crate::domain::device_grant::UndecidableGrant;
use crate::domain::user_code::UserCodeError;
use crate::issuer::refusals::Unavailable;
use crate::limit::rate::Limited;
use crate::store::{DecideError, StoreError};

/// Why a user code or a decision leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum DeviceRefused {
    /// It is no user code.
    #[error("the code {0}")]
    Form(#[from] UserCodeError),
    /// No device waits under it: it was mistyped, used or is over.
    #[error("no device waits for this code: look again at what the device shows, or start again there")]
    Unknown,
    /// The device was decided on, or has waited too long.
    #[error(transparent)]
    Undecidable(#[from] UndecidableGrant),
    /// The browser that decides is on no way any more.
    #[error("this sign-in is over")]
    Over,
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<StoreError> for DeviceRefused {
    fn from(error: StoreError) -> Self {
        Unavailable::from(error).into()
    }
}

impl From<DecideError> for DeviceRefused {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::NotFound => Self::Unknown,
            DecideError::Undecidable(why) => why.into(),
            DecideError::Over => Self::Over,
            DecideError::Store(error) => error.into(),
        }
    }
}

/// Why a person who has signed in gets no code for their terminal.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefused {
    /// The device's name is too long or has control characters.
    #[error("device must have at most 200 characters, none of them a control character")]
    Device,
    /// Another client than the one there is.
    #[error("client_id must be brevet-cli")]
    Client,
    /// Their browser is on no way any more.
    #[error("this sign-in is over")]
    Over,
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
