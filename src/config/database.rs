//! Where the store is, and the key that seals what it keeps.

use std::path::PathBuf;

use super::env;
use super::setting::{Given, SettingError};
use crate::domain::secret::Secret;

/// The database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file in the data folder.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, which may hold a password.
    Postgres(Secret),
}

/// Where the key-encryption key comes from.
#[derive(Debug, Clone)]
pub enum KekSource {
    /// Its text: from a variable or a mounted file.
    Text(Secret),
    /// A file below the data folder, made at the first start with SQLite.
    Folder(PathBuf),
}

/// The store's settings.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// The key-encryption key.
    pub kek: KekSource,
    /// The one that it takes the place of, where that was given.
    pub previous_kek: Option<Secret>,
}

impl StoreSettings {
    /// Reads them.
    pub fn read(given: &Given) -> Result<Self, SettingError> {
        let data_dir = given.parse(&env::DATA_DIR, folder)?;
        let data_dir = data_dir.unwrap_or_else(|| PathBuf::from("."));
        let database = match given.secret(&env::DATABASE_URL, &env::DATABASE_URL_FILE)? {
            None => Database::Sqlite(data_dir.join("brevet.db")),
            Some(url) if url.expose().starts_with("postgres://") || url.expose().starts_with("postgresql://") => {
                Database::Postgres(url)
            }
            Some(_) => {
                return Err(SettingError::new(
                    &env::DATABASE_URL,
                    "must begin with postgres:// (SQLite is used where it is absent)",
                ));
            }
        };
        let kek = match given.secret(&env::KEK, &env::KEK_FILE)? {
            Some(text) => KekSource::Text(text),
            None => KekSource::Folder(data_dir.join("keys")),
        };
        let previous_kek = given.secret(&env::PREVIOUS_KEK, &env::PREVIOUS_KEK_FILE)?;
        Ok(Self { data_dir, database, kek, previous_kek })
    }
}

/// A folder that is there; a mistyped one must not become an empty installation.
fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err(format!("names {text}, which is no folder: make it first")) }
}

#[cfg(test)]
mod tests {
    use super::super::env::Environment;
    use super::*;

    #[test]
    fn sqlite_lives_in_the_data_folder_and_another_scheme_is_refused_without_showing_it() {
        let read = |values: &[_]| StoreSettings::read(&Given::new(Environment::of(values)));
        let dir = tempfile::tempdir().unwrap();
        let settings = read(&[(&env::DATA_DIR, dir.path().to_str().unwrap())]).unwrap();
        assert!(matches!(settings.database, Database::Sqlite(path) if path == dir.path().join("brevet.db")));
        assert!(matches!(settings.kek, KekSource::Folder(path) if path == dir.path().join("keys")));
        let error = read(&[(&env::DATA_DIR, "/nowhere")]).unwrap_err().to_string();
        assert_eq!(error, "--data-dir (BREVET_DATA_DIR) names /nowhere, which is no folder: make it first");
        let error = read(&[(&env::DATABASE_URL, "mysql://u:canary@h/d")]).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL must begin with postgres://"), "{error}");
        let debug = format!("{:?}", read(&[(&env::DATABASE_URL, "postgres://u:canary@h/d")]).unwrap());
        assert!(!debug.contains("canary"));
    }
}
