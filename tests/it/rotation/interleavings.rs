//! Every interleaving of a small world, searched breadth first.

#![expect(clippy::print_stdout, reason = "how much was searched is for whoever reads the test's output")]

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use super::known::Shelf;
use super::world::{Action, Bounds, Event, Off, World};
use crate::support::variable;

/// The search's view of the world.
struct Search(Bounds);

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.0)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(world.actions(&self.0));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        world.after(&self.0, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("sound", |_, world: &World| world.fault.is_none()),
            Property::sometimes("a key signs that was made after the first pair", |_, world: &World| world.handed_over),
        ]
    }
}

fn bounds() -> Bounds {
    Bounds { horizon: 6, faults: 0, commands: 0, off: [0, 1, -1], only: vec![], split: false, rule: None, shelf: Shelf::default() }
}

/// What a search came to.
struct Found {
    fault: Option<(&'static str, Vec<Action>)>,
    /// Whether signing came to a key that was made after the first pair.
    handed_over: bool,
    states: usize,
}

/// Searches until all is seen or something is broken.
fn search(bounds: Bounds) -> Found {
    let checker = Search(bounds).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    Found {
        fault: checker.discovery("sound").map(|path| (path.last_state().fault.unwrap(), path.into_actions())),
        handed_over: checker.discovery("a key signs that was made after the first pair").is_some(),
        states: checker.unique_state_count(),
    }
}

/// Searches a world in which nothing may break, a few seconds longer where `scripts/drill interleavings` asks for it.
#[track_caller]
fn holds(what: &str, bounds: Bounds) -> Found {
    let longer = variable("BREVET_DRILL_LONGER").map_or(0, |text| text.to_str().unwrap().parse().unwrap());
    let bounds = Bounds { horizon: bounds.horizon + longer, ..bounds };
    let began = Instant::now();
    let found = search(bounds.clone());
    assert_eq!(found.fault, None, "{what}: {bounds:?}");
    println!("{what}: {} s of the world, {} states, {:.1?}", bounds.horizon, found.states, began.elapsed());
    found
}

#[test]
fn threat_16_in_the_even_course_keys_follow_each_other_and_every_token_verifies() {
    let found = holds("even course", Bounds { horizon: 12, ..bounds() });
    assert!(found.handed_over, "the search is too short to see a hand-over to a key made later");
}

#[test]
fn threat_16_no_command_at_any_moment_breaks_a_verifier_beyond_what_the_operator_was_told() {
    for (command, horizon) in [
        (Event::Rotate, 2),
        (Event::Prepare, 4),
        (Event::DistrustSigning, 2),
        (Event::DistrustStandby, 2),
        (Event::ReplaceAll, 3),
        (Event::RaiseMaxAge, 4),
    ] {
        holds(&format!("{command:?}"), Bounds { horizon, commands: 1, only: vec![command], ..bounds() });
    }
}

#[test]
fn threat_16_no_crash_lost_database_wrong_clock_or_frozen_copy_breaks_a_verifier() {
    for fault in [Event::Kill, Event::Cut, Event::Outage, Event::WrongClock, Event::Freeze] {
        holds(&format!("{fault:?}"), Bounds { horizon: 5, faults: 1, only: vec![fault], ..bounds() });
    }
}

/// A world without `rule`, in which `event` may happen once.
fn without(rule: Off, event: Option<Event>, horizon: i64) -> Bounds {
    let fault = event.is_some_and(|event| matches!(event, Event::WrongClock | Event::Freeze));
    let (faults, commands) = (u8::from(fault), u8::from(event.is_some() && !fault));
    Bounds { horizon, faults, commands, only: event.into_iter().collect(), split: true, rule: Some(rule), ..bounds() }
}

/// Each rule in turn is switched off, and the search finds what it prevents.
#[test]
fn threat_16_the_search_finds_what_each_rule_prevents() {
    let unverified = "a live token meets a JWKS without its key";
    let none = "not exactly one key signs while database and clock are sound";
    let foreign = "the keys of the database are no issuer's";
    for (rule, event, horizon, fault) in [
        (Off::Room, None, 4, vec![foreign]),
        (Off::PublishBeforeSign, Some(Event::Rotate), 6, vec![unverified]),
        (Off::KeepAfterSign, None, 8, vec![unverified]),
        (Off::Sighting, Some(Event::Freeze), 12, vec![unverified]),
        (Off::CompareAndSwap, Some(Event::Prepare), 6, vec![none, foreign, unverified]),
        (Off::OneTransaction, None, 8, vec![none, foreign]),
        (Off::FreshSnapshotAndProof, Some(Event::Rotate), 8, vec![unverified]),
        (Off::ClockCheck, Some(Event::WrongClock), 6, vec![unverified]),
        (Off::BackDatedSuccessor, Some(Event::DistrustSigning), 4, vec![none]),
    ] {
        let began = Instant::now();
        let found = search(without(rule, event, horizon));
        let (seen, way) = found.fault.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
        println!("without {rule:?}: {seen} after {way:?}; {} states, {:.1?}", found.states, began.elapsed());
        assert!(fault.contains(&seen), "without {rule:?}: {seen}: {way:?}");
    }
}

#[test]
fn scratch() {
    let get = |name: &str, or: i64| variable(name).map_or(or, |t| t.to_str().unwrap().parse().unwrap());
    let all = [
        Event::Kill,
        Event::Cut,
        Event::Outage,
        Event::WrongClock,
        Event::Freeze,
        Event::Rotate,
        Event::Prepare,
        Event::DistrustSigning,
        Event::DistrustStandby,
        Event::ReplaceAll,
        Event::RaiseMaxAge,
    ];
    let only: Vec<_> = variable("ONLY")
        .map_or(String::new(), |t| t.to_str().unwrap().to_owned())
        .split(',')
        .filter_map(|n| all.iter().find(|e| format!("{e:?}") == n).copied())
        .collect();
    for horizon in get("FROM", 2)..=get("TO", 4) {
        let b = Bounds {
            horizon,
            faults: get("F", 0) as u8,
            commands: get("C", 0) as u8,
            split: get("SPLIT", 0) == 1,
            only: only.clone(),
            ..bounds()
        };
        let began = Instant::now();
        let found = search(b.clone());
        println!(
            "{only:?} h{horizon}: {} states, {:.1?} {:?} {}",
            found.states,
            began.elapsed(),
            found.fault,
            found.handed_over
        );
    }
}
#[test]
fn controls() {
    for (rule, event) in [
        (Off::Room, None),
        (Off::PublishBeforeSign, Some(Event::Rotate)),
        (Off::KeepAfterSign, None),
        (Off::Sighting, Some(Event::Freeze)),
        (Off::CompareAndSwap, Some(Event::Prepare)),
        (Off::OneTransaction, None),
        (Off::FreshSnapshotAndProof, Some(Event::Rotate)),
        (Off::ClockCheck, Some(Event::WrongClock)),
        (Off::BackDatedSuccessor, Some(Event::DistrustSigning)),
        (Off::Stands, Some(Event::Prepare)),
    ] {
        for horizon in 1..12 {
            let began = Instant::now();
            let found = search(Bounds {
                split: variable("SPLIT").is_some() || matches!(rule, Off::CompareAndSwap | Off::OneTransaction),
                ..without(rule, event, horizon)
            });
            if let Some(fault) = &found.fault {
                println!("C {rule:?} h{horizon} {:?}: {} states, {:.1?}", fault, found.states, began.elapsed());
                break;
            }
            if found.states > 100_000 {
                println!("C {rule:?} h{horizon} not yet {}", found.states);
                break;
            }
        }
    }
}
