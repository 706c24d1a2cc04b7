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
        vec![World::after_quiet(&self.0)]
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
    Bounds {
        quiet: 0,
        horizon: 6,
        faults: 0,
        commands: 0,
        off: [0, 1, -1],
        only: vec![],
        split: false,
        rule: None,
        shelf: Shelf::default(),
    }
}

/// What a search came to.
struct Found {
    fault: Option<(&'static str, Vec<Action>)>,
    /// Whether signing came to a key that was made after the first pair.
    handed_over: bool,
    states: usize,
    depth: usize,
}

/// Searches on so many threads until all is seen or something is broken.
fn search(bounds: Bounds, threads: usize) -> Found {
    let checker = Search(bounds).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    Found {
        fault: checker.discovery("sound").map(|path| (path.last_state().fault.unwrap(), path.into_actions())),
        handed_over: checker.discovery("a key signs that was made after the first pair").is_some(),
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
    }
}

/// How many seconds of the world `scripts/drill interleavings` adds to each search.
fn longer() -> i64 {
    variable("BREVET_DRILL_LONGER").map_or(0, |text| text.to_str().unwrap().parse().unwrap())
}

/// Searches a world in which nothing may break.
#[track_caller]
fn holds(what: &str, bounds: Bounds) -> Found {
    let bounds = Bounds { horizon: bounds.horizon + longer(), ..bounds };
    let (horizon, began) = (bounds.horizon, Instant::now());
    let found = search(bounds, 2);
    assert_eq!(found.fault, None, "{what}, {horizon} s");
    println!(
        "{what}: {horizon} s of the world, {} states, {} deep, {:.1?}",
        found.states,
        found.depth,
        began.elapsed()
    );
    found
}

const FAULTS: [Event; 5] = [Event::Kill, Event::Cut, Event::Outage, Event::WrongClock, Event::Freeze];

/// Each command, and for how many seconds its search goes on: longer than any by which a control finds what a rule
/// prevents there.
const COMMANDS: [(Event, i64); 6] = [
    (Event::Rotate, 4),
    (Event::Prepare, 5),
    (Event::DistrustSigning, 3),
    (Event::DistrustStandby, 3),
    (Event::ReplaceAll, 4),
    (Event::RaiseMaxAge, 8),
];

#[test]
fn threat_16_in_the_even_course_keys_follow_each_other_and_every_token_verifies() {
    let found = holds("even course", Bounds { horizon: 13, ..bounds() });
    assert!(found.handed_over, "the search is too short to see a hand-over to a key made later");
    // Decided by one, and committed when others have been there, it comes to the same.
    holds("even course in halves", Bounds { horizon: 8, split: true, ..bounds() });
}

#[test]
fn threat_16_no_command_at_any_moment_breaks_a_verifier_beyond_what_the_operator_was_told() {
    for (command, horizon) in COMMANDS {
        holds(&format!("{command:?}"), Bounds { horizon, commands: 1, only: vec![command], ..bounds() });
    }
    let only = vec![Event::Prepare];
    holds("Prepare in halves", Bounds { horizon: 5, commands: 1, only, split: true, ..bounds() });
}

#[test]
fn threat_16_no_crash_lost_database_wrong_clock_or_frozen_copy_breaks_a_verifier() {
    for fault in FAULTS {
        // What a copy that nobody renews does, or a database that is away, shows late.
        let horizon = if matches!(fault, Event::Freeze | Event::Outage) { 11 } else { 9 };
        holds(&format!("{fault:?}"), Bounds { horizon, faults: 1, only: vec![fault], ..bounds() });
    }
}

/// A fault and a command in one course, at its begin and, after some quiet seconds, where the first standby has waited
/// and signing moves to it: here each fault and each command, in the drill all pairs.
#[test]
fn threat_16_no_fault_together_with_a_command_breaks_a_verifier() {
    let short = [
        (Event::Kill, Event::Rotate, 0, 2),
        (Event::Kill, Event::DistrustStandby, HANDS_OVER, 1),
        (Event::Cut, Event::DistrustSigning, HANDS_OVER, 1),
        (Event::Outage, Event::ReplaceAll, HANDS_OVER, 1),
        (Event::WrongClock, Event::Prepare, HANDS_OVER, 2),
        (Event::Freeze, Event::RaiseMaxAge, 0, 4),
    ];
    let all = || {
        [(HANDS_OVER, 1), (0, 3)].into_iter().flat_map(|(quiet, seconds)| {
            let with = move |fault: Event| COMMANDS.map(|(command, _)| (fault, command, quiet, seconds));
            FAULTS.into_iter().flat_map(with)
        })
    };
    let courses: Vec<_> = if longer() == 0 { short.to_vec() } else { all().collect() };
    for (fault, command, quiet, seconds) in courses {
        let only = vec![fault, command];
        let both = Bounds { quiet, horizon: quiet + seconds, faults: 1, commands: 1, only, ..bounds() };
        holds(&format!("{fault:?} and {command:?} after {quiet} s"), both);
    }
}

/// So many seconds into the even course a hand-over is under way.
const HANDS_OVER: i64 = 6;

#[test]
fn after_the_quiet_seconds_a_hand_over_is_under_way() {
    let world = World::after_quiet(&Bounds { quiet: HANDS_OVER, horizon: HANDS_OVER + 1, ..bounds() });
    assert_eq!((world.now, world.fault, world.hands_over_in()), (HANDS_OVER, None, Some(1)));
}

/// A world without `rule`, in which `event` may happen once.
fn without(rule: Off, event: Option<Event>, horizon: i64) -> Bounds {
    let fault = event.is_some_and(|event| FAULTS.contains(&event));
    let (faults, commands) = (u8::from(fault), u8::from(event.is_some() && !fault));
    let split = matches!(rule, Off::CompareAndSwap | Off::OneTransaction);
    Bounds { horizon, faults, commands, only: event.into_iter().collect(), split, rule: Some(rule), ..bounds() }
}

/// Each rule in turn is switched off, and the search finds what it prevents, in fewer seconds than those for which the
/// same course holds with it.
#[test]
fn threat_16_the_search_finds_what_each_rule_prevents() {
    let unverified = "a live token meets a JWKS without its key";
    let none = "not exactly one key signs while database and clock are sound";
    let foreign = "the keys of the database are no issuer's";
    for (rule, event, horizon, fault) in [
        (Off::Room, None, 2, vec![foreign]),
        (Off::PublishBeforeSign, Some(Event::Rotate), 3, vec![unverified]),
        (Off::KeepAfterSign, None, 5, vec![unverified]),
        (Off::Sighting, Some(Event::Freeze), 10, vec![unverified]),
        (Off::CompareAndSwap, Some(Event::Prepare), 4, vec![none, foreign, unverified]),
        (Off::OneTransaction, None, 4, vec![none, foreign]),
        (Off::FreshSnapshotAndProof, Some(Event::Rotate), 3, vec![unverified]),
        (Off::ClockCheck, Some(Event::WrongClock), 3, vec![unverified]),
        (Off::BackDatedSuccessor, Some(Event::DistrustSigning), 2, vec![none]),
        (Off::Stands, Some(Event::Prepare), 4, vec![unverified]),
        (Off::Gaps, Some(Event::Outage), 10, vec![unverified]),
    ] {
        let began = Instant::now();
        // On one thread the fault that is found first is the same each time.
        let found = search(without(rule, event, horizon), 1);
        let (seen, way) = found.fault.unwrap_or_else(|| panic!("nothing breaks without {rule:?}"));
        println!("without {rule:?}: {seen} after {way:?}; {} states, {:.1?}", found.states, began.elapsed());
        assert!(fault.contains(&seen), "without {rule:?}: {seen}: {way:?}");
    }
}
