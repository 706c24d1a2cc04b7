//! Where the store is, and the key that seals what it keeps.

use std::path::PathBuf;

use super::env::{self, Variable};
use super::setting::{Given, SettingError};
use crate::domain::secret::Secret;

/// The database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file in the data folder.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, which may hold a password.
    Postgres(Secret),
    /// The same behind a pooler in transaction mode: the pooler's URL and the server's own.
    Pooled(Secret, Secret),
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
        let url = postgres(given.secret(&env::DATABASE_URL, &env::DATABASE_URL_FILE)?, &env::DATABASE_URL)?;
        let direct = given.secret(&env::DATABASE_DIRECT_URL, &env::DATABASE_DIRECT_URL_FILE)?;
        let database = match (url, postgres(direct, &env::DATABASE_DIRECT_URL)?) {
            (None, None) => Database::Sqlite(data_dir.join("brevet.db")),
            (Some(url), None) => Database::Postgres(url),
            (Some(url), Some(direct)) => Database::Pooled(url, direct),
            (None, Some(_)) => {
                let rule =
                    "is given without DATABASE_URL: it names the server behind the pooler that DATABASE_URL names";
                return Err(SettingError::new(&env::DATABASE_DIRECT_URL, rule));
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

/// A URL of PostgreSQL's, where one is given.
fn postgres(url: Option<Secret>, variable: &'static Variable) -> Result<Option<Secret>, SettingError> {
    match url {
        Some(url) if !["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme)) => {
            let rule = "must begin with postgres:// (SQLite is used where it is absent)";
            Err(SettingError::new(variable, rule))
        }
        other => Ok(other),
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
        let direct = (&env::DATABASE_DIRECT_URL, "postgres://u:canary@i/d");
        let error = read(&[direct]).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_DIRECT_URL is given without DATABASE_URL"), "{error}");
        let pooled = read(&[(&env::DATABASE_URL, "postgres://u:canary@h/d"), direct]).unwrap().database;
        assert!(matches!(pooled, Database::Pooled(..)));
        let debug = format!("{:?}", read(&[(&env::DATABASE_URL, "postgres://u:canary@h/d")]).unwrap());
        assert!(!debug.contains("canary"));
    }
}
