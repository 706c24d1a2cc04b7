//! SIGKILL of the issuer while it mints under load: every token that a client received has its audit row, no client hangs,
//! and it mints again by itself; of two replicas the other one goes on, and behind a balancer nobody notices.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::drilled::{Drilled, no_rates};
use crate::support::load::{Crowd, mint};
use crate::support::minters::Minters;
use crate::support::replicas::{REPLICAS, Replicas};
use crate::support::variable;

/// How many clients mint at once: one network asks the store about no more strangers at a time.
const CLIENTS: usize = 6;
const PATIENCE: Duration = Duration::from_mins(1);

fn kills() -> usize {
    variable("BREVET_DRILL_KILLS").map_or(2, |text| text.to_str().unwrap().parse().unwrap())
}

/// Some moment in the middle of the load, another one each time.
fn moment(kill: usize) -> Duration {
    Duration::from_millis(300 + 37 * (kill as u64 % 17))
}

#[test]
fn threat_42_a_killed_issuer_has_released_no_token_without_its_row() {
    let kills = kills();
    for mut drilled in Drilled::each(&no_rates()) {
        let (address, name) = (drilled.address(), drilled.name);
        let keys = drilled.furnish(&["red"], CLIENTS).remove(0);
        let requests = keys.iter().map(|key| mint(&address, key)).collect();
        let every = Duration::from_millis(5);
        let crowd = Crowd { address, requests, connections: CLIENTS, every, humble: false }.start();
        let mut away = Vec::new();
        for kill in 1..=kills {
            assert!(crowd.wait_for(1, 200, PATIENCE), "{name}: no load for kill {kill}");
            sleep(moment(kill));
            drilled.served.kill();
            let killed = Instant::now();
            drilled.served.serve();
            assert!(crowd.wait_for(1, 200, PATIENCE), "{name}: it mints no more after kill {kill}");
            away.push(killed.elapsed());
        }
        // Each waits for the answer that it is owed; one that gets none for too long has panicked.
        let told = crowd.finish();
        assert_eq!(drilled.served.stop().code(), Some(0));
        let released = drilled.released();
        away.sort_unstable();
        println!(
            "crash, {name}: {kills} kills, {} tokens received, {} rows; from a kill to the next token {:.2} s (median), {:.2} s \
             at most",
            told.tokens.len(),
            released.len(),
            away[away.len() / 2].as_secs_f64(),
            away[away.len() - 1].as_secs_f64()
        );
        assert_eq!(told.tokens.len(), told.of(200), "{name}: each token is its own");
        let lost: Vec<_> = told.tokens.difference(&released).collect();
        assert!(lost.is_empty(), "{name}: {} of {} tokens have no row: {lost:?}", lost.len(), told.tokens.len());
    }
}

#[test]
fn threat_42_whichever_replica_dies_the_other_goes_on_and_no_request_fails() {
    let kills = kills();
    let Some(mut replicas) = Replicas::start() else { return };
    let key = replicas.furnish();
    let minters = Minters::start(&replicas.issuer, &key, CLIENTS, Duration::from_millis(5));
    for kill in 1..=kills {
        assert!(minters.wait_for(20, PATIENCE).is_some(), "no load for kill {kill}");
        sleep(moment(kill));
        let dead = kill % REPLICAS;
        replicas.kill(dead);
        assert!(minters.wait_for(20, PATIENCE).is_some(), "the other one alone, after kill {kill}");
        replicas.serve(dead);
    }
    let minted = minters.finish();
    println!(
        "crash of one of {REPLICAS} replicas: {kills} kills, {} tokens, {} failed requests, the slowest {:.2} s",
        minted.tokens.len(),
        minted.failures.len(),
        minted.slowest.as_secs_f64(),
    );
    // The balancer asks the other one again: a mint may be, because a row without its token does no harm.
    assert!(minted.failures.is_empty(), "{:?}", minted.failures);
    let rows = replicas.texts("SELECT token_id FROM audit_events WHERE action = 'token.mint' AND decision = 'allowed'");
    assert!(minted.tokens.is_subset(&rows), "a token left without its row");
}
