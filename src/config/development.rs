//! `--development`: what is allowed on one's own machine and nowhere else.

use super::env;
use super::setting::{Given, SettingError};
use crate::domain::issuer_url::Development;

/// Whether it is on.
pub fn development(given: &Given) -> Result<Development, SettingError> {
    Ok(if given.is_on(&env::DEVELOPMENT, false)? { Development::On } else { Development::Off })
}
