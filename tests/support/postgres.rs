//! A fresh PostgreSQL database for one test, in the server that `BREVET_TEST_POSTGRES` names.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use super::{unmet, variable};

/// An empty database of its own; dropped, with whoever is still connected, when the value is.
pub(crate) struct TestDatabase {
    server: Url,
    name: String,
}

/// A new database, or `None` after saying that the test is skipped.
///
/// Blocks for some tens of milliseconds; may be called from asynchronous tests too.
pub(crate) fn database() -> Option<TestDatabase> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let Some(server) = variable("BREVET_TEST_POSTGRES") else {
        unmet("PostgreSQL", "BREVET_TEST_REQUIRE_POSTGRES");
        return None;
    };
    let server = server.into_string().expect("BREVET_TEST_POSTGRES is UTF-8");
    let server: Url = server.parse().expect("BREVET_TEST_POSTGRES is a URL");
    let name = format!("brevet_test_{}_{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    // A name may be left over from a test run that was killed and had the same process id.
    execute(&server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    execute(&server, format!("CREATE DATABASE {name}"));
    Some(TestDatabase { server, name })
}

/// The same with its URL at a pooler in transaction mode, where `scripts/test` has started one.
pub(crate) fn pooled_database() -> Option<(TestDatabase, String)> {
    let Some(pooler) = variable("BREVET_TEST_PGBOUNCER") else {
        unmet("PgBouncer", "BREVET_TEST_REQUIRE_PGBOUNCER");
        return None;
    };
    let database = database()?;
    let mut url: Url = pooler.into_string().expect("UTF-8").parse().expect("BREVET_TEST_PGBOUNCER is a URL");
    url.set_path(&database.name);
    Some((database, url.into()))
}

impl TestDatabase {
    /// For `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        execute(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Runs one statement on a thread of its own, since a runtime cannot block inside another.
fn execute(server: &Url, sql: String) {
    let server = server.clone();
    let done = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(server.as_str()).await.expect("PostgreSQL answers");
            let deadline = Instant::now() + Duration::from_mins(1);
            while let Err(fault) = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut connection).await {
                // Others are connected: PostgreSQL has waited for five seconds, and they may starve for longer.
                let code = fault.as_database_error().and_then(sqlx::error::DatabaseError::code);
                let in_use = code.as_deref() == Some("55006");
                assert!(in_use && Instant::now() < deadline, "a superuser may do this: {fault}");
            }
            connection.close().await.expect("the connection closes");
        });
    });
    // A failure has been printed by the thread; while unwinding another one must not hide it.
    assert!(done.join().is_ok() || thread::panicking(), "PostgreSQL did not do what the test needs");
}
