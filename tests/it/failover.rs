//! Going over to another PostgreSQL server (`target_session_attrs`), and what `/readyz` says of replication.

use std::time::{Duration, Instant};

use brevet::config::host::SystemClock;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock as _;
use brevet::domain::secret::Secret;
use brevet::store::{Store, StoreError, Target, Weakness};
use http::StatusCode;
use serde_json::json;

use crate::support::app::{App, Options};
use crate::support::leash::LeashedPostgres;

const PATIENCE: Duration = Duration::from_mins(1);

/// `host:port` of a URL.
fn place(url: &str) -> &str {
    url.split('@').nth(1).unwrap().split('/').next().unwrap()
}

fn named(url: &str, places: &str, more: &str) -> Target {
    Target::Postgres { url: Secret::new(format!("{}{more}", url.replace(place(url), places))) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_failover_to_a_synchronous_standby_loses_no_row() {
    let Some(mut server) = LeashedPostgres::start() else { return };
    let url = server.url().to_owned();
    let standby = server.standby();
    // The standby stands first: which is the primary is asked, not taken from the order.
    let both = format!("{},{}", place(&standby), place(&url));
    let only_standby = Store::connect(&named(&url, place(&standby), "?target_session_attrs=read-write")).await;
    assert!(only_standby.is_err_and(|error| error.is_retryable()), "a standby is no primary");

    let options = Options { target: Some(named(&url, &both, "")), ..Options::default() };
    let app = App::when(SystemClock.now(), options).await;
    // The test's server runs without fsync and says so; replication itself is synchronous.
    assert_eq!(app.store.durability().await, Ok(Some(Weakness::NoFsync)));
    let team = app.team("red").await;
    let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        let answer = app.mint(&key, &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        tokens.push(answer.json()["token_id"].as_str().unwrap().to_owned());
    }

    tokio::task::block_in_place(|| server.stop());
    let answer = app.mint(&key, &json!({})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "nobody takes writes: {answer}");
    tokio::task::block_in_place(|| server.promote());
    let began = Instant::now();
    loop {
        app.clock.set(SystemClock.now());
        app.issuer.round().await;
        let answer = app.mint(&key, &json!({})).await;
        if answer.status == StatusCode::OK {
            tokens.push(answer.json()["token_id"].as_str().unwrap().to_owned());
            break;
        }
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        assert!(began.elapsed() < PATIENCE, "it does not go over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rows: Vec<_> = app.rows(Action::TokenMint).await.into_iter().filter_map(|row| row.token).collect();
    for token in tokens {
        assert!(rows.iter().any(|row| row.token_id == token), "{token} has no row on the new primary");
    }
    // It waits for nobody now, though the URL names another server.
    assert_eq!(app.store.durability().await, Ok(Some(Weakness::AsynchronousReplication)));
    let warned = app.issuer.readiness().await.remove(0);
    assert_eq!((warned.name, warned.fault), ("database", None));
    assert!(warned.warning.unwrap().contains("asynchronous"));
}

#[tokio::test]
async fn servers_that_are_all_away_are_told_at_once_and_without_their_password() {
    let url = "postgres://brevet:hunter2@127.0.0.1:1,127.0.0.1:2/brevet".to_owned();
    let error = Store::connect(&Target::Postgres { url: Secret::new(url) }).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(told) if !told.contains("hunter2")), "{error}");
}
