//! docs/key-life.svg, the picture of a key's life: its numbers are those of the default schedule, and its shapes say
//! what the rules say.

use std::collections::{BTreeMap, BTreeSet};

use brevet::domain::issuer_url::Development;
use brevet::domain::key_schedule::{KeySchedule, STS_TOLERANCE, ScheduleNumbers};
use brevet::domain::lifetime::LIFETIME_MAX;

const PICTURE: &str = include_str!("../../docs/key-life.svg");

/// The value of an attribute of one element's text.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// Every number of the picture: its name, its seconds, and how it is written.
fn numbers() -> Vec<(&'static str, u32, &'static str)> {
    let elements = PICTURE.split("<tspan").skip(1).filter(|element| element.contains(" data-number="));
    let number = |element: &'static str| {
        let seconds = attribute(element, "data-seconds").unwrap().parse().unwrap();
        let written = element.split_once('>').unwrap().1.split('<').next().unwrap();
        (attribute(element, "data-number").unwrap(), seconds, written)
    };
    elements.map(number).collect()
}

#[test]
fn the_picture_tells_the_numbers_of_the_default_schedule() {
    let n = ScheduleNumbers::default();
    let schedule = KeySchedule::new(n, Development::Off).unwrap();
    let lead = u32::try_from(schedule.handover_lead().whole_seconds()).unwrap();
    let known = BTreeMap::from([
        ("publish_before_sign", n.publish_before_sign),
        ("rotation_period", n.rotation_period),
        ("keep_after_sign", n.keep_after_sign),
        ("max_age", n.max_age),
        ("export_lag", n.export_lag),
        ("clock_error", n.clock_error),
        ("oldest_snapshot", n.oldest_snapshot),
        ("longest_token", LIFETIME_MAX),
        ("aws_tolerance", STS_TOLERANCE),
        ("lead", lead),
        ("day", 86_400),
    ]);
    let told = numbers();
    for (name, seconds, written) in &told {
        assert_eq!(known.get(name), Some(seconds), "{name}");
        let (count, unit) = written.split_once(' ').unwrap();
        let unit = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            other => panic!("{name} is written in {other:?}"),
        };
        assert_eq!(count.parse::<u32>().unwrap() * unit, *seconds, "{name} is written as {written}");
    }
    let told: BTreeSet<_> = told.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(told, known.into_keys().collect(), "a number is missing from the picture");
}

#[test]
fn in_the_picture_one_key_signs_at_any_time_and_each_is_published_around_its_turn() {
    let number = |element: &str, name: &str| -> i64 { attribute(element, name).unwrap().parse().unwrap() };
    // By row: what the key does, from and until when.
    let mut keys = BTreeMap::<i64, Vec<(&str, i64, i64)>>::new();
    for element in PICTURE.split("<rect").skip(1) {
        let (from, wide) = (number(element, "x"), number(element, "width"));
        let what = attribute(element, "class").unwrap();
        keys.entry(number(element, "y")).or_default().push((what, from, from + wide));
    }
    assert_eq!(keys.len(), 3);
    let mut turns = Vec::new();
    for spans in keys.values() {
        for pair in spans.windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "a key is published without a gap: {spans:?}");
        }
        turns.extend(spans.iter().filter(|(what, _, _)| *what == "sign").map(|(_, from, until)| (*from, *until)));
    }
    assert!(turns.windows(2).all(|pair| pair[0].1 == pair[1].0), "one signs at any time: {turns:?}");
    // Both hand-overs are drawn where they are.
    for (_, until) in &turns[..2] {
        assert!(PICTURE.contains(&format!("class=\"hand\" d=\"M{until} ")), "no hand-over at {until}");
    }
}
