//! One way to say a statement to either database.
//!
//! Both take the same text with `$1`; what differs between the drivers ends here.

use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqlStr, Transaction};
use time::OffsetDateTime;

use super::error::StoreError;
use crate::domain::id::{Handle, Uid};

/// The advisory lock of PostgreSQL that audit batches share and changes of liveness hold alone.
pub(super) const LIVENESS_LOCK: i64 = 0x6272_6576_6574_0001;
/// The advisory lock of PostgreSQL for migrations.
pub(super) const MIGRATION_LOCK: i64 = 0x6272_6576_6574_0002;

/// A bound parameter. Both databases know only texts and 64-bit integers from us.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}
impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}
impl<K> From<&Uid<K>> for Value {
    fn from(uid: &Uid<K>) -> Self {
        uid.as_str().into()
    }
}
impl<K> From<Handle<K>> for Value {
    fn from(handle: Handle<K>) -> Self {
        handle.to_string().into()
    }
}
impl<K> From<Option<Handle<K>>> for Value {
    fn from(handle: Option<Handle<K>>) -> Self {
        Self::Text(handle.map(|handle| handle.to_string()))
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(Some(number.into()))
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Int(Some(flag.into()))
    }
}
impl From<OffsetDateTime> for Value {
    fn from(at: OffsetDateTime) -> Self {
        Self::Int(Some(millis(at)))
    }
}
impl From<Option<OffsetDateTime>> for Value {
    fn from(at: Option<OffsetDateTime>) -> Self {
        Self::Int(at.map(millis))
    }
}

/// Unix milliseconds, the one form of an instant in the database.
pub(super) fn millis(at: OffsetDateTime) -> i64 {
    // `time` spans years ±9999, whose milliseconds fit.
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// The inverse of [`millis`].
pub(super) fn instant(millis: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
}

/// One row, read by column name.
#[derive(Debug)]
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| StoreError::Corrupt(column))
    }

    pub(super) fn optional_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| StoreError::Corrupt(column))
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.optional_text(column)?.ok_or(StoreError::Corrupt(column))
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.optional_int(column)?.ok_or(StoreError::Corrupt(column))
    }

    pub(super) fn number(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| StoreError::Corrupt(column))
    }

    pub(super) fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        Ok(self.int(column)? != 0)
    }

    pub(super) fn optional_time(&self, column: &'static str) -> Result<Option<OffsetDateTime>, StoreError> {
        let read = |millis| instant(millis).ok_or(StoreError::Corrupt(column));
        self.optional_int(column)?.map(read).transpose()
    }

    pub(super) fn time(&self, column: &'static str) -> Result<OffsetDateTime, StoreError> {
        self.optional_time(column)?.ok_or(StoreError::Corrupt(column))
    }

    pub(super) fn uid<K>(&self, column: &'static str) -> Result<Uid<K>, StoreError> {
        self.parsed(column, |text| Uid::parse(text).ok())
    }

    pub(super) fn handle<K>(&self, column: &'static str) -> Result<Handle<K>, StoreError> {
        self.parsed(column, Handle::parse)
    }

    /// A text that a type's own parser takes.
    pub(super) fn parsed<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(&self.text(column)?).ok_or(StoreError::Corrupt(column))
    }

    /// The same where the text may be absent.
    pub(super) fn optional_parsed<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let read = |text: String| parse(&text).ok_or(StoreError::Corrupt(column));
        self.optional_text(column)?.map(read).transpose()
    }
}

/// The open database.
#[derive(Debug)]
pub(super) enum Db {
    Sqlite {
        /// One connection: SQLite has one writer, and waiting for it here is fair.
        writer: SqlitePool,
        readers: SqlitePool,
        /// Held for as long as the store is open; absent beside the process that serves it.
        _lock: Option<std::fs::File>,
    },
    Postgres {
        pool: PgPool,
        /// Its own connections, so that no read delays an audit batch.
        audit: PgPool,
    },
}

impl Db {
    /// Reads in a snapshot of its own.
    pub(super) async fn fetch_all<const N: usize>(
        &self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = sqlite(sql, args)?.fetch_all(readers).await.map_err(error)?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { pool, .. } => {
                let rows = postgres(sql, args)?.fetch_all(pool).await.map_err(error)?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// Reads the one row there is, if any.
    pub(super) async fn fetch_optional<const N: usize>(
        &self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql, args).await?.into_iter().next())
    }

    /// Begins a transaction that may write. SQLite takes its one write lock here, so that what is read in the
    /// transaction still holds when it commits.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(error)?),
            Self::Postgres { pool, .. } => {
                let mut tx = Tx::Postgres(pool.begin().await.map_err(error)?);
                tx.commit_durably().await?;
                tx
            }
        })
    }

    /// Begins a transaction whose change asks whether somebody is still alive, and so runs beside no transaction that
    /// is [alone](Self::begin_alone): on PostgreSQL one that read before a disable could else commit after it.
    pub(super) async fn begin_beside(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { .. } => self.begin().await?,
            Self::Postgres { pool, .. } => beside(pool).await?,
        })
    }

    /// Begins a transaction that waits for every audit batch in flight and holds off those to come: for every
    /// change after which something may mint no more.
    pub(super) async fn begin_alone(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { .. } => self.begin().await?,
            Self::Postgres { pool, .. } => {
                let mut tx = Tx::Postgres(pool.begin().await.map_err(error)?);
                tx.execute(
                    "SELECT set_config('synchronous_commit', 'on', true), pg_advisory_xact_lock($1)",
                    [LIVENESS_LOCK.into()],
                )
                .await?;
                tx
            }
        })
    }

    /// Begins the transaction of an audit batch. On PostgreSQL the lock must be a statement of its own: the
    /// statement after it then sees whatever was committed before the lock was given.
    pub(super) async fn begin_batch(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { .. } => self.begin().await?,
            Self::Postgres { audit, .. } => beside(audit).await?,
        })
    }

    pub(super) async fn time(&self) -> Result<Option<OffsetDateTime>, StoreError> {
        let Self::Postgres { .. } = self else { return Ok(None) };
        let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";
        self.fetch_optional(sql, []).await?.map(|row| row.time("now")).transpose()
    }

    /// Copies a SQLite database into an empty file; no transaction may be open for that.
    pub(super) async fn vacuum_into(&self, file: &str) -> Result<(), StoreError> {
        let Self::Sqlite { writer, .. } = self else {
            return Err(StoreError::Refused("PostgreSQL is backed up with pg_dump".to_owned()));
        };
        sqlite("VACUUM INTO $1", [file.into()])?.execute(writer).await.map(drop).map_err(error)
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, audit } => {
                audit.close().await;
                pool.close().await;
            }
        }
    }
}

/// A transaction that shares the lock which [`Db::begin_alone`] wants for itself.
async fn beside(pool: &PgPool) -> Result<Tx, StoreError> {
    let mut tx = Tx::Postgres(pool.begin().await.map_err(error)?);
    let sql = "SELECT set_config('synchronous_commit', 'on', true), pg_advisory_xact_lock_shared($1)";
    tx.execute(sql, [LIVENESS_LOCK.into()]).await?;
    Ok(tx)
}

/// A transaction; dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute<const N: usize>(
        &mut self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => sqlite(sql, args)?.execute(on_sqlite(tx)).await.map_err(error)?.rows_affected(),
            Self::Postgres(tx) => postgres(sql, args)?.execute(on_postgres(tx)).await.map_err(error)?.rows_affected(),
        })
    }

    pub(super) async fn fetch_all<const N: usize>(
        &mut self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx) => {
                let rows = sqlite(sql, args)?.fetch_all(on_sqlite(tx)).await.map_err(error)?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                let rows = postgres(sql, args)?.fetch_all(on_postgres(tx)).await.map_err(error)?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(super) async fn fetch_optional<const N: usize>(
        &mut self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql, args).await?.into_iter().next())
    }

    /// Runs a file of statements of our own.
    pub(super) async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(tx) => sql.execute(on_sqlite(tx)).await.map(drop),
            Self::Postgres(tx) => sql.execute(on_postgres(tx)).await.map(drop),
        }
        .map_err(error)
    }

    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// An audit row must survive a crash, whatever the server's default.
    async fn commit_durably(&mut self) -> Result<(), StoreError> {
        self.execute("SELECT set_config('synchronous_commit', 'on', true)", []).await.map(drop)
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
        .map_err(error)
    }
}

fn on_sqlite<'t>(tx: &'t mut Transaction<'static, Sqlite>) -> &'t mut SqliteConnection {
    tx
}

fn on_postgres<'t>(tx: &'t mut Transaction<'static, Postgres>) -> &'t mut PgConnection {
    tx
}

fn sqlite<const N: usize>(
    sql: &'static str,
    args: [Value; N],
) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>, StoreError> {
    let mut query = sqlx::query(SqlStr::from_static(sql));
    for arg in args {
        match arg {
            Value::Text(text) => query.try_bind(text),
            Value::Int(number) => query.try_bind(number),
        }
        .map_err(|_| StoreError::Refused("a parameter cannot be bound".to_owned()))?;
    }
    Ok(query)
}

fn postgres<const N: usize>(
    sql: &'static str,
    args: [Value; N],
) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, StoreError> {
    let mut query = sqlx::query(SqlStr::from_static(sql));
    for arg in args {
        match arg {
            Value::Text(text) => query.try_bind(text),
            Value::Int(number) => query.try_bind(number),
        }
        .map_err(|_| StoreError::Refused("a parameter cannot be bound".to_owned()))?;
    }
    Ok(query)
}

/// Sorts the driver's errors into what may pass and what will not. Statements hold no secret (values are bound),
/// and neither do the messages of either database.
pub(super) fn error(error: sqlx::Error) -> StoreError {
    let Some(database) = error.as_database_error() else {
        return StoreError::Unavailable(error.to_string());
    };
    let code = database.code().unwrap_or_default();
    // PostgreSQL: connection, resources, operator intervention, serialization, locks, read-only.
    // SQLite: busy, locked, I/O, full, read-only, by primary result code.
    let passing = match &error {
        sqlx::Error::Database(d) if d.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
            ["08", "53", "55", "57", "40", "58", "25006"].iter().any(|class| code.starts_with(class))
        }
        _ => code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
    };
    if passing {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Refused(database.message().to_owned())
    }
}
