//! A connection on which each statement is a transaction by itself: how a batch of audit rows is written, unless it has
//! tokens of runs to count.
//!
//! All who wait for a batch wait for each of its errands, and each of those for its turn on a busy core. On SQLite one
//! statement is all there is to do. On PostgreSQL the lock of liveness has to be a statement before the one that writes, so
//! the two are the body of a function. Each session makes its own: nothing of it is in the schema, and a replica of another
//! release has another.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPool, Postgres};
use sqlx::sqlite::Sqlite;
use sqlx::{AssertSqlSafe, Connection as _, Error, SqlStr};

use super::cluster::Cluster;
use super::db::{Db, Row, Value, postgres, sqlite};
use super::error::{StoreError, of_driver as error};

/// A session that was not used for so long goes back to the pool, which asks the server whether it is still good.
const UNUSED_MAX: Duration = Duration::from_secs(1);
/// And so does one that has been kept for so long, which the pool then counts with the age of the connection.
const KEPT_MAX: Duration = Duration::from_mins(30);
/// After so long the next session to be used makes the plans of its functions anew. One that was made while the tables were
/// small reads all of them for each batch, also when there are a million rows, until the database has looked at them by
/// itself, a minute or more later.
const PLANNED_MAX: Duration = Duration::from_secs(5);
/// What a function raises where statements do not see what was committed before each.
const ONE_VIEW: &str = "BV001";
/// `invalid_schema_name`, `undefined_function`: the session has made no function yet, or not this one
/// (<https://www.postgresql.org/docs/15/errcodes-appendix.html>).
const NOT_THERE: [&str; 3] = ["3F000", "42883", ONE_VIEW];

/// A connection outside of a transaction.
pub(super) enum Autocommit {
    Sqlite(SqliteWriter),
    Postgres(PgSession),
}

/// SQLite's one writer.
pub(super) struct SqliteWriter(PoolConnection<Sqlite>);

/// One of the audit writer's sessions on PostgreSQL.
pub(super) struct PgSession {
    connection: PoolConnection<Postgres>,
    cluster: Arc<Cluster>,
    pools: [PgPool; 2],
    /// When the pool was asked for it.
    since: Instant,
    /// When a session of the writer last made its plans anew.
    planned: Instant,
}

/// The audit writer's session between two batches: as it is given back, the pool asks the server twice whether it is good.
pub(super) struct Kept {
    /// With when it was last used.
    session: Option<(PgSession, Instant)>,
    planned: Instant,
}

/// A function that a session makes for itself: it takes JSON as a text, and tells how many rows it wrote.
pub(super) struct Function {
    make: String,
    call: String,
}

impl Function {
    /// With statements of PL/pgSQL, the last of which writes. Each sees whatever was committed before it (`VOLATILE`,
    /// <https://www.postgresql.org/docs/15/xfunc-volatility.html>), unless somebody has taken that from the session.
    pub(super) fn new(name: &str, statements: &str) -> Self {
        let body = format!(
            "DECLARE
                rows_written bigint;
            BEGIN
                IF current_setting('transaction_isolation') <> 'read committed' THEN
                    RAISE EXCEPTION 'statements share one view' USING ERRCODE = '{ONE_VIEW}';
                END IF;
                {statements};
                GET DIAGNOSTICS rows_written = ROW_COUNT;
                RETURN rows_written;
            END"
        );
        // Named by its body too: where somebody's pooler hands sessions around, no other release's is called.
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        let name = format!("pg_temp.{name}_{:016x}", hasher.finish());
        Self {
            make: format!(
                "CREATE OR REPLACE FUNCTION {name}(jsonb) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $body${body}$body$"
            ),
            call: format!("SELECT {name}($1::jsonb) AS written"),
        }
    }
}

impl Db {
    /// A connection on which each statement is a transaction by itself: the one in `kept`, if it is still good. `None`
    /// behind a pooler, where no session is ours, and where the server lets us make no function.
    pub(super) async fn autocommit(&self, kept: &mut Kept) -> Result<Option<Autocommit>, StoreError> {
        match self {
            Self::Sqlite { writer, .. } => {
                let connection = writer.acquire().await.map_err(error)?;
                if connection.is_in_transaction() {
                    // The pool has looked; what was written within one would not be committed.
                    return Err(StoreError::Unavailable("the connection that writes is in a transaction".to_owned()));
                }
                Ok(Some(Autocommit::Sqlite(SqliteWriter(connection))))
            }
            Self::Postgres { cluster, .. } if !cluster.lets_make_functions() => Ok(None),
            Self::Postgres { pool, audit, cluster, .. } => {
                if let Some(session) = kept.take() {
                    return Ok(Some(Autocommit::Postgres(session)));
                }
                let since = Instant::now();
                let connection = cluster.reach([pool, audit], audit.acquire()).await?;
                let (cluster, pools) = (Arc::clone(cluster), [pool.clone(), audit.clone()]);
                Ok(Some(Autocommit::Postgres(PgSession { connection, cluster, pools, since, planned: kept.planned })))
            }
        }
    }
}

impl Autocommit {
    pub(super) async fn fetch_all<const N: usize>(
        &mut self,
        sql: &'static str,
        args: [Value; N],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(SqliteWriter(connection)) => {
                let rows = sqlite(sql, args)?.fetch_all(&mut **connection).await.map_err(error)?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(PgSession { connection, cluster, .. }) => {
                let rows = cluster.answer(false, postgres(sql, args)?.fetch_all(&mut **connection)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Keeps it for the next batch, where there is no other use for it.
    pub(super) fn keep(self, kept: &mut Kept) {
        if let Self::Postgres(session) = self {
            kept.planned = session.planned;
            kept.session = Some((session, Instant::now()));
        }
    }
}

impl SqliteWriter {
    /// Runs a statement that writes, commits it, and tells how many rows it touched. It takes the one write lock as it
    /// begins, so that what it reads still holds when it commits.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<u64, StoreError> {
        Ok(sqlite(sql, args)?.execute(&mut *self.0).await.map_err(error)?.rows_affected())
    }
}

impl PgSession {
    /// Calls a function, which it makes first where it has to, commits what that did, and tells how many rows it wrote;
    /// `None` where it cannot be made or is of no use, and nothing was written.
    pub(super) async fn call(&mut self, function: &'static Function, text: &str) -> Result<Option<u64>, StoreError> {
        if self.planned.elapsed() >= PLANNED_MAX {
            let query = sqlx::raw_sql("DISCARD PLANS").execute(&mut *self.connection);
            self.cluster.answer_or_look(self.pools.each_ref(), query).await?;
            self.planned = Instant::now();
        }
        let mut written = self.try_call(function, text).await?;
        if written.is_none() && self.make(function).await? {
            written = self.try_call(function, text).await?;
            if written.is_none() {
                self.cluster.lets_make_no_functions("it cannot be called, or the session is not READ COMMITTED");
            }
        }
        Ok(written)
    }

    async fn try_call(&mut self, function: &'static Function, text: &str) -> Result<Option<u64>, StoreError> {
        // All of the answer: the server commits after the row, and says so, or that it could not, after that.
        let query = sqlx::query(SqlStr::from_static(&function.call)).bind(text).fetch_all(&mut *self.connection);
        let rows = self.cluster.answer_or_look(self.pools.each_ref(), unless(&NOT_THERE, query)).await?;
        let written = rows.into_iter().flatten().next().map(|row| Row::Postgres(row).int("written")).transpose()?;
        Ok(written.and_then(|written| u64::try_from(written).ok()))
    }

    async fn make(&mut self, function: &Function) -> Result<bool, StoreError> {
        let query = sqlx::raw_sql(AssertSqlSafe(function.make.as_str())).execute(&mut *self.connection);
        match self.cluster.answer_or_look(self.pools.each_ref(), query).await {
            Ok(_) => Ok(true),
            Err(StoreError::Refused(why)) => {
                self.cluster.lets_make_no_functions(&why);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// `None` for an error of one of these codes.
async fn unless<T>(codes: &[&str], query: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
    let is_one = |error: &Error| {
        error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| codes.contains(&&*code))
    };
    match query.await {
        Err(error) if is_one(&error) => Ok(None),
        done => done.map(Some),
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { session: None, planned: Instant::now() }
    }
}

impl Kept {
    fn take(&mut self) -> Option<PgSession> {
        self.tidy();
        self.session.take().map(|(session, _)| session)
    }

    /// Gives back what is no longer to be used.
    pub(super) fn tidy(&mut self) {
        self.session.take_if(|(session, used)| {
            used.elapsed() >= UNUSED_MAX
                || session.since.elapsed() >= KEPT_MAX
                || session.cluster.renewed_since(session.since)
                || session.pools.iter().any(PgPool::is_closed)
        });
    }

    /// Returns when what is kept was not used for a while, and has been given back.
    pub(super) async fn give_back_when_unused(&mut self) {
        match &self.session {
            Some((_, used)) => tokio::time::sleep_until((*used + UNUSED_MAX).into()).await,
            None => std::future::pending().await,
        }
        self.session = None;
    }
}
