//! What is to come, if every replica runs and the public `jwks_uri` shows what is published.

use time::OffsetDateTime;

use super::{Step, plan, standby};
use crate::domain::key_schedule::KeySchedule;
use crate::domain::signing_key::{KEYS_MAX, KeyKind, KeyTimes, Kid, SigningKey, next_change};

/// A key that there is, or one that will be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRef {
    /// It has its name.
    Made(Kid),
    /// The nth that will be made, from 1.
    Future(u32),
}

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// It leaves the JWKS.
    Leaves,
    /// It signs no more.
    Retires,
    /// It signs from here on.
    Signs,
    /// It comes into the JWKS.
    Published,
}

impl What {
    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signs => "signs",
            Self::Retires => "retires",
            Self::Leaves => "leaves",
        }
    }
}

/// One dated change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: OffsetDateTime,
    /// Of which key.
    pub key: KeyRef,
    /// What.
    pub what: What,
}

/// A key with the instants that it will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which key.
    pub key: KeyRef,
    /// Its kind.
    pub kind: KeyKind,
    /// Its instants, as they will stand at the end of the forecast.
    pub times: KeyTimes,
    /// Whether it was made with its issuer.
    pub first: bool,
}

/// Every change after `now`, up to and with `until`, in order: [`plan`] itself, run ahead in time.
pub fn forecast(
    keys: &[SigningKey],
    schedule: &KeySchedule,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Vec<Transition> {
    let mut transitions: Vec<_> = spans(keys, schedule, now, until)
        .into_iter()
        .filter(|span| span.times.revoked_at.is_none() && !span.times.is_withdrawn())
        .flat_map(|Span { key, times, .. }| {
            let instants = [
                (Some(times.publish_from), What::Published),
                (times.sign_from, What::Signs),
                (times.sign_until, What::Retires),
                (times.publish_until, What::Leaves),
            ];
            instants.into_iter().filter_map(move |(at, what)| Some(Transition { at: at?, key: key.clone(), what }))
        })
        .filter(|transition| {
            let made = matches!(transition.key, KeyRef::Future(_)) && transition.what == What::Published;
            (transition.at > now || made) && transition.at <= until
        })
        .collect();
    transitions.sort_by(|a, b| (a.at, a.what, &a.key).cmp(&(b.at, b.what, &b.key)));
    transitions
}

/// Most keys that are thought out ahead: more than a year of the shortest period that production allows.
const AHEAD_MAX: u32 = 400;

/// The next instant at which signing moves, where one can be told.
pub fn next_hand_over(keys: &[SigningKey], schedule: &KeySchedule, now: OffsetDateTime) -> Option<Transition> {
    // No standby waits longer than its own wait and one whole period.
    let until = schedule.turn_until(schedule.may_sign_from(now)) + schedule.handover_lead();
    forecast(keys, schedule, now, until).into_iter().find(|transition| transition.what == What::Signs)
}

/// The keys that there are, and those that will be made until `until`, with the instants that they will have; no more
/// than a few hundred, since the waits of a development are seconds.
pub fn spans(keys: &[SigningKey], schedule: &KeySchedule, now: OffsetDateTime, until: OffsetDateTime) -> Vec<Span> {
    let mut ahead = Ahead { keys: keys.to_vec(), made: 0 };
    let mut at = now;
    loop {
        ahead.settle(schedule, at);
        match ahead.next(schedule, at) {
            Some(next) if next <= until && ahead.made < AHEAD_MAX => at = next,
            _ => break,
        }
    }
    let known = keys.len();
    let name = |(nth, key): (usize, &SigningKey)| match nth.checked_sub(known) {
        None => KeyRef::Made(key.kid.clone()),
        Some(future) => KeyRef::Future(u32::try_from(future + 1).unwrap_or(u32::MAX)),
    };
    let span =
        |nth, key: &SigningKey| Span { key: name((nth, key)), kind: key.kind, times: key.times, first: key.first };
    ahead.keys.iter().enumerate().map(|(nth, key)| span(nth, key)).collect()
}

/// The keys at some instant ahead.
struct Ahead {
    keys: Vec<SigningKey>,
    made: u32,
}

impl Ahead {
    /// Does what the clock asks for at `at`, after a look that saw every key.
    fn settle(&mut self, schedule: &KeySchedule, at: OffsetDateTime) {
        for key in self.keys.iter_mut().filter(|key| key.times.is_published(at)) {
            key.times.seen_from = key.times.seen_from.or(Some(at));
            key.times.seen_until = key.times.seen_until.max(Some(at));
        }
        // Making, planning and forgetting each end; the bound is for a plan that does not.
        for _ in 0..4 * KEYS_MAX {
            let Some(step) = plan(&self.keys, schedule, at).into_iter().next() else { break };
            self.execute(&step, schedule, at);
        }
    }

    fn execute(&mut self, step: &Step, schedule: &KeySchedule, at: OffsetDateTime) {
        let Some(like) = self.keys.first().cloned() else { return };
        let made = &mut self.made;
        let after = step.change(schedule, at).apply(&self.keys, at, |new| {
            *made += 1;
            let mut thumbprint = [0; 32];
            thumbprint[..4].copy_from_slice(&made.to_be_bytes());
            SigningKey {
                kid: Kid::from_thumbprint(&thumbprint),
                kind: new.kind,
                // It is seen as soon as it is there.
                times: KeyTimes { seen_from: Some(at), seen_until: Some(at), ..new.times },
                first: false,
                forgotten_at: None,
                ..like.clone()
            }
        });
        // The plan was made on these very keys, so that it fits them.
        self.keys = after.unwrap_or_else(|_| std::mem::take(&mut self.keys));
    }

    /// The next instant at which the clock may ask for something.
    fn next(&self, schedule: &KeySchedule, at: OffsetDateTime) -> Option<OffsetDateTime> {
        let seen = standby(&self.keys, at).and_then(|key| key.times.seen_from).map(|from| schedule.may_sign_from(from));
        next_change(&self.keys, at).into_iter().chain(seen.filter(|seen| *seen > at)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, EPOCH, House, kid};
    use super::*;
    use time::Duration;

    #[test]
    fn the_first_year_is_foretold_as_it_comes() {
        let mut house = House::new();
        let foretold = forecast(&house.keys, &house.schedule, EPOCH, EPOCH + DAY * 100);
        let told: Vec<_> = foretold.iter().map(|t| ((t.at - EPOCH).whole_hours(), t.key.clone(), t.what)).collect();
        assert_eq!(
            told[..8],
            [
                (720, KeyRef::Made(kid(0)), What::Retires),
                (720, KeyRef::Made(kid(1)), What::Signs),
                (720, KeyRef::Future(1), What::Published),
                (723, KeyRef::Made(kid(0)), What::Leaves),
                (1440, KeyRef::Made(kid(1)), What::Retires),
                (1440, KeyRef::Future(1), What::Signs),
                (1440, KeyRef::Future(2), What::Published),
                (1443, KeyRef::Made(kid(1)), What::Leaves),
            ]
        );
        // Replicas that look every hour do just that.
        house.settle();
        house.pass(DAY * 100);
        for span in spans(&House::new().keys, &house.schedule, EPOCH, EPOCH + DAY * 100) {
            let turn = (span.times.publish_from, span.times.sign_from, span.times.publish_until);
            let came = house
                .keys
                .iter()
                .any(|key| (key.times.publish_from, key.times.sign_from, key.times.publish_until) == turn);
            assert!(came, "{span:?}");
        }
    }

    #[test]
    fn a_standby_never_seen_is_foretold_to_wait_from_now_on() {
        let house = House::new();
        let now = EPOCH + DAY * 60;
        let foretold = forecast(&house.keys, &house.schedule, now, now + DAY * 2);
        let signs = foretold.iter().find(|t| t.what == What::Signs).map(|t| t.at);
        assert_eq!(signs, Some(now + Duration::hours(25) + house.schedule.handover_lead()));
    }
}
