//! The system's keyring: the Secret Service of Linux desktops, the Keychain of macOS. Only a build with the feature
//! `keyring` knows it; any other says so.
//!
//! Owns how an entry is read, written and removed. Does not own what stands in it (`saved_session`). Whoever asks waits
//! as long as the keyring does, which may ask its user for a password.

use zeroize::Zeroizing;

/// Why the keyring did not do it.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// This build has none.
    #[error(
        "this brevet was built without the keyring: keep the session in a file (`brevet login` without --keyring), or \
         build brevet with `--features keyring`"
    )]
    NotBuilt,
    /// Nobody answers, or nobody may open it.
    #[error(
        "the keyring of this system cannot be used ({0}): unlock or start it (on Linux a Secret Service such as \
         gnome-keyring, on the D-Bus session bus), or keep the session in a file: `brevet login` without --keyring"
    )]
    Unusable(String),
    /// Not what we wrote.
    #[error("the keyring's entry {0:?} is not a saved session: remove it and sign in again")]
    Content(String),
}

#[cfg(feature = "keyring")]
mod system {
    use keyring::{Entry, Error};
    use zeroize::Zeroizing;

    use super::KeyringError;

    /// What all entries of ours are filed under.
    const SERVICE: &str = "brevet";

    fn entry(name: &str) -> Result<Entry, KeyringError> {
        probe()?;
        Entry::new(SERVICE, name).map_err(|error| unusable(&error))
    }

    /// The error that holds what was read is not told: it may be the secret.
    fn unusable(error: &Error) -> KeyringError {
        KeyringError::Unusable(match error {
            Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => cause.to_string(),
            Error::BadEncoding(_) | Error::BadDataFormat(..) => "it gives what cannot be read".to_owned(),
            other => other.to_string(),
        })
    }

    pub(in crate::client) fn probe() -> Result<(), KeyringError> {
        Entry::store_status().as_ref().map_err(unusable).copied()
    }

    pub(in crate::client) fn read(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        match entry(name)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(unusable(&error)),
        }
    }

    pub(in crate::client) fn write(name: &str, secret: &[u8]) -> Result<(), KeyringError> {
        entry(name)?.set_secret(secret).map_err(|error| unusable(&error))
    }

    pub(in crate::client) fn remove(name: &str) -> Result<(), KeyringError> {
        match entry(name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(unusable(&error)),
        }
    }
}

#[cfg(not(feature = "keyring"))]
mod system {
    use zeroize::Zeroizing;

    use super::KeyringError;

    pub(in crate::client) const fn probe() -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(in crate::client) const fn read(_: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(in crate::client) const fn write(_: &str, _: &[u8]) -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }

    pub(in crate::client) const fn remove(_: &str) -> Result<(), KeyringError> {
        Err(KeyringError::NotBuilt)
    }
}

/// Whether there is one. Whether it opens, only its use tells.
pub fn probe() -> Result<(), KeyringError> {
    system::probe()
}

/// The secret of the entry `name`, where there is one.
pub(super) fn read(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    system::read(name)
}

/// Puts `secret` in the place of what the entry `name` held.
pub(super) fn write(name: &str, secret: &[u8]) -> Result<(), KeyringError> {
    system::write(name, secret)
}

/// Removes the entry `name`, if there is one.
pub(super) fn remove(name: &str) -> Result<(), KeyringError> {
    system::remove(name)
}
