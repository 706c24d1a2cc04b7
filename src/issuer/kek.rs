//! The key-encryption key: where it comes from, and what happens where there is none.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::publish::replace_private;
use crate::crypto::seal::{Kek, SealError};
use crate::domain::entropy::Entropy;
use crate::domain::secret::Secret;

/// The file of the key-encryption key, under the data folder.
pub const KEK_FILE: &str = "keys/kek";

/// Where the database is, which decides whether a key may be made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KekHome {
    /// SQLite: one process, one data folder; the first start makes the key beside the database.
    Beside,
    /// PostgreSQL: any number of replicas must share the key, so that none may make its own.
    Shared,
}

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// Nobody gave one, and none may be made here.
    #[error(
        "no key-encryption key: give BREVET_KEK or BREVET_KEK_FILE, or make one with `brevet keys init-kek` and give every replica the same"
    )]
    Missing,
    /// There are sealed keys, but what sealed them is gone.
    #[error(
        "{0} is missing, but the store has keys sealed with it: put it back, or give it in BREVET_KEK or BREVET_KEK_FILE"
    )]
    Gone(PathBuf),
    /// The file may be read by others.
    #[error("{} has mode {mode:04o} and must have 0600: chmod 600 it", path.display())]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be made or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no key-encryption key.
    #[error("{origin}: {source}")]
    Form {
        /// Which file or variable.
        origin: String,
        /// Which rule it breaks.
        source: SealError,
    },
    /// There is one already.
    #[error("{0} exists already; a second key-encryption key would lock out what the first has sealed")]
    Exists(PathBuf),
}

/// The key-encryption key: the one given (`BREVET_KEK`), else the data folder's file, else, at the first start on
/// SQLite, a new one written there. `has_keys` says whether the store has keys sealed already.
pub fn obtain(
    given: Option<&Secret>,
    data_dir: &Path,
    home: KekHome,
    has_keys: bool,
    entropy: &dyn Entropy,
) -> Result<Kek, KekError> {
    if let Some(text) = given {
        return Kek::parse(text).map_err(|source| KekError::Form { origin: "BREVET_KEK".to_owned(), source });
    }
    let path = data_dir.join(KEK_FILE);
    match read(&path)? {
        Some(text) => Kek::parse(&text).map_err(|source| KekError::Form { origin: path.display().to_string(), source }),
        None if home == KekHome::Shared => Err(KekError::Missing),
        None if has_keys => Err(KekError::Gone(path)),
        None => init(data_dir, entropy),
    }
}

/// Makes a key-encryption key and writes it to the data folder, which must have none (`brevet keys init-kek`).
pub fn init(data_dir: &Path, entropy: &dyn Entropy) -> Result<Kek, KekError> {
    let path = data_dir.join(KEK_FILE);
    let error = |source| KekError::File { path: path.clone(), source };
    if path.try_exists().map_err(error)? {
        return Err(KekError::Exists(path));
    }
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(error)?;
    }
    let kek = Kek::generate(entropy).map_err(|source| KekError::Form { origin: path.display().to_string(), source })?;
    replace_private(&path, kek.to_text().expose().as_bytes()).map_err(error)?;
    Ok(kek)
}

fn read(path: &Path) -> Result<Option<Secret>, KekError> {
    let error = |source| KekError::File { path: path.to_owned(), source };
    let metadata = match std::fs::metadata(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(error)?,
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KekError::Mode { path: path.to_owned(), mode });
    }
    std::fs::read_to_string(path).map(|text| Some(Secret::new(text))).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_a_first_start_beside_its_database_makes_a_key_and_it_is_private() {
        let (dir, entropy) = (tempfile::tempdir().unwrap(), SeededEntropy::new(1));
        let path = dir.path().join(KEK_FILE);
        let obtain = |home, has_keys| obtain(None, dir.path(), home, has_keys, &entropy);
        assert!(matches!(obtain(KekHome::Shared, false), Err(KekError::Missing)));
        assert!(matches!(obtain(KekHome::Beside, true), Err(KekError::Gone(_))));
        assert!(!path.exists());
        let made = obtain(KekHome::Beside, false).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(obtain(KekHome::Beside, true).unwrap().id(), made.id());
        assert_eq!(obtain(KekHome::Shared, true).unwrap().id(), made.id());
        assert!(matches!(init(dir.path(), &entropy), Err(KekError::Exists(_))));
    }

    #[test]
    fn a_readable_or_broken_file_and_a_broken_variable_are_named() {
        let (dir, entropy) = (tempfile::tempdir().unwrap(), SeededEntropy::new(1));
        let made = init(dir.path(), &entropy).unwrap();
        let path = dir.path().join(KEK_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let said = |given: Option<&Secret>| {
            obtain(given, dir.path(), KekHome::Beside, true, &entropy)
                .map(|kek| kek.id().to_owned())
                .map_err(|e| e.to_string())
        };
        assert_eq!(said(None), Err(format!("{} has mode 0640 and must have 0600: chmod 600 it", path.display())));
        std::fs::write(&path, "short").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let rule = "key-encryption key must be 32 bytes as 64 hex digits or as base64";
        assert_eq!(said(None), Err(format!("{}: {rule}", path.display())));
        assert_eq!(said(Some(&Secret::new("hunter2".to_owned()))), Err(format!("BREVET_KEK: {rule}")));
        assert_eq!(said(Some(&made.to_text())), Ok(made.id().to_owned()));
    }
}
