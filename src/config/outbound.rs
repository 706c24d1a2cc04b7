//! Outbound requests: extra certificates, a proxy, and whether loopback may be reached.

use std::fs;

use super::development::development;
use super::env;
use super::setting::{Given, SettingError};
use crate::domain::issuer_url::Development;
use crate::domain::secret::Secret;

/// How outbound connections are made.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// PEM certificates trusted beside the system's.
    pub extra_ca: Option<Vec<u8>>,
    /// A forward proxy; its URL may hold a password.
    pub proxy: Option<Secret>,
    /// Whether loopback addresses may be reached, over plain http too.
    pub loopback: bool,
}

impl Outbound {
    /// Reads them. Loopback is reached in development only.
    pub fn read(given: &Given) -> Result<Self, SettingError> {
        let extra_ca = given.parse(&env::CA_FILE, |path| {
            fs::read(path).map_err(|error| format!("names {path}, which cannot be read: {}", error.kind()))
        })?;
        let proxy = given.parse(&env::HTTPS_PROXY, |text| {
            if text.starts_with("http://") {
                Ok(Secret::new(text.to_owned()))
            } else {
                Err("must be a URL such as http://proxy.example:3128")
            }
        })?;
        Ok(Self { extra_ca, proxy, loopback: development(given)? == Development::On })
    }
}
