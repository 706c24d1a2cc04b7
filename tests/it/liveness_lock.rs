//! On PostgreSQL a batch of audit rows waits for a disable that is under way, and then sees what it has done: whichever way
//! the batch is written, and whatever isolation the database has by itself.

use std::time::Duration;

use brevet::config::host::SystemClock;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock as _;
use brevet::domain::secret::Secret;
use brevet::store::Target;
use http::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::app::{App, Options};
use crate::support::postgres;

/// How a batch without tokens of runs is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a function of the session.
    Function,
    /// In a transaction of four round trips, because the server has no PL/pgSQL for us.
    Transaction,
    /// The same behind a pooler.
    Pooled,
}

const SNAPSHOTS: &str = "DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database());
END $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_row_that_waited_for_a_disable_sees_it_whatever_the_database_does_by_itself() {
    for way in [Way::Function, Way::Transaction, Way::Pooled] {
        sees_a_disable(way).await;
    }
}

async fn sees_a_disable(way: Way) {
    let (database, pooler) = match way {
        Way::Pooled => postgres::pooled_database().map(|(database, url)| (database, Some(url))).unzip(),
        _ => (postgres::database(), None),
    };
    let Some(database) = database else { return };
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::raw_sql(SNAPSHOTS).execute(&mut server).await.unwrap();
    if way == Way::Transaction {
        sqlx::raw_sql("DROP EXTENSION plpgsql").execute(&mut server).await.unwrap();
    }
    let url = Secret::new(database.url());
    let target = match pooler.flatten() {
        Some(pooler) => Target::Pooled { url: Secret::new(pooler), direct: url },
        None => Target::Postgres { url },
    };
    let app = App::when(SystemClock.now(), Options { target: Some(target), ..Options::default() }).await;
    let team = app.team("red").await;
    let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK, "{way:?}");
    let made = "SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'write_audit_rows_')";
    let made: i64 = sqlx::query_scalar(made).fetch_one(&mut server).await.unwrap();
    assert_eq!(made > 0, way == Way::Function, "{way:?}");

    // What every disable begins with (store/db.rs), and what this one does.
    let disable = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(x'6272657665740001'::bigint);
        UPDATE service_accounts SET disabled_at = 1";
    sqlx::raw_sql(disable).execute(&mut server).await.unwrap();
    let body = json!({});
    let waiting = async {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut server).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sqlx::raw_sql(AssertSqlSafe("COMMIT")).execute(&mut server).await.unwrap();
    };
    let waiting = async { tokio::time::timeout(Duration::from_secs(7), waiting).await.expect("the batch waits") };
    let (answer, ()) = tokio::join!(app.mint(&key, &body), waiting);
    assert_ne!(answer.status, StatusCode::OK, "{way:?}: {answer}");
    assert!(answer.json().get("token").is_none(), "{way:?}: {answer}");
    let minted = app.rows(Action::TokenMint).await.into_iter().filter(|row| row.token.is_some()).count();
    assert_eq!(minted, 1, "{way:?}: the one before");
}
