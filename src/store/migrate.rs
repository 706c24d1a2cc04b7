//! Migrations: numbered files, applied once each, under a lock.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use time::{Date, Month, OffsetDateTime, Time};

use super::Store;
use super::db::{MIGRATION_LOCK, Tx, millis};
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

/// How many months ahead of now have a partition of their own on PostgreSQL.
const MONTHS_AHEAD: usize = 3;

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

    /// Makes the partitions of this month and those ahead; on SQLite there are none. A month whose rows already
    /// lie in the default partition stays there.
    pub async fn make_audit_partitions(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        let mut month = first_of_month(now.date());
        for _ in 0..=MONTHS_AHEAD {
            let mut tx = self.db.begin().await?;
            if !tx.is_postgres() {
                return Ok(());
            }
            lock(&mut tx).await?;
            let next = next_month(month);
            let name = format!("audit_events_{:04}_{:02}", month.year(), u8::from(month.month()));
            let bound = |date: Date| millis(date.with_time(Time::MIDNIGHT).assume_utc());
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF audit_events FOR VALUES FROM ({}) TO ({})",
                bound(month),
                bound(next)
            );
            let exists = "SELECT 1 AS one WHERE to_regclass($1) IS NOT NULL";
            if tx.fetch_optional(exists, [name.as_str().into()]).await?.is_none() {
                match tx.run_script(&sql).await {
                    Ok(()) => tx.commit().await?,
                    Err(StoreError::Refused(problem)) => {
                        tracing::warn!(partition = name, problem, "an audit partition could not be made");
                    }
                    Err(other) => return Err(other),
                }
            }
            month = next;
        }
        Ok(())
    }
}

/// Waits for every other migration; on SQLite the transaction is the lock.
async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.is_postgres() {
        // Another replica's migration may take its time, and so may ours.
        let patience = "SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)";
        tx.execute(patience, []).await?;
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

fn first_of_month(date: Date) -> Date {
    date.replace_day(1).unwrap_or(date)
}

fn next_month(first: Date) -> Date {
    let year = if first.month() == Month::December { first.year() + 1 } else { first.year() };
    Date::from_calendar_date(year, first.month().next(), 1).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up() {
        assert!(MIGRATIONS.is_sorted_by(|one, next| one.version < next.version));
    }

    #[test]
    fn months_follow_each_other_across_the_year() {
        let december = Date::from_calendar_date(2026, Month::December, 31).unwrap();
        assert_eq!(next_month(first_of_month(december)).to_string(), "2027-01-01");
        let february = Date::from_calendar_date(2028, Month::February, 29).unwrap();
        assert_eq!(next_month(first_of_month(february)).to_string(), "2028-03-01");
    }
}
