//! SIGKILL of the issuer while it mints under load: every token that a client received has its audit row, no client hangs,
//! and it mints again by itself.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::drilled::{Drilled, no_rates};
use crate::support::load::{Crowd, mint};
use crate::support::variable;

/// How many clients mint at once.
const CLIENTS: usize = 8;
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn threat_42_a_killed_issuer_has_released_no_token_without_its_row() {
    let kills: u64 = variable("BREVET_DRILL_KILLS").map_or(2, |text| text.to_str().unwrap().parse().unwrap());
    for mut drilled in Drilled::each(&no_rates()) {
        let (address, name) = (drilled.address(), drilled.name);
        let keys = drilled.furnish(&["red"], CLIENTS).remove(0);
        let requests = keys.iter().map(|key| mint(&address, key)).collect();
        let every = Duration::from_millis(5);
        let crowd = Crowd { address, requests, connections: CLIENTS, every, humble: false }.start();
        let mut away = Vec::new();
        for kill in 1..=kills {
            assert!(crowd.wait_for(1, 200, PATIENCE), "{name}: no load for kill {kill}");
            // Some moment in the middle of the load, another one each time.
            sleep(Duration::from_millis(300 + 37 * (kill % 17)));
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
