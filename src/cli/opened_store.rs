//! Opening the store and the key that sealed its secrets, for `serve` and the commands that work beside it.

use crate::config::database::{Database, KekSource, StoreSettings};
use crate::crypto::seal::Kek;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::issuer_url::Development;
use crate::domain::key_schedule::KeySchedule;
use crate::issuer::bootstrap::Host;
use crate::issuer::kek::{self, KekError, KekGiven, KekHome, obtain};
use crate::store::{self, IssuerRow, Store, StoreError, Target};

use super::outcome::Failure;

/// Opens the store, and migrates it or refuses an old one.
pub(super) async fn opened(settings: &StoreSettings, migrate: bool, clock: &dyn Clock) -> Result<Store, StoreError> {
    let store = connected(settings).await?;
    if migrate {
        let migrated = store.migrate(clock.now()).await?;
        if migrated.from != migrated.to {
            tracing::info!(from = migrated.from, to = migrated.to, "the store was migrated");
        }
    }
    store.check_schema().await?;
    Ok(store)
}

/// Opens the store as it is.
pub(super) async fn connected(settings: &StoreSettings) -> Result<Store, StoreError> {
    Store::connect(&match &settings.database {
        Database::Sqlite(path) => Target::Sqlite { path: path.clone() },
        Database::Postgres(url) => Target::Postgres { url: url.clone() },
        Database::Pooled(url, direct) => Target::Pooled { url: url.clone(), direct: direct.clone() },
    })
    .await
}

/// The store in words, without its password.
pub(super) fn told(settings: &StoreSettings) -> String {
    match &settings.database {
        Database::Sqlite(path) => format!("SQLite, {}", path.display()),
        Database::Postgres(url) => format!("PostgreSQL, {}", store::place(url)),
        Database::Pooled(url, direct) => {
            format!("PostgreSQL, {} behind a pooler at {}", store::place(direct), store::place(url))
        }
    }
}

/// The key-encryption key, which opens everything sealed in `store`. Only SQLite's first start makes one.
pub(super) async fn kek(settings: &StoreSettings, store: &Store, host: &Host) -> Result<Kek, Failure> {
    let has_keys = !store.sealed().await.map_err(store_failure)?.is_empty();
    let kek = given_kek(settings, has_keys, host.entropy.as_ref())?;
    match kek::check(store, &kek, host.clock.now()).await {
        Ok(()) => Ok(kek),
        Err(KekError::Store(error)) => Err(store_failure(error)),
        Err(other) => Err(Failure::Refused(format!(
            "{other} (BREVET_KEK; while it is being replaced also BREVET_PREVIOUS_KEK); if it is \
             lost for ever: `brevet keys reseal --replace-lost`"
        ))),
    }
}

/// The key-encryption key that was given, whatever is in the store.
pub(super) fn given_kek(settings: &StoreSettings, has_keys: bool, entropy: &dyn Entropy) -> Result<Kek, Failure> {
    let given = match &settings.kek {
        KekSource::Text(text) => Some(text),
        KekSource::Folder(_) => None,
    };
    let home = match settings.database {
        Database::Sqlite(_) => KekHome::Beside,
        Database::Postgres(_) | Database::Pooled(..) => KekHome::Shared,
    };
    let given = KekGiven { current: given, previous: settings.previous_kek.as_ref() };
    obtain(given, &settings.data_dir, home, has_keys, entropy).map_err(|error| Failure::Usage(error.to_string()))
}

/// The issuer's key schedule, from its row.
pub(super) fn schedule(row: &IssuerRow, development: Development) -> Result<KeySchedule, Failure> {
    KeySchedule::new(row.schedule, development).map_err(Failure::refused)
}

/// A store that does not answer is unreachable; anything else it says is a refusal.
pub(super) fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::Unreachable(error.to_string()),
        StoreError::Url => Failure::Usage(error.to_string()),
        other => Failure::Refused(other.to_string()),
    }
}
