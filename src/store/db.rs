//! One way to say a statement to either database.
//!
//! Both take the same text with `$1`; what differs between the drivers ends here.

use std::sync::Arc;

use serde::Serialize;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqlStr, Transaction};
use time::OffsetDateTime;

use super::cluster::Cluster;
use super::error::{StoreError, of_driver as error};
use super::sole::Sole;
use crate::domain::id::{Handle, Uid};

/// The advisory lock of PostgreSQL that audit batches share and changes of liveness hold alone.
pub(super) const LIVENESS_LOCK: i64 = 0x6272_6576_6574_0001;
/// The advisory lock of PostgreSQL for migrations.
pub(super) const MIGRATION_LOCK: i64 = 0x6272_6576_6574_0002;

/// A bound parameter. Both databases know only texts and 64-bit integers from us.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
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
impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
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

/// The statement that begins every transaction on PostgreSQL: an audit row must survive a crash, whatever the server's
/// default, and a pooler's connections have none of the limits that ours have from their start.
macro_rules! settings_then {
    ($cluster:expr, $more:literal) => {
        if $cluster.is_pooled() {
            concat!(
                "SELECT set_config('synchronous_commit', 'on', true), set_config('statement_timeout', '10000', true), ",
                "set_config('lock_timeout', '8000', true), ",
                "set_config('idle_in_transaction_session_timeout', '20000', true)",
                $more
            )
        } else {
            concat!("SELECT set_config('synchronous_commit', 'on', true)", $more)
        }
    };
}

/// Whether PostgreSQL may keep one plan of a statement for all values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Kept,
    Anew,
}

/// The open database.
#[derive(Debug)]
pub(super) enum Db {
    Sqlite {
        /// One connection: SQLite has one writer, and waiting for it here is fair.
        writer: SqlitePool,
        readers: SqlitePool,
        /// Held for as long as the store is open; absent beside the process that serves it.
        _lock: Option<Sole>,
    },
    Postgres {
        pool: PgPool,
        /// The audit writer's own connections, so that no read delays a batch.
        audit: PgPool,
        cluster: Arc<Cluster>,
        /// Where news is told: the server itself, also where the connections above are a pooler's.
        news: Vec<PgConnectOptions>,
    },
}

impl Db {
    /// Reads in a snapshot of its own.
    pub(super) async fn fetch_all<const N: usize>(
        &self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql, args, Plan::Kept).await
    }

    /// Reads a page of a list, likewise. PostgreSQL plans it for these values each time: one plan for all of them would
    /// not know how few rows a page has, and where most teams are small it would read everything that a large one has
    /// and sort that (<https://www.postgresql.org/docs/15/sql-prepare.html>, "Notes").
    pub(super) async fn fetch_page<const N: usize>(
        &self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql, args, Plan::Anew).await
    }

    async fn fetch<const N: usize>(
        &self,
        sql: &'static str,
        args: [Value; N],
        plan: Plan,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite { readers, .. } => {
                let rows = sqlite(sql, args)?.fetch_all(readers).await.map_err(error)?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres { cluster, .. } if cluster.is_pooled() => {
                // A statement alone would have no limit, and its two halves could meet two servers.
                let mut tx = self.begin().await?;
                let rows = tx.fetch_all(sql, args).await?;
                tx.commit().await?;
                rows
            }
            Self::Postgres { pool, audit, cluster, .. } => {
                let query = postgres(sql, args)?.persistent(plan == Plan::Kept);
                let mut connection = cluster.reach([pool, audit], pool.acquire()).await?;
                let rows = cluster.answer(false, query.fetch_all(&mut *connection)).await?;
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
        match self {
            Self::Sqlite { writer, .. } => Self::begin_sqlite(writer).await,
            Self::Postgres { pool, cluster, .. } => {
                let mut tx = self.begin_postgres(pool).await?;
                tx.execute(settings_then!(cluster, ""), []).await?;
                Ok(tx)
            }
        }
    }

    /// Begins a transaction whose change asks whether somebody is still alive, and so runs beside no transaction that
    /// is [alone](Self::begin_alone): on PostgreSQL one that read before a disable could else commit after it.
    pub(super) async fn begin_beside(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => Self::begin_sqlite(writer).await,
            Self::Postgres { pool, .. } => self.beside(pool).await,
        }
    }

    /// Begins a transaction that waits for every audit batch in flight and holds off those to come: for every
    /// change after which something may mint no more.
    pub(super) async fn begin_alone(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => Self::begin_sqlite(writer).await,
            Self::Postgres { pool, cluster, .. } => {
                let mut tx = self.begin_postgres(pool).await?;
                let sql = settings_then!(cluster, ", pg_advisory_xact_lock($1)");
                tx.execute(sql, [LIVENESS_LOCK.into()]).await?;
                Ok(tx)
            }
        }
    }

    /// Begins the transaction of an audit batch. On PostgreSQL the lock must be a statement of its own: the
    /// statement after it then sees whatever was committed before the lock was given.
    pub(super) async fn begin_batch(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => Self::begin_sqlite(writer).await,
            Self::Postgres { audit, .. } => self.beside(audit).await,
        }
    }

    async fn begin_sqlite(writer: &SqlitePool) -> Result<Tx, StoreError> {
        Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(error)?))
    }

    async fn begin_postgres(&self, pool: &PgPool) -> Result<Tx, StoreError> {
        let Self::Postgres { pool: reads, audit, cluster, .. } = self else {
            return Err(StoreError::Refused("there is no PostgreSQL".to_owned()));
        };
        // Of whatever isolation the database gives by itself: a statement after a lock must see what was committed before
        // the lock was given.
        let begun = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        let tx = cluster.reach([reads, audit], begun).await?;
        Ok(Tx::Postgres(PgTx { tx, cluster: Arc::clone(cluster), patient: false }))
    }

    /// A transaction that shares the lock of liveness.
    async fn beside(&self, pool: &PgPool) -> Result<Tx, StoreError> {
        let mut tx = self.begin_postgres(pool).await?;
        let sql = settings_then!(tx, ", pg_advisory_xact_lock_shared($1)");
        tx.execute(sql, [LIVENESS_LOCK.into()]).await?;
        Ok(tx)
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
            Self::Postgres { pool, audit, .. } => {
                audit.close().await;
                pool.close().await;
            }
        }
    }
}

/// A transaction; dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(PgTx),
}

/// A transaction on PostgreSQL, whose answers have a limit.
#[derive(Debug)]
pub(super) struct PgTx {
    tx: Transaction<'static, Postgres>,
    cluster: Arc<Cluster>,
    patient: bool,
}

impl PgTx {
    async fn fetch_all<const N: usize>(
        &mut self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<PgRow>, StoreError> {
        let query = postgres(sql, args)?.persistent(!self.cluster.is_pooled());
        self.cluster.answer(self.patient, query.fetch_all(&mut *self.tx)).await
    }

    async fn execute(&mut self, sql: &'static str, args: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
        let query = postgres(sql, args)?.persistent(!self.cluster.is_pooled());
        let done = self.cluster.answer(self.patient, query.execute(&mut *self.tx)).await?;
        Ok(done.rows_affected())
    }
}

impl Tx {
    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(tx) => Ok(sqlite(sql, args)?.execute(on_sqlite(tx)).await.map_err(error)?.rows_affected()),
            Self::Postgres(tx) => tx.execute(sql, args).await,
        }
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
            Self::Postgres(tx) => tx.fetch_all(sql, args).await?.into_iter().map(Row::Postgres).collect(),
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
            Self::Sqlite(tx) => sql.execute(on_sqlite(tx)).await.map(drop).map_err(error),
            Self::Postgres(PgTx { tx, cluster, patient }) => {
                cluster.answer(*patient, sql.execute(&mut **tx)).await.map(drop)
            }
        }
    }

    fn is_pooled(&self) -> bool {
        matches!(self, Self::Postgres(tx) if tx.cluster.is_pooled())
    }

    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Lets each statement take its time, on PostgreSQL: another replica's migration does, and so may ours.
    pub(super) async fn take_time(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            tx.patient = true;
            let patience = "SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)";
            tx.execute(patience, []).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await.map_err(error),
            Self::Postgres(PgTx { tx, cluster, patient }) => cluster.answer(patient, tx.commit()).await,
        }
    }

    /// Undoes it now, so that what it held is free when this returns.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await.map_err(error),
            Self::Postgres(PgTx { tx, cluster, patient }) => cluster.answer(patient, tx.rollback()).await,
        }
    }
}

fn on_sqlite<'t>(tx: &'t mut Transaction<'static, Sqlite>) -> &'t mut SqliteConnection {
    tx
}

/// A statement with its parameters, for SQLite.
pub(super) fn sqlite(
    sql: &'static str,
    args: impl IntoIterator<Item = Value>,
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

/// The same for PostgreSQL.
pub(super) fn postgres(
    sql: &'static str,
    args: impl IntoIterator<Item = Value>,
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
