//! The sessions of the audit writer on PostgreSQL: one is kept from batch to batch, and another may have been given up with
//! a transaction half begun. No token leaves whose row is not committed, whatever has become of them.

use std::time::{Duration, Instant};

use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock as _;
use brevet::domain::secret::Secret;
use brevet::store::Target;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::support::app::{App, Options};
use crate::support::chaos::{Chaos, Weather};
use crate::support::postgres;

const PATIENCE: Duration = Duration::from_mins(1);

struct House {
    app: App,
    key: String,
    /// Of a run, whose tokens are counted: a batch of them is a transaction.
    run: String,
}

impl House {
    async fn on(url: String) -> Self {
        let target = Some(Target::Postgres { url: Secret::new(url) });
        let app = App::when(SystemClock.now(), Options { target, ..Options::default() }).await;
        let team = app.team("red").await;
        let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
        let (run, _) = app.run(&key, &json!({})).await;
        let house = Self { app, key, run };
        for bearer in [&house.key, &house.run] {
            assert_eq!(house.mint(bearer).await.0, StatusCode::OK);
        }
        house
    }

    async fn mint(&self, bearer: &str) -> (StatusCode, Value) {
        let answer = self.app.mint(bearer, &json!({})).await;
        (answer.status, answer.json()["token_id"].clone())
    }

    /// Mints until it works again, and tells with which token.
    async fn recovers(&self, bearer: &str) -> String {
        let began = Instant::now();
        loop {
            let (status, token) = self.mint(bearer).await;
            if status == StatusCode::OK {
                return token.as_str().unwrap().to_owned();
            }
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(began.elapsed() < PATIENCE, "it does not recover");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How many rows others see of a token.
async fn rows(server: &mut PgConnection, token: &str) -> i64 {
    let sql = "SELECT count(*) FROM audit_events WHERE token_id = $1";
    sqlx::query_scalar(sql).bind(token).fetch_one(server).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_transaction_that_was_given_up_as_it_began_swallows_no_later_row() {
    let Some(database) = postgres::database() else { return };
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    let mut url: Url = database.url().parse().unwrap();
    let network = Chaos::before(url.port().unwrap());
    url.set_port(Some(network.port)).unwrap();
    let house = House::on(url.into()).await;

    // The pool has its sessions back, and asks those that it had a moment ago for no sign of life.
    assert_eq!(house.mint(&house.run).await.0, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // We give a server up after 12 s, and a connection that does not answer 5 s later (store/cluster.rs): in between `BEGIN`
    // arrives after all.
    network.set(Weather::Silent);
    let thaw = async {
        tokio::time::sleep(Duration::from_secs(14)).await;
        network.set(Weather::Fair);
    };
    let (given_up, ()) = tokio::join!(house.mint(&house.run), thaw);
    assert_eq!(given_up.0, StatusCode::SERVICE_UNAVAILABLE);
    // So that it is there again, and next: what was kept is too old by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let left =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tran%'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut server).await.unwrap();
    assert_eq!(left, 0, "a transaction is left open");

    for _ in 0..6 {
        for bearer in [&house.key, &house.run] {
            let token = house.recovers(bearer).await;
            assert_eq!(rows(&mut server, &token).await, 1, "nobody else sees the row of a token that is out");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_the_end_of_the_kept_session_costs_no_row_and_a_moment() {
    let Some(database) = postgres::database() else { return };
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    let house = House::on(database.url()).await;
    for _ in 0..3 {
        let token = house.recovers(&house.key).await;
        assert_eq!(rows(&mut server, &token).await, 1);
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        let ended: i64 = sqlx::query_scalar(ended).fetch_one(&mut server).await.unwrap();
        assert!(ended > 0);
    }
    // What is kept goes back by itself, so that a store whose writer is idle can be closed.
    let closing = tokio::time::timeout(Duration::from_secs(30), house.app.store.close()).await;
    assert!(closing.is_ok(), "a session is kept for good");
}

/// Rows of agents that were read one after the other, by sessions that have told.
const READ: &str = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'service_accounts'";
/// A platform's agents, all at once.
const MORE: &str = "INSERT INTO service_accounts SELECT made.*
    FROM (SELECT * FROM service_accounts LIMIT 1) AS a, generate_series(1, 20000) AS n,
        LATERAL jsonb_populate_record(NULL::service_accounts, to_jsonb(a) || jsonb_build_object(
            'uid', a.uid || n, 'uid_fold', a.uid_fold || n)) AS made";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_reads_no_table_as_a_whole_because_it_was_small_when_the_first_was_planned() {
    let Some(database) = postgres::database() else { return };
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    let house = House::on(database.url()).await;
    let alter = "ALTER TABLE service_accounts SET (autovacuum_enabled = off)";
    sqlx::raw_sql(alter).execute(&mut server).await.unwrap();
    let mint_for = async |seconds| {
        let began = Instant::now();
        let mut minted = 0;
        while began.elapsed() < Duration::from_secs(seconds) {
            house.recovers(&house.key).await;
            minted += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        minted
    };
    mint_for(1).await;
    sqlx::raw_sql(MORE).execute(&mut server).await.unwrap();
    mint_for(7).await;
    let before: i64 = sqlx::query_scalar(READ).fetch_one(&mut server).await.unwrap();
    let minted = mint_for(3).await;
    // What a session has read it tells as it goes on, at most once a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    house.recovers(&house.key).await;
    let read: i64 = sqlx::query_scalar(READ).fetch_one(&mut server).await.unwrap();
    assert!(minted > 10 && read - before < 20_000, "{minted} mints have read {} agents", read - before);
}
