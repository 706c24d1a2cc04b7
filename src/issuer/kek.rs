//! The key-encryption key: where it comes from, and what happens where there is none.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;

use super::publish::replace_private;
use crate::crypto::seal::{Kek, SealError};
use crate::domain::entropy::Entropy;
use crate::domain::secret::Secret;
use crate::store::{Store, StoreError};

/// The file of the key-encryption key, under the data folder.
pub const KEK_FILE: &str = "keys/kek";
/// The file of the one before it, there while texts sealed by it may be left.
pub const PREVIOUS_KEK_FILE: &str = "keys/kek.previous";

/// The key-encryption keys that an operator gave.
#[derive(Debug, Clone, Copy, Default)]
pub struct KekGiven<'a> {
    /// The text of `BREVET_KEK` or of the file that it names.
    pub current: Option<&'a Secret>,
    /// The text of `BREVET_PREVIOUS_KEK` or of the file that it names.
    pub previous: Option<&'a Secret>,
}

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
    #[error("{0} exists already: `brevet keys init-kek --replace` makes another that takes its place")]
    Exists(PathBuf),
    /// There is none to replace.
    #[error("{0} is missing: there is nothing to replace, make a first one without --replace")]
    Nothing(PathBuf),
    /// The last change of key-encryption keys is not over.
    #[error("{0} exists: finish the last change first with `brevet keys reseal`, then move that file to your backups")]
    Unfinished(PathBuf),
    /// Something in the store is sealed with a key that was not given.
    #[error("{what}: {source}")]
    Other {
        /// What is sealed: `signing_key:<kid>`.
        what: String,
        /// With which key, and which were given.
        source: SealError,
    },
    /// The store did not say what is sealed in it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The key-encryption key: the one given (`BREVET_KEK`), else the data folder's file, else, at the first start on
/// SQLite, a new one written there. `has_keys` says whether the store has keys sealed already. With it comes the one
/// that it takes the place of: the one given, else the data folder's where the first is from there too.
pub fn obtain(
    given: KekGiven<'_>,
    data_dir: &Path,
    home: KekHome,
    has_keys: bool,
    entropy: &dyn Entropy,
) -> Result<Kek, KekError> {
    let variable = |text: &Secret, name: &str| parsed(text, || name.to_owned());
    let file = |name: &str| {
        let path = data_dir.join(name);
        read(&path)?.map(|text| parsed(&text, || path.display().to_string())).transpose()
    };
    let (current, beside) = match given.current {
        Some(text) => (Some(variable(text, "BREVET_KEK")?), None),
        None => (file(KEK_FILE)?, file(PREVIOUS_KEK_FILE)?),
    };
    let previous = match given.previous {
        Some(text) => Some(variable(text, "BREVET_PREVIOUS_KEK")?),
        None => beside,
    };
    let current = match current {
        Some(kek) => kek,
        None if home == KekHome::Shared => return Err(KekError::Missing),
        None if has_keys => return Err(KekError::Gone(data_dir.join(KEK_FILE))),
        None => init(data_dir, entropy)?,
    };
    Ok(match previous {
        Some(previous) => current.with_previous(previous),
        None => current,
    })
}

fn parsed(text: &Secret, origin: impl Fn() -> String) -> Result<Kek, KekError> {
    Kek::parse(text).map_err(|source| KekError::Form { origin: origin(), source })
}

/// Whether everything sealed in the store that may have to be opened can be with `kek`, by the names of the keys: a
/// standby that will not open is noticed at the start, not at the hand-over.
pub async fn check(store: &Store, kek: &Kek, now: OffsetDateTime) -> Result<(), KekError> {
    for sealed in store.sealed().await?.into_iter().filter(|sealed| sealed.is_needed(now)) {
        kek.knows(&sealed.text).map_err(|source| KekError::Other { what: sealed.place.to_string(), source })?;
    }
    Ok(())
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
    write_new(&path, entropy)
}

/// Makes a key-encryption key that takes the place of the data folder's, which stays beside it as the previous one
/// (`brevet keys init-kek --replace`). Cut off at any point it can be run again: the old key has a second name before
/// its first one is given away.
pub fn replace(data_dir: &Path, entropy: &dyn Entropy) -> Result<Kek, KekError> {
    let (path, beside) = (data_dir.join(KEK_FILE), data_dir.join(PREVIOUS_KEK_FILE));
    let Some(current) = read(&path)? else { return Err(KekError::Nothing(path)) };
    let current = parsed(&current, || path.display().to_string())?;
    let error = |source| KekError::File { path: beside.clone(), source };
    match std::fs::hard_link(&path, &beside) {
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            let previous = read(&beside)?.map(|text| parsed(&text, || beside.display().to_string())).transpose()?;
            if previous.is_none_or(|previous| previous.id() != current.id()) {
                return Err(KekError::Unfinished(beside));
            }
        }
        linked => linked.map_err(error)?,
    }
    Ok(write_new(&path, entropy)?.with_previous(current))
}

fn write_new(path: &Path, entropy: &dyn Entropy) -> Result<Kek, KekError> {
    let kek = Kek::generate(entropy).map_err(|source| KekError::Form { origin: path.display().to_string(), source })?;
    let written = replace_private(path, kek.to_text().expose().as_bytes());
    written.map_err(|source| KekError::File { path: path.to_owned(), source })?;
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
        let obtain = |home, has_keys| obtain(KekGiven::default(), dir.path(), home, has_keys, &entropy);
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
            obtain(KekGiven { current: given, previous: None }, dir.path(), KekHome::Beside, true, &entropy)
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

    #[test]
    fn a_replaced_key_stays_beside_its_successor_and_a_second_change_waits_for_the_first() {
        let (dir, entropy) = (tempfile::tempdir().unwrap(), SeededEntropy::new(1));
        let (path, beside) = (dir.path().join(KEK_FILE), dir.path().join(PREVIOUS_KEK_FILE));
        assert!(matches!(replace(dir.path(), &entropy), Err(KekError::Nothing(_))));
        let first = init(dir.path(), &entropy).unwrap();
        // Cut off after the first step: both names are the same key, and the next try goes on.
        std::fs::hard_link(&path, &beside).unwrap();
        let second = replace(dir.path(), &entropy).unwrap();
        assert_eq!((mode(&path), mode(&beside)), (0o600, 0o600));
        assert_eq!(second.previous_id(), Some(first.id()));
        let found = |given| obtain(given, dir.path(), KekHome::Beside, true, &entropy).unwrap();
        let folder = found(KekGiven::default());
        assert_eq!((folder.id(), folder.previous_id()), (second.id(), Some(first.id())));
        assert!(matches!(replace(dir.path(), &entropy), Err(KekError::Unfinished(_))));
        assert_eq!(found(KekGiven::default()).id(), second.id(), "a refused change changes nothing");
        std::fs::remove_file(&beside).unwrap();
        assert_eq!(found(KekGiven::default()).previous_id(), None);
        // Variables stand for themselves: the folder's previous key belongs to the folder's key.
        let third = Kek::generate(&entropy).unwrap().to_text();
        std::fs::hard_link(&path, &beside).unwrap();
        assert_eq!(found(KekGiven { current: Some(&third), previous: None }).previous_id(), None);
        let first_text = first.to_text();
        let given = KekGiven { current: Some(&third), previous: Some(&first_text) };
        assert_eq!(found(given).previous_id(), Some(first.id()));
    }
}
