//! A database in trouble under load: two `brevet serve` on one PostgreSQL behind one nginx, and between them and the
//! database a network that fails. It is ended, killed, one of its processes is killed, it is frozen, cut off, silenced
//! and slowed. Whatever happens, no token leaves without its row, no row is lost, no request hangs, the public documents
//! go on, and it all comes back by itself.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chaos::Weather;
use crate::support::minters::{HANGS, Minters};
use crate::support::replicas::{REPLICAS, Replicas};
use crate::support::served::status;
use crate::support::variable;

const CLIENTS: usize = 6;
const REST: Duration = Duration::from_millis(10);
/// How long a trouble lasts.
const HELD: Duration = Duration::from_secs(3);
/// How long anything that must come to pass may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// SIGQUIT: it ends at once, without an orderly shutdown.
    Ended,
    /// SIGKILL of the server.
    Killed,
    /// SIGKILL of one process that serves a connection: the server ends all others and recovers by itself.
    BackendKilled,
    Frozen,
    Cut,
    Silent,
    Slow,
}

impl Trouble {
    const ALL: [Self; 7] =
        [Self::Ended, Self::Killed, Self::BackendKilled, Self::Frozen, Self::Cut, Self::Silent, Self::Slow];

    fn begin(self, replicas: &mut Replicas) {
        match self {
            Self::Ended => replicas.stop_database(),
            Self::Killed => replicas.slay_database(),
            Self::BackendKilled => replicas.slay_backend(),
            Self::Frozen => replicas.freeze_database(),
            Self::Cut => replicas.weather(Weather::Cut),
            Self::Silent => replicas.weather(Weather::Silent),
            Self::Slow => replicas.weather(Weather::Slow(Duration::from_millis(60))),
        }
    }

    fn end(self, replicas: &mut Replicas) {
        match self {
            Self::Ended | Self::Killed => replicas.resume_database(),
            Self::BackendKilled => {}
            Self::Frozen => replicas.thaw_database(),
            Self::Cut | Self::Silent | Self::Slow => replicas.weather(Weather::Fair),
        }
    }
}

/// The ids of all tokens whose release a row authorises.
fn rows(replicas: &Replicas) -> BTreeSet<String> {
    replicas.texts("SELECT token_id FROM audit_events WHERE action = 'token.mint' AND decision = 'allowed'")
}

#[test]
fn threat_42_a_database_in_trouble_costs_no_row_and_hangs_nobody() {
    let rounds = variable("BREVET_DRILL_ROUNDS").map_or(1, |text| text.to_str().unwrap().parse().unwrap());
    let Some(mut replicas) = Replicas::start_in_weather() else { return };
    let key = replicas.furnish();
    let minters = Minters::start(&replicas.issuer, &key, CLIENTS, REST);
    let mut known = BTreeSet::new();
    for trouble in [Trouble::ALL].repeat(rounds).concat() {
        assert!(
            minters.wait_for(20, PATIENCE).is_some(),
            "no load before {trouble:?}: {:?}",
            minters.so_far().failures
        );
        let before = minters.so_far();
        let began = Instant::now();
        trouble.begin(&mut replicas);
        while began.elapsed() < HELD {
            // Whoever verifies tokens notices nothing, whichever replica they ask.
            for replica in 0..REPLICAS {
                let answered = status(&replicas.address(replica), "/.well-known/jwks.json");
                assert_eq!(answered, Some(200), "the keys are published without the database ({trouble:?})");
            }
            thread::sleep(Duration::from_millis(100));
        }
        trouble.end(&mut replicas);
        let back = minters.wait_for(10, PATIENCE);
        let after = minters.so_far();
        let back = back.unwrap_or_else(|| panic!("{trouble:?} has not passed: {:?}", after.failures.last()));
        println!(
            "{trouble:?}: {:.1} s of it, tokens again {:.2} s after its end, {} requests refused meanwhile, the slowest \
             took {:.1} s",
            HELD.as_secs_f64(),
            back.as_secs_f64(),
            after.failures.len() - before.failures.len(),
            after.slowest.as_secs_f64()
        );
        let rows = rows(&replicas);
        assert!(known.is_subset(&rows), "{trouble:?} lost {:?}", known.difference(&rows).collect::<Vec<_>>());
        known = rows;
    }
    let minted = minters.finish();
    let rows = rows(&replicas);
    let lost: Vec<_> = minted.tokens.difference(&rows).collect();
    assert!(lost.is_empty(), "{} of {} tokens have no row: {lost:?}", lost.len(), minted.tokens.len());
    assert!(minted.slowest < HANGS, "a request hung");
    // What was refused was refused as such: told to come back, and nothing of the database's words.
    let told_to_come_back = |told: &&String| told.starts_with("503: ") && told.contains("; come back in ");
    let other: Vec<_> =
        minted.failures.iter().filter(|told| told.contains("postgres") || !told_to_come_back(told)).collect();
    assert!(other.is_empty(), "{other:?}");
    assert!(!minted.failures.is_empty(), "no trouble was noticed");
    println!("{} tokens, {} refusals, every token has its row", minted.tokens.len(), minted.failures.len());
    for ended in replicas.stop() {
        assert_eq!(ended.code(), Some(0), "{ended:#?}");
    }
}
