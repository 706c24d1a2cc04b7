//! Whatever is done to the keys, in whatever order and by whatever clock: what holds of all of it.

use proptest::prelude::*;
use time::{Duration, OffsetDateTime};

use super::tests::{DAY, EPOCH, House};
use super::{distrust, pending, plan, prepare, renumber, replace_all, retire_all, rotate_now, sighting, standby};
use crate::domain::issuer_url::Development;
use crate::domain::key_schedule::{KeySchedule, STS_TOLERANCE, ScheduleNumbers};
use crate::domain::lifetime::LIFETIME_MAX;
use crate::domain::signing_key::{KEYS_MAX, KeyKind, KeyState, next_change, published, signing_key};

/// What is done next, by a replica whose clock is `off` the true time by so many seconds.
#[derive(Debug, Clone, Copy)]
struct Deed {
    what: What,
    off: i64,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// Nothing for a while, with a look every hour.
    Pass {
        hours: i64,
    },
    /// Nothing for so long, and no look.
    Wait {
        milliseconds: i64,
    },
    /// Nothing until so long before the hand-over that is planned, or after it.
    Near {
        milliseconds: i64,
    },
    LookSees,
    LookMissesStandby,
    Rotate,
    Prepare,
    DistrustSigning,
    DistrustStandby,
    ReplaceAll,
    RetireAll,
    /// From now on other numbers: the wait before signing, and the period.
    Renumber {
        wait_hours: u32,
        period_days: u32,
    },
}

/// The least numbers that hold: nothing below is hidden by a margin.
fn lean() -> ScheduleNumbers {
    let n = ScheduleNumbers::default();
    ScheduleNumbers {
        publish_before_sign: n.max_age + n.export_lag + n.oldest_snapshot + 2 * n.clock_error,
        keep_after_sign: LIFETIME_MAX + STS_TOLERANCE + 2 * n.clock_error,
        rotation_period: 2 * 86_400,
        ..n
    }
}

fn unchecked(numbers: ScheduleNumbers) -> KeySchedule {
    KeySchedule::new(numbers, Development::On).unwrap()
}

/// A house that is a minute old: by every clock its first key signs.
fn house() -> House {
    House { schedule: unchecked(lean()), now: EPOCH + Duration::MINUTE, ..House::new() }
}

fn deed() -> impl Strategy<Value = Deed> {
    let what = prop_oneof![
        4 => (1i64..72).prop_map(|hours| What::Pass { hours }),
        2 => (1i64..90_000).prop_map(|milliseconds| What::Wait { milliseconds }),
        6 => (-80_000i64..12_000).prop_map(|milliseconds| What::Near { milliseconds }),
        2 => Just(What::LookSees),
        4 => Just(What::LookMissesStandby),
        3 => Just(What::Rotate),
        6 => Just(What::Prepare),
        1 => Just(What::DistrustSigning),
        1 => Just(What::DistrustStandby),
        1 => Just(What::ReplaceAll),
        2 => Just(What::RetireAll),
        2 => (2u32..40, 1u32..4).prop_map(|(wait_hours, period_days)| What::Renumber { wait_hours, period_days }),
    ];
    let off = i64::from(ScheduleNumbers::default().clock_error);
    (what, prop::sample::select(vec![-off, 0, off])).prop_map(|(what, off)| Deed { what, off })
}

/// Does it; the clock of `house` is the true one before and after.
fn does(house: &mut House, deed: Deed) {
    let off = Duration::seconds(deed.off);
    let planned =
        signing_key(&house.keys, house.now).ok().and_then(|active| pending(active, standby(&house.keys, house.now)?));
    match deed.what {
        What::Pass { hours } => return house.pass(Duration::hours(hours)),
        What::Wait { milliseconds } => {
            house.now += Duration::milliseconds(milliseconds);
            return;
        }
        What::Near { milliseconds } => {
            let near = planned.map(|at| at + Duration::milliseconds(milliseconds));
            while let Some(near) = near.filter(|near| *near > house.now) {
                house.pass((near - house.now).min(Duration::HOUR));
            }
            return;
        }
        What::LookSees
        | What::LookMissesStandby
        | What::Rotate
        | What::Prepare
        | What::DistrustSigning
        | What::DistrustStandby
        | What::ReplaceAll
        | What::RetireAll
        | What::Renumber { .. } => {}
    }
    house.now += off;
    let (keys, schedule, now) = (&house.keys, &house.schedule, house.now);
    let change = match deed.what {
        What::LookSees => return look(house, off, |_| true),
        What::LookMissesStandby => return look(house, off, |state| state != KeyState::Next),
        What::Rotate => rotate_now(keys, schedule, now).ok().map(|step| step.change(schedule, now)),
        What::Prepare => prepare(keys, schedule, KeyKind::P256, now).ok(),
        What::DistrustSigning => {
            signing_key(keys, now).ok().and_then(|key| distrust(keys, schedule, &key.kid, now).ok()).map(|d| d.change)
        }
        What::DistrustStandby => {
            standby(keys, now).and_then(|key| distrust(keys, schedule, &key.kid, now).ok()).map(|done| done.change)
        }
        What::ReplaceAll => Some(replace_all(keys, schedule, KeyKind::P256, now).change),
        What::RetireAll => Some(retire_all(keys, schedule, KeyKind::P256, now).change),
        What::Renumber { wait_hours, period_days } => {
            let (wait, period) = (wait_hours * 3_600, period_days * 86_400);
            let new = ScheduleNumbers { publish_before_sign: wait, rotation_period: period, ..lean() };
            let new = unchecked(new);
            let change = renumber(keys, &new, now);
            house.schedule = new;
            Some(change)
        }
        What::Pass { .. } | What::Wait { .. } | What::Near { .. } => None,
    };
    // A sixth key is refused by the store.
    let fits = |house: &House| alive(house, house.now) <= KEYS_MAX;
    let before = house.keys.clone();
    if let Some(change) = change {
        house.apply_unchecked(&change);
        if !fits(house) {
            house.keys = before;
        }
    }
    house.now -= off;
}

/// A look by a clock that is `off`, and what follows at once.
fn look(house: &mut House, off: Duration, lists: impl Fn(KeyState) -> bool) {
    let listed = published(&house.keys, house.now).into_iter().filter(|key| lists(key.state(house.now)));
    let listed: Vec<_> = listed.map(|key| key.kid.clone()).collect();
    house.apply(&sighting(&house.keys, &listed, house.now));
    house.steps();
    house.now -= off;
}

fn alive(house: &House, now: OffsetDateTime) -> usize {
    house.keys.iter().filter(|key| key.times.is_alive(now)).count()
}

/// Every instant from `now` on at which anything changes, and those just before.
fn instants(house: &House) -> Vec<OffsetDateTime> {
    let mut instants = vec![house.now];
    while let Some(next) = next_change(&house.keys, *instants.last().unwrap()) {
        instants.extend([next - Duration::MILLISECOND, next]);
    }
    instants
}

/// What any replica may have signed: of each key, in the order in which they were made, the end of its latest token.
struct Signed {
    ends: Vec<Option<OffsetDateTime>>,
    since: OffsetDateTime,
}

impl Signed {
    /// Notes what was signed, by clocks ahead and behind, since the last time.
    fn note(&mut self, house: &House) {
        let off = Duration::seconds(i64::from(house.schedule.numbers().clock_error));
        let life = Duration::seconds(i64::from(LIFETIME_MAX + STS_TOLERANCE));
        self.ends.resize(house.keys.len(), None);
        for (key, ends) in house.keys.iter().zip(&mut self.ends).filter(|(key, _)| key.times.revoked_at.is_none()) {
            let (first, last) = (self.since - off, house.now + off);
            let Some(from) = key.times.sign_from.filter(|from| *from <= last) else { continue };
            let until = key.times.sign_until.map_or(last, |until| last.min(until - Duration::MILLISECOND));
            if until >= first && until >= from {
                *ends = (*ends).max(Some(until + life));
            }
        }
        self.since = house.now;
    }
}

#[test]
fn threat_16_who_follows_a_distrusted_key_is_not_replaced_as_its_turn_begins() {
    let mut house = house();
    house.settle();
    let off = i64::from(house.schedule.numbers().clock_error);
    for (what, off) in [(What::Rotate, 0), (What::RetireAll, off), (What::DistrustSigning, 0)] {
        does(&mut house, Deed { what, off });
    }
    // By a clock that is ahead its turn is now.
    let ahead = house.now + Duration::seconds(off);
    let kid = signing_key(&house.keys, ahead).unwrap().kid.clone();
    does(&mut house, Deed { what: What::Prepare, off: -off });
    assert!(published(&house.keys, ahead).iter().any(|key| key.kid == kid), "it left, and may have signed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn threat_16_what_any_clock_may_have_signed_stays_published_as_long_as_it_lives(
        deeds in prop::collection::vec(deed(), 1..32)
    ) {
        let mut house = house();
        let mut signed = Signed { ends: Vec::new(), since: house.now };
        house.settle();
        for deed in &deeds {
            signed.note(&house);
            let before = house.now;
            does(&mut house, *deed);
            if house.now > before {
                // Tokens of the time that has passed, by the keys as they are after it.
                signed.note(&house);
            }
            // The verifier's clock is behind, and the replica's that it asks is ahead.
            let off = Duration::seconds(i64::from(house.schedule.numbers().clock_error));
            for (key, ends) in house.keys.iter().zip(&signed.ends).filter(|(key, _)| key.times.revoked_at.is_none()) {
                if let Some(ends) = ends.filter(|ends| *ends + off > house.now) {
                    let last = ends + off - Duration::MILLISECOND;
                    prop_assert!(key.times.is_published(house.now + off), "{key:?} now {}", house.now);
                    let leaves = key.times.publish_until;
                    prop_assert!(leaves.is_none_or(|leaves| last + off < leaves), "{key:?} leaves before {last}");
                }
            }
        }
    }

    #[test]
    fn threat_16_a_plan_carried_out_leaves_nothing_to_do_until_something_changes(
        deeds in prop::collection::vec(deed(), 1..32), share in 0.0f64..1.0
    ) {
        let mut house = house();
        for deed in &deeds {
            does(&mut house, *deed);
            house.steps();
            prop_assert_eq!(plan(&house.keys, &house.schedule, house.now), vec![]);
            let due = next_change(&house.keys, house.now).unwrap_or(house.now + DAY * 365);
            for now in [house.now + (due - house.now) * share, due - Duration::MILLISECOND] {
                let now = now.max(house.now);
                prop_assert_eq!(plan(&house.keys, &house.schedule, now), vec![], "{} until {}", now, due);
            }
        }
    }

    #[test]
    fn threat_16_the_turns_divide_all_time_to_come_and_there_are_never_six_keys(
        deeds in prop::collection::vec(deed(), 1..32)
    ) {
        let mut house = house();
        for deed in &deeds {
            does(&mut house, *deed);
            if matches!(deed.what, What::RetireAll) {
                // Who then distrusts the key that it made, by a clock on which that is still to come, waits for it.
                house.now += house.schedule.clock_slack();
            }
            for now in instants(&house) {
                prop_assert!(signing_key(&house.keys, now).is_ok(), "{:?} at {now}", signing_key(&house.keys, now));
                prop_assert!(alive(&house, now) <= KEYS_MAX);
                prop_assert!(published(&house.keys, now).len() <= KEYS_MAX);
            }
        }
    }
}
