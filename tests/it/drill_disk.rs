//! A full disk under load: mints are told to come back and leave no token without its row, the public documents go on,
//! `/readyz` says what is wrong, and with room again it all goes on by itself.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs the drill")]

use std::thread;
use std::time::{Duration, Instant};

use crate::support::disk::Disk;
use crate::support::drilled::{Drilled, no_rates};
use crate::support::leash::LeashedPostgres;
use crate::support::load::{Crowd, mint};
use crate::support::process::Home;
use crate::support::served::status;
use crate::support::variable;

const PATIENCE: Duration = Duration::from_mins(1);

fn full_disk(mut drilled: Drilled, disk: &Disk, revive: &mut dyn FnMut()) {
    let rounds: u32 = variable("BREVET_DRILL_ROUNDS").map_or(1, |text| text.to_str().unwrap().parse().unwrap());
    let (address, name) = (drilled.address(), drilled.name);
    let keys = drilled.furnish(&["red"], 4).remove(0);
    let requests = keys.iter().map(|key| mint(&address, key)).collect();
    let every = Duration::from_millis(5);
    let crowd = Crowd { address: address.clone(), requests, connections: 8, every, humble: false }.start();
    for _ in 0..rounds {
        assert!(crowd.wait_for(20, 200, PATIENCE), "{name}: no load: {:?}", crowd.so_far().answers);
        assert_eq!(drilled.readiness()["ready"], true);
        disk.fill();
        let full = Instant::now();
        assert!(crowd.wait_for(20, 503, PATIENCE), "{name}: nothing was refused: {:?}", crowd.so_far().answers);
        let refused = full.elapsed();
        for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
            assert_eq!(status(&address, path), Some(200), "{name}: published without a disk");
        }
        // A row that still fits into a page begun before counts as written, until all of those are full.
        let told = loop {
            let told = drilled.readiness();
            if told["ready"] == false {
                break told;
            }
            assert!(full.elapsed() < PATIENCE, "{name}: {told}");
            disk.fill();
            thread::sleep(Duration::from_millis(50));
        };
        assert_ne!(told["parts"]["database"], "ok", "{name}: {told}");
        thread::sleep(Duration::from_secs(1));
        disk.free();
        let freed = Instant::now();
        revive();
        // Again, because it may just have been ending.
        while !crowd.wait_for(1, 200, Duration::from_secs(1)) {
            assert!(freed.elapsed() < PATIENCE, "{name} does not come back: {}", drilled.readiness());
            revive();
        }
        assert!(crowd.wait_for(20, 200, PATIENCE), "{name} does not stay: {}", drilled.readiness());
        println!(
            "disk full, {name}: refused {:.2} s after it was full, \"{}\", tokens again {:.2} s after there was room",
            refused.as_secs_f64(),
            told["parts"]["database"].as_str().unwrap(),
            freed.elapsed().as_secs_f64()
        );
        while drilled.readiness()["ready"] != true {
            assert!(freed.elapsed() < PATIENCE, "{name}: {}", drilled.readiness());
            thread::sleep(Duration::from_millis(50));
        }
    }
    let told = crowd.finish();
    assert!(told.answers.keys().all(|status| [200, 503].contains(status)), "{name}: {:?}", told.answers);
    assert_eq!(told.without_retry_after, 0, "{name}");
    assert!(told.broken.is_empty(), "{name}: {:?}", told.broken.first());
    println!(
        "  {} tokens, {} refused, the slowest took {:.2} s",
        told.tokens.len(),
        told.of(503),
        told.slowest().as_secs_f64()
    );
    assert_eq!(drilled.served.stop().code(), Some(0), "{name}");
    let released = drilled.released();
    let lost: Vec<_> = told.tokens.difference(&released).collect();
    assert!(lost.is_empty(), "{name}: {} of {} tokens have no row", lost.len(), told.tokens.len());
}

#[test]
fn threat_42_a_full_disk_under_sqlite_costs_no_row_and_passes() {
    let Some(disk) = Disk::mount(24) else { return };
    full_disk(Drilled::on_sqlite(Home::within(disk.path()), no_rates()), &disk, &mut || {});
}

#[test]
fn threat_42_a_full_disk_under_postgresql_costs_no_row_and_passes() {
    let Some(disk) = Disk::mount(192) else { return };
    let Some(mut server) = LeashedPostgres::start_in(disk.path()) else { return };
    let drilled = Drilled::on_postgres_at(server.url().to_owned(), no_rates());
    // Where it ended by itself, because not even its journal could be written, whoever runs it starts it again.
    full_disk(drilled, &disk, &mut || server.revive());
}
