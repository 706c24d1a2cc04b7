//! Migrations: numbered files, applied once each, under a lock.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use time::OffsetDateTime;

use super::Store;
use super::db::{MIGRATION_LOCK, Tx};
use super::error::StoreError;

/// One step; the two texts are the same file where the databases need no difference.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const fn both(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, sqlite: sql, postgres: sql }
}

/// Every migration, in order. A published one never changes: its checksum is in every store.
const MIGRATIONS: [Migration; 7] = [
    both(1, "house", include_str!("../../migrations/0001_house.sql")),
    Migration {
        version: 2,
        name: "audit",
        sqlite: include_str!("../../migrations/0002_audit.sqlite.sql"),
        postgres: include_str!("../../migrations/0002_audit.postgres.sql"),
    },
    both(3, "rotation", include_str!("../../migrations/0003_rotation.sql")),
    both(4, "issuers_of_teams", include_str!("../../migrations/0004_issuers_of_teams.sql")),
    both(5, "access", include_str!("../../migrations/0005_access.sql")),
    both(9, "roles", include_str!("../../migrations/0009_roles.sql")),
    both(10, "sign_in", include_str!("../../migrations/0010_sign_in.sql")),
];

/// The schema this program reads and writes.
const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].version;

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 for an empty database.
    pub from: i64,
    /// The version after.
    pub to: i64,
}

impl Store {
    /// Brings the schema up to date and makes the audit partitions ahead. Any number of processes may do it at
    /// once; a store newer than this program, or made by a differing migration, is refused.
    pub async fn migrate(&self, now: OffsetDateTime) -> Result<Migrated, StoreError> {
        let from = self.schema_version().await?;
        for migration in &MIGRATIONS {
            self.apply(migration, now).await?;
        }
        self.make_audit_partitions(now).await?;
        Ok(Migrated { from, to: self.schema_version().await? })
    }

    /// The schema version that this program knows.
    pub const fn known_schema_version() -> i64 {
        KNOWN
    }

    /// The version of the store's schema; 0 for an empty database.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let mut tx = self.db.begin().await?;
        let ledger = if tx.is_postgres() {
            "SELECT 1 AS one WHERE to_regclass('schema_migrations') IS NOT NULL"
        } else {
            "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
        };
        if tx.fetch_optional(ledger, []).await?.is_none() {
            return Ok(0);
        }
        let newest = "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations";
        tx.fetch_optional(newest, []).await?.map_or(Ok(0), |row| row.int("version"))
    }

    /// Refuses a schema that is not exactly ours, for a start that must not migrate.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let found = self.schema_version().await?;
        if found < KNOWN {
            Err(StoreError::OldSchema { found, known: KNOWN })
        } else {
            self.refuse_newer_schema().await
        }
    }

    pub(super) async fn refuse_newer_schema(&self) -> Result<(), StoreError> {
        let found = self.schema_version().await?;
        if found > KNOWN { Err(StoreError::NewerSchema { found, known: KNOWN }) } else { Ok(()) }
    }

    async fn apply(&self, migration: &Migration, now: OffsetDateTime) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        lock(&mut tx).await?;
        tx.execute(LEDGER, []).await?;
        let newer = "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations";
        let found = tx.fetch_optional(newer, []).await?.map_or(Ok(0), |row| row.int("version"))?;
        if found > KNOWN {
            return Err(StoreError::NewerSchema { found, known: KNOWN });
        }
        let sql = if tx.is_postgres() { migration.postgres } else { migration.sqlite };
        let checksum = checksum(sql);
        let applied = "SELECT checksum FROM schema_migrations WHERE version = $1";
        if let Some(row) = tx.fetch_optional(applied, [migration.version.into()]).await? {
            let same = row.text("checksum")? == checksum;
            return if same { Ok(()) } else { Err(StoreError::Checksum(migration.version)) };
        }
        tx.run_script(sql).await?;
        tx.execute(
            "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
            [migration.version.into(), migration.name.into(), checksum.into(), now.into()],
        )
        .await?;
        tx.commit().await
    }
}

/// Waits for every other migration; on SQLite the transaction is the lock.
pub(super) async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.is_postgres() {
        tx.take_time().await?;
        tx.execute("SELECT pg_advisory_xact_lock($1)", [MIGRATION_LOCK.into()]).await?;
    }
    Ok(())
}

fn checksum(sql: &str) -> String {
    let hash = digest::digest(&digest::SHA256, sql.as_bytes());
    hash.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up() {
        assert!(MIGRATIONS.is_sorted_by(|one, next| one.version < next.version));
    }
}
