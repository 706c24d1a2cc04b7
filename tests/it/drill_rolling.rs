//! A rolling restart, and a rolling upgrade, under load: two `brevet serve` on one PostgreSQL behind a load balancer are told to
//! stop, one after the other, while a newer version's migration adds columns. No request fails.

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
#[ignore = "needs the program of an older release: scripts/drill upgrade --from PROGRAM"]
fn a_rolling_upgrade_under_load_fails_no_request_and_both_releases_serve_one_schema() {
    let older = variable("BREVET_DRILL_OLDER").expect("BREVET_DRILL_OLDER names a program");
    let Some(mut replicas) = Replicas::start_older(older) else { return };
    let key = replicas.furnish();
    let agent = ["--team", "red", "watched"];
    replicas
        .admin(&["admin", "service-accounts", "create", "--team", "red", "--uid", "watched", "--name", "W"], PATIENCE);
    let watched = replicas.admin(&[&["admin", "service-accounts", "create-key"][..], &agent].concat(), PATIENCE);
    let schema = "SELECT max(version)::text FROM schema_migrations";
    let before = replicas.texts(schema);
    let minters = Minters::start(&replicas.issuer, &key, CLIENTS, REST);
    let minted =
        |minters: &Minters| assert!(minters.wait_for(50, PATIENCE).is_some(), "{:?}", minters.so_far().failures);
    minted(&minters);
    assert_eq!(replicas.terminate(0).code(), Some(0));
    minted(&minters);
    replicas.upgrade();
    replicas.serve(0);
    thread::sleep(SEEN);
    let after = replicas.texts(schema);
    assert_ne!(before, after, "--from names a release with an older schema");
    let of_each = || {
        [0, 1].map(|replica| {
            let one = Minters::start(&format!("http://{}", replicas.address(replica)), &watched, 1, REST);
            thread::sleep(SEEN);
            one.finish()
        })
    };
    let [new, old] = of_each();
    println!(
        "schema {before:?} -> {after:?}; the new one minted {}, the old one {}",
        new.tokens.len(),
        old.tokens.len()
    );
    assert!([&new, &old].iter().all(|one| one.failures.is_empty() && !one.tokens.is_empty()), "{new:?} {old:?}");
    // Off means off, whichever was told.
    for told in 0..REPLICAS {
        let switch = |switch| {
            let mut command =
                replicas.command(&[&["admin", "service-accounts", "update", switch][..], &agent].concat());
            command.env("BREVET_ADMIN_URL", format!("http://{}", replicas.address(told)));
            let ended = process::run(command);
            assert_eq!(ended.code(), Some(0), "{ended:#?}");
        };
        switch("--disable");
        for one in of_each() {
            assert!(one.tokens.is_empty(), "a disabled agent mints: {one:?}");
            assert!(!one.failures.is_empty() && one.failures.iter().all(|said| said.contains("disabled")), "{one:?}");
        }
        switch("--enable");
        for one in of_each() {
            assert!(one.failures.is_empty() && !one.tokens.is_empty(), "it is on again: {one:?}");
        }
    }
    assert_eq!(replicas.terminate(1).code(), Some(0));
    minted(&minters);
    replicas.serve(1);
    thread::sleep(SEEN);
    minted(&minters);
    let minted = minters.finish();
    println!("upgraded, {} tokens, {} failed requests", minted.tokens.len(), minted.failures.len());
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
