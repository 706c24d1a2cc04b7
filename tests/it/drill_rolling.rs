//! A rolling restart under load: two `brevet serve` on one PostgreSQL behind a load balancer are told to stop, one after the
//! other, while a newer version's migration adds columns. No request fails.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::minters::Minters;
use crate::support::process::{self, Home};
use crate::support::replicas::{REPLICAS, Replicas};
use crate::support::served::{free_port, status};
use crate::support::variable;

const CLIENTS: usize = 6;
const REST: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_mins(1);
/// How long whoever rolls out waits before the next replica: by then a balancer that looks at `/readyz` has seen this one.
const SEEN: Duration = Duration::from_secs(1);

/// What an expanding migration of the next version does to the tables that a mint reads and writes.
const EXPANSION: [&str; 6] = [
    "ALTER TABLE teams ADD COLUMN drill_{} TEXT",
    "ALTER TABLE credentials ADD COLUMN drill_{} BIGINT",
    "ALTER TABLE service_accounts ADD COLUMN drill_{} TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE signing_keys ADD COLUMN drill_{} TEXT",
    "ALTER TABLE audit_events ADD COLUMN drill_{} TEXT",
    "CREATE INDEX drill_{} ON credentials (drill_{})",
];

#[test]
fn a_rolling_restart_and_a_migration_under_load_fail_no_request() {
    let rounds = variable("BREVET_DRILL_ROUNDS").map_or(1, |text| text.to_str().unwrap().parse().unwrap());
    let Some(mut replicas) = Replicas::start() else { return };
    let key = replicas.furnish();
    let minters = Minters::start(&replicas.issuer, &key, CLIENTS, REST);
    for round in 0..rounds {
        for replica in 0..REPLICAS {
            assert!(minters.wait_for(50, PATIENCE).is_some(), "there is no load: {:?}", minters.so_far().failures);
            let ended = replicas.terminate(replica);
            assert_eq!(ended.code(), Some(0), "{ended:#?}");
            assert!(
                minters.wait_for(50, PATIENCE).is_some(),
                "one replica alone mints: {:?}",
                minters.so_far().failures
            );
            for statement in EXPANSION.iter().skip(replica * 3).take(3) {
                replicas.execute(statement.replace("{}", &round.to_string()));
            }
            assert!(minters.wait_for(50, PATIENCE).is_some(), "the schema grew: {:?}", minters.so_far().failures);
            replicas.serve(replica);
            thread::sleep(SEEN);
        }
    }
    assert!(minters.wait_for(50, PATIENCE).is_some(), "both are back");
    let minted = minters.finish();
    let failed = minted.failures.len();
    println!("{} restarts, {} tokens, {failed} failed requests", rounds * REPLICAS, minted.tokens.len());
    assert!(minted.failures.is_empty(), "{:?}", minted.failures);
    let rows = replicas.texts("SELECT token_id FROM audit_events WHERE action = 'token.mint' AND decision = 'allowed'");
    assert!(minted.tokens.is_subset(&rows), "a token left without its row");
}

#[test]
fn readiness_falls_while_requests_are_still_taken() {
    let home = Home::new();
    let public = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{public}");
    let mut command = home.brevet(["serve", "--development", "--issuer-url", &url, "--public-listen", &public]);
    command.args(["--admin-listen", "same", "--ops-listen", "127.0.0.1:0", "--stop-delay", "15"]);
    let running = process::start(command);
    let line: Value = serde_json::from_str(&running.wait_for("\"serving\"")).expect("a JSON line");
    let ops = line["ops"].as_str().expect("an address").to_owned();
    assert_eq!((status(&ops, "/readyz"), status(&public, "/.well-known/jwks.json")), (Some(200), Some(200)));
    running.terminate();
    let began = Instant::now();
    while status(&ops, "/readyz") == Some(200) {
        assert!(began.elapsed() < PATIENCE, "/readyz does not fall");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(status(&ops, "/readyz"), Some(503));
    assert_eq!(status(&ops, "/healthz"), Some(200), "it lives");
    assert_eq!(status(&public, "/.well-known/jwks.json"), Some(200), "and takes requests");
    assert_eq!(running.finish().code(), Some(0));
    assert_eq!(status(&public, "/.well-known/jwks.json"), None);
}
