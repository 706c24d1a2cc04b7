//! What an operator asks of the keys, and what it costs the verifiers.

use time::{Duration, OffsetDateTime};

use super::{
    KeyChange, NewKey, Retimed, Step, has_room, is_under_way, kept_until, published_enough, seen_enough, standby,
    succession, whole,
};
use crate::domain::key_schedule::KeySchedule;
use crate::domain::signing_key::{self, KeyKind, KeySetError, KeyState, KeyTimes, Kid, SigningKey};

/// Why the signing key does not move to the standby now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotateRefused {
    /// There is no one signing key to move from.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// There is no standby yet.
    #[error("there is no standby yet; one is made within seconds")]
    NoStandby,
    /// Verifiers may still hold a JWKS without the standby.
    #[error("the standby {kid} may not sign before {until}; distrust the signing key if it must stop now")]
    TooYoung {
        /// The standby.
        kid: Kid,
        /// From when on it may, if it is seen at the public `jwks_uri` until then.
        until: OffsetDateTime,
    },
}

/// Why the standby is not replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareRefused {
    /// There is no one signing key.
    #[error(transparent)]
    Keys(#[from] KeySetError),
    /// One key more than an issuer may have.
    #[error("an issuer has at most 5 signing keys: wait until a retired one is gone")]
    TooMany,
    /// Too late to call off the hand-over to the standby: some replica may sign with it already.
    #[error("signing moves to the standby at {until}: try again after that")]
    HandingOver {
        /// When it does.
        until: OffsetDateTime,
    },
}

/// Why a key is not distrusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistrustRefused {
    /// The issuer has no such key.
    #[error("no such signing key")]
    Unknown(Kid),
    /// It neither signs nor is published as it is.
    #[error("signing key {kid} is {} already", state.as_str())]
    Over {
        /// Which key.
        kid: Kid,
        /// Gone or revoked.
        state: KeyState,
    },
}

/// Which verifiers fail, and until when: those whose JWKS is from before the new signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// No verifier that honours max-age fails any more from here on, if the public `jwks_uri` shows the key.
    pub until: OffsetDateTime,
    /// Nor does any other, by the wait that the schedule gives a key before it signs.
    pub surely_until: OffsetDateTime,
}

/// A key's distrust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// What happens in one transaction.
    pub change: KeyChange,
    /// What the key was.
    pub was: KeyState,
    /// The standby that signs from now on, where the key was the signing one and there is one; without, the key
    /// that `change` makes does.
    pub successor: Option<Kid>,
    /// Which verifiers fail; none where the key was not the signing one, or its standby is old enough.
    pub outage: Option<Outage>,
    /// Until when verifiers that honour max-age go on taking tokens of the key.
    pub accepted_until: OffsetDateTime,
}

/// All keys replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaceAll {
    /// What happens in one transaction: the first key it makes signs at once, the second is its standby.
    pub change: KeyChange,
    /// Every verifier fails whose JWKS is from before.
    pub outage: Outage,
    /// Until when verifiers that honour max-age go on taking tokens of the old keys.
    pub accepted_until: OffsetDateTime,
}

/// Moves signing to the standby at once, if no verifier can meet a key that its JWKS lacks.
pub fn rotate_now(keys: &[SigningKey], schedule: &KeySchedule, now: OffsetDateTime) -> Result<Step, RotateRefused> {
    let active = signing_key::signing_key(keys, now)?;
    let standby = standby(keys, now).ok_or(RotateRefused::NoStandby)?;
    if let Some(until) = young_until(standby, schedule, now) {
        return Err(RotateRefused::TooYoung { kid: standby.kid.clone(), until });
    }
    Ok(Step::HandOver {
        from: active.kid.clone(),
        to: standby.kid.clone(),
        at: at_once(active, now).max(standby.times.publish_from),
        expected: (active.times, standby.times),
    })
}

/// Until when `standby` must wait before it signs; `None` where it need not.
pub fn young_until(standby: &SigningKey, schedule: &KeySchedule, now: OffsetDateTime) -> Option<OffsetDateTime> {
    if standby.first {
        return None;
    }
    let seen = seen_enough(standby, schedule)
        .unwrap_or_else(|| schedule.may_sign_from(standby.times.seen_from.unwrap_or(now)).max(now));
    let until = published_enough(standby, schedule).max(seen);
    (until > now || seen_enough(standby, schedule).is_none()).then_some(until)
}

/// A key's turn has some length, or it would count as withdrawn.
fn at_once(active: &SigningKey, now: OffsetDateTime) -> OffsetDateTime {
    let began = active.times.sign_from.unwrap_or(now);
    whole(now).max(began + Duration::MILLISECOND)
}

/// Replaces the next standby by one of `kind`; a hand-over to the old one is called off, unless it is so near that a
/// replica whose clock is ahead may sign with the old one before it learns of that: the key would leave the JWKS with
/// tokens of it alive.
pub fn prepare(
    keys: &[SigningKey],
    schedule: &KeySchedule,
    kind: KeyKind,
    now: OffsetDateTime,
) -> Result<KeyChange, PrepareRefused> {
    let active = signing_key::signing_key(keys, now)?;
    let mut change = KeyChange::default();
    match standby(keys, now) {
        Some(standby) => {
            if let Some(until) = standby.times.sign_from.filter(|_| is_under_way(active, standby, schedule, now)) {
                return Err(PrepareRefused::HandingOver { until });
            }
            change.times.extend(resumed(keys, standby));
            change.times.push(Retimed::new(standby, |times| {
                let at = whole(now).max(times.publish_from);
                (times.sign_from, times.sign_until, times.publish_until) = (Some(at), Some(at), Some(at));
            }));
        }
        None if has_room(keys, now) => {}
        None => return Err(PrepareRefused::TooMany),
    }
    change.make.push(NewKey { kind, times: KeyTimes::published(whole(now)) });
    Ok(change)
}

/// The key that hands over to `standby`, without the end that this gave it: it goes on for as long as `standby` was to
/// sign.
fn resumed(keys: &[SigningKey], standby: &SigningKey) -> Option<Retimed> {
    let (from, until, gone) = (standby.times.sign_from?, standby.times.sign_until, standby.times.publish_until);
    let hands_over = |key: &&SigningKey| {
        key.times.revoked_at.is_none() && !key.times.is_withdrawn() && key.times.sign_until == Some(from)
    };
    let key = keys.iter().find(hands_over)?;
    Some(Retimed::new(key, |times| (times.sign_until, times.publish_until) = (until, gone)))
}

/// Distrusts one key from now on. Where it is the signing one, signing moves in the same transaction, to the
/// standby whatever its age, or to a new key where there is none.
pub fn distrust(
    keys: &[SigningKey],
    schedule: &KeySchedule,
    kid: &Kid,
    now: OffsetDateTime,
) -> Result<Distrust, DistrustRefused> {
    let key = keys.iter().find(|key| key.kid == *kid).ok_or_else(|| DistrustRefused::Unknown(kid.clone()))?;
    let was = key.state(now);
    let mut done = Distrust {
        change: KeyChange::default(),
        was,
        successor: None,
        outage: None,
        accepted_until: schedule.cached_until(now),
    };
    match was {
        KeyState::Gone | KeyState::Revoked => return Err(DistrustRefused::Over { kid: kid.clone(), state: was }),
        KeyState::Retired => {}
        KeyState::Next => {
            done.change.times.extend(resumed(keys, key));
        }
        KeyState::Active => {
            let from = since(key, schedule, now);
            // One made a moment ago is not published yet where a clock is behind; one whose turn is planned is the one.
            let there = |key: &&SigningKey| key.times.sign_from.is_some() || key.times.publish_from <= from;
            let standby = standby(keys, now).filter(there);
            let from = standby.map_or(from, |standby| standby.times.publish_from.max(from));
            if let Some(standby) = standby {
                done.successor = Some(standby.kid.clone());
                done.outage = outage(standby, schedule, now);
                done.change.times.push(Retimed::new(standby, |times| times.sign_from = Some(from)));
            } else {
                done.outage = Some(outage_from(now, schedule));
                done.change.make.push(signs_at_once(key.kind, from, schedule, now));
            }
            done.change.times.push(revoked(key, Some(from), now));
            return Ok(done);
        }
    }
    done.change.times.push(revoked(key, None, now));
    Ok(done)
}

/// Distrusts every key, and publishes and signs with a new one of `kind` at once, a standby beside it.
pub fn replace_all(keys: &[SigningKey], schedule: &KeySchedule, kind: KeyKind, now: OffsetDateTime) -> ReplaceAll {
    // So far back that no replica is without a key whose clock is behind: no old one fills the gap.
    let from = whole(now - schedule.clock_slack());
    let active = signing_key::signing_key(keys, now).ok();
    let alive = keys.iter().filter(|key| key.times.is_alive(now));
    let ends = |key: &SigningKey| {
        active.filter(|active| active.kid == key.kid).map(|_| key.times.sign_from.map_or(from, |began| began.max(from)))
    };
    ReplaceAll {
        change: KeyChange {
            times: alive.map(|key| revoked(key, ends(key), now)).collect(),
            make: vec![
                signs_at_once(kind, from, schedule, now),
                NewKey { kind, times: KeyTimes::published(whole(now)) },
            ],
            forget: Vec::new(),
        },
        outage: outage_from(now, schedule),
        accepted_until: schedule.cached_until(now),
    }
}

/// Retires every key, because nobody can open them any more, and publishes and signs with a new one of `kind` at once, a
/// standby beside it. What was signed stays good: the signing key stays published as after any hand-over, and so does a
/// standby with which a replica may sign already; the others, which never signed, are withdrawn.
pub fn retire_all(keys: &[SigningKey], schedule: &KeySchedule, kind: KeyKind, now: OffsetDateTime) -> ReplaceAll {
    let mut done = replace_all(keys, schedule, kind, now);
    // What is under way stands: of its turns the last ends as soon as it may, and the new key follows.
    let last = signing_key::signing_key(keys, now + schedule.handover_lead() - Duration::MILLISECOND).ok();
    let turns = last.map_or_else(|| whole(now), |last| at_once(last, now));
    if let Some(first) = done.change.make.first_mut() {
        first.times = KeyTimes { sign_from: Some(turns), ..KeyTimes::published(whole(now)) };
    }
    for change in &mut done.change.times {
        let was = change.expected;
        let waits = was.is_standby(now) && was.sign_from.is_none_or(|from| from >= turns);
        change.times = if last.is_some_and(|last| last.kid == change.kid) {
            let kept = kept_until(turns, schedule, now);
            KeyTimes { sign_until: Some(turns), publish_until: Some(kept), ..was }
        } else if waits {
            let at = Some(whole(now).max(was.publish_from));
            KeyTimes { sign_from: at, sign_until: at, publish_until: at, ..was }
        } else {
            was
        };
    }
    done.change.times.retain(|change| change.times != change.expected);
    done
}

/// From when a successor of `active` signs that takes over at once: so far back that it does on a replica whose clock is
/// behind, where the old key, being distrusted, does not fill the gap.
fn since(active: &SigningKey, schedule: &KeySchedule, now: OffsetDateTime) -> OffsetDateTime {
    whole(now - schedule.clock_slack()).max(active.times.sign_from.unwrap_or(active.times.publish_from))
}

fn signs_at_once(kind: KeyKind, from: OffsetDateTime, schedule: &KeySchedule, now: OffsetDateTime) -> NewKey {
    let published = from.min(whole(now - schedule.clock_slack()));
    NewKey { kind, times: KeyTimes { sign_from: Some(from), ..KeyTimes::published(published) } }
}

fn revoked(key: &SigningKey, signed_until: Option<OffsetDateTime>, now: OffsetDateTime) -> Retimed {
    Retimed::new(key, |times| {
        times.revoked_at = Some(whole(now));
        if signed_until.is_some() {
            (times.sign_until, times.publish_until) = (signed_until, signed_until);
        }
    })
}

fn outage(standby: &SigningKey, schedule: &KeySchedule, now: OffsetDateTime) -> Option<Outage> {
    young_until(standby, schedule, now)?;
    Some(outage_from(standby.times.seen_from.unwrap_or(now), schedule))
}

/// The outage where verifiers can have fetched the new signing key from `there` on.
fn outage_from(there: OffsetDateTime, schedule: &KeySchedule) -> Outage {
    Outage { until: schedule.exported_until(there), surely_until: schedule.may_sign_from(there) }
}

/// What other numbers mean for the keys that there are, in the transaction that changes the numbers: a hand-over
/// that comes too early by the new ones is moved or called off, and retired keys stay as long as the new ones ask.
/// Nothing ever leaves earlier for it.
pub fn renumber(keys: &[SigningKey], new: &KeySchedule, now: OffsetDateTime) -> KeyChange {
    let mut after: Vec<KeyTimes> = keys.iter().map(|key| key.times).collect();
    if let (Ok(active), Some(standby)) = (signing_key::signing_key(keys, now), standby(keys, now)) {
        let step = succession(active, standby, new, now);
        for change in step.map(|step| step.change(new, now)).unwrap_or_default().times {
            let changed = keys.iter().position(|key| key.kid == change.kid);
            if let Some(times) = changed.and_then(|at| after.get_mut(at)) {
                *times = change.times;
            }
        }
    }
    for times in after.iter_mut().filter(|times| times.is_alive(now)) {
        let kept = times.sign_until.map(|until| new.keep_until(until));
        times.publish_until = times.publish_until.zip(kept).map(|(stands, kept)| stands.max(kept));
    }
    let changed = keys.iter().zip(after).filter(|(key, times)| key.times != *times);
    KeyChange { times: changed.map(|(key, times)| Retimed::new(key, |t| *t = times)).collect(), ..KeyChange::default() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, EPOCH, House, kid};
    use super::*;
    use crate::domain::issuer_url::Development;
    use crate::domain::key_schedule::ScheduleNumbers;

    /// A house whose first standby signs and whose next, made now, is young.
    fn young() -> House {
        let mut house = House::new();
        house.settle();
        let step = rotate_now(&house.keys, &house.schedule, house.now).unwrap();
        house.apply(&step.change(&house.schedule, house.now));
        house.now += Duration::SECOND;
        // The one makes the next standby, the other sees it.
        house.settle();
        house.settle();
        assert_eq!((house.signs().kid.clone(), house.keys.len()), (kid(1), 3));
        house
    }

    #[test]
    fn rotate_moves_to_the_first_standby_at_once_and_to_later_ones_only_when_they_waited() {
        let mut house = young();
        let until = house.now + Duration::hours(25);
        let refused = RotateRefused::TooYoung { kid: kid(2), until };
        assert_eq!(rotate_now(&house.keys, &house.schedule, house.now), Err(refused.clone()));
        house.pass(Duration::hours(25) - Duration::SECOND);
        assert_eq!(rotate_now(&house.keys, &house.schedule, house.now), Err(refused));
        house.pass(Duration::SECOND);
        assert!(rotate_now(&house.keys, &house.schedule, house.now).is_ok());
    }

    #[test]
    fn threat_40_rotate_is_refused_while_the_public_address_does_not_show_the_standby() {
        let mut house = young();
        let listed = [kid(0), kid(1)];
        house.now += DAY * 3;
        let missed = super::super::sighting(&house.keys, &listed, house.now);
        house.apply(&missed);
        let until = house.now + Duration::hours(25);
        let refused = RotateRefused::TooYoung { kid: kid(2), until };
        assert_eq!(rotate_now(&house.keys, &house.schedule, house.now), Err(refused));
    }

    #[test]
    fn threat_15_distrust_of_the_signing_key_moves_signing_and_says_what_fails() {
        let mut house = young();
        house.now += Duration::HOUR;
        house.settle();
        let done = distrust(&house.keys, &house.schedule, &kid(1), house.now).unwrap();
        assert_eq!((done.was, done.successor.clone()), (KeyState::Active, Some(kid(2))));
        let there = EPOCH + Duration::SECOND;
        let outage =
            Outage { until: there + Duration::seconds(3600 + 3600 + 5), surely_until: there + Duration::hours(25) };
        assert_eq!(done.outage, Some(outage));
        assert_eq!(done.accepted_until, house.now + Duration::HOUR);
        house.apply(&done.change);
        assert_eq!(house.signs().kid, kid(2));
        // Also by a clock that is as far behind as clocks may be.
        house.now -= house.schedule.clock_slack();
        assert_eq!(house.signs().kid, kid(2));
        assert!(!house.keys[1].times.is_published(house.now));
        let refused = DistrustRefused::Over { kid: kid(1), state: KeyState::Revoked };
        assert_eq!(distrust(&house.keys, &house.schedule, &kid(1), house.now), Err(refused));
        assert_eq!(distrust(&house.keys, &house.schedule, &kid(9), house.now), Err(DistrustRefused::Unknown(kid(9))));
    }

    #[test]
    fn distrust_of_an_old_standby_or_of_the_first_costs_no_verifier() {
        let house = House::new();
        let first = distrust(&house.keys, &house.schedule, &kid(0), EPOCH).unwrap();
        assert_eq!((first.successor, first.outage), (Some(kid(1)), None));
        let mut house = young();
        house.pass(DAY * 2);
        let old = distrust(&house.keys, &house.schedule, &kid(1), house.now).unwrap();
        assert_eq!((old.successor, old.outage), (Some(kid(2)), None));
        // A pending hand-over to a distrusted standby is called off with it.
        let standby = distrust(&house.keys, &house.schedule, &kid(2), house.now).unwrap();
        assert_eq!((standby.was, standby.outage), (KeyState::Next, None));
        assert!(house.signs().times.sign_until.is_some());
        house.apply(&standby.change);
        assert_eq!((house.signs().kid.clone(), house.signs().times.sign_until), (kid(1), None));
    }

    #[test]
    fn threat_15_distrust_of_the_only_key_makes_one_that_signs_at_once() {
        let mut house = House::new();
        house.keys.pop();
        let done = distrust(&house.keys, &house.schedule, &kid(0), house.now + DAY).unwrap();
        house.now += DAY;
        assert_eq!((done.successor.clone(), done.change.make.len()), (None, 1));
        assert!(done.outage.is_some());
        house.apply(&done.change);
        assert_eq!(house.signs().kid, kid(1));
    }

    #[test]
    fn keys_that_nobody_can_open_are_retired_and_their_tokens_stay_good() {
        let mut house = young();
        house.pass(DAY * 2);
        let done = retire_all(&house.keys, &house.schedule, KeyKind::P256, house.now);
        house.apply(&done.change);
        // Also a key that began to sign a moment ago stays published.
        let moment = House::new();
        let done = retire_all(&moment.keys, &moment.schedule, KeyKind::P256, EPOCH);
        let first = done.change.times.iter().find(|change| change.kid == kid(0)).unwrap();
        assert_eq!(first.times.state(EPOCH + Duration::SECOND), KeyState::Retired);
        let states: Vec<_> = house.keys.iter().map(|key| key.state(house.now)).collect();
        assert_eq!(states[1..], [KeyState::Retired, KeyState::Gone, KeyState::Active, KeyState::Next]);
        assert_eq!(house.signs().kind, KeyKind::P256);
        assert!(house.keys[1].times.publish_until.unwrap() >= house.now + Duration::seconds(7570));
        assert!(house.keys.iter().all(|key| key.times.revoked_at.is_none()));
    }

    #[test]
    fn prepare_changes_the_algorithm_by_rotation() {
        let mut house = House::new();
        house.pass(DAY * 2);
        assert!(house.signs().times.sign_until.is_some(), "a hand-over is planned");
        let change = prepare(&house.keys, &house.schedule, KeyKind::P256, house.now).unwrap();
        house.apply(&change);
        let next = standby(&house.keys, house.now).unwrap();
        assert_eq!((next.kind, next.first, house.signs().times.sign_until), (KeyKind::P256, false, None));
        assert_eq!(house.keys[1].state(house.now), KeyState::Gone);
        house.pass(DAY * 29);
        assert_eq!(house.signs().kind, KeyKind::P256);
        // The algorithm stays: the next standby is of it too.
        assert_eq!(standby(&house.keys, house.now).unwrap().kind, KeyKind::P256);
    }

    #[test]
    fn threat_16_a_hand_over_that_some_replica_may_have_made_is_not_called_off() {
        let mut house = House::new();
        house.pass(DAY * 2);
        let at = house.signs().times.sign_until.unwrap();
        let early = at - house.schedule.handover_lead();
        let prepared = |now| prepare(&house.keys, &house.schedule, KeyKind::P256, now);
        assert!(prepared(early).is_ok());
        for now in [early + Duration::SECOND, at - Duration::MILLISECOND] {
            assert_eq!(prepared(now), Err(PrepareRefused::HandingOver { until: at }));
        }
        assert!(prepared(at).is_ok());
    }

    #[test]
    fn prepare_never_makes_a_sixth_key() {
        let mut house = House::new();
        let mut retired = house.keys.pop().unwrap();
        retired.times.sign_from = Some(EPOCH);
        for n in 2i32..6 {
            let at = EPOCH + Duration::SECOND * n;
            house.keys[0].times.sign_from = Some(at);
            let times = KeyTimes {
                sign_from: Some(at - Duration::SECOND),
                sign_until: Some(at),
                publish_until: Some(at + DAY),
                ..retired.times
            };
            house.keys.push(SigningKey { kid: kid(n.unsigned_abs()), times, ..retired.clone() });
        }
        house.now += Duration::MINUTE;
        assert_eq!(prepare(&house.keys, &house.schedule, KeyKind::P256, house.now), Err(PrepareRefused::TooMany));
        assert_eq!(house.steps(), []);
    }

    #[test]
    fn raising_max_age_postpones_a_planned_hand_over_and_keeps_retired_keys_longer() {
        let mut house = young();
        house.pass(DAY * 30 - Duration::minutes(2));
        let planned = house.signs().times.sign_until.unwrap();
        let numbers = ScheduleNumbers {
            max_age: 86_400,
            publish_before_sign: 60 * 86_400,
            keep_after_sign: 2 * 86_400,
            rotation_period: 62 * 86_400,
            ..ScheduleNumbers::default()
        };
        let new = KeySchedule::new(numbers, Development::Off).unwrap();
        let change = renumber(&house.keys, &new, house.now);
        house.apply(&change);
        assert_eq!(house.signs().times.sign_until, None, "not seen for sixty days yet, was to sign at {planned}");
        house.schedule = new;
        house.pass(DAY * 31);
        let due = house.signs().times.sign_from.map(|from| from + DAY * 62);
        assert_eq!((house.signs().kid.clone(), house.signs().times.sign_until), (kid(1), due));

        let mut house = young();
        let ended = house.keys[0].times.sign_until.unwrap();
        let change = renumber(&house.keys, &new, house.now);
        house.apply(&change);
        assert_eq!(house.keys[0].times.publish_until, Some(ended + DAY * 2));
        // Smaller numbers take nothing away from what stands.
        let back = renumber(&house.keys, &House::new().schedule, house.now);
        house.apply(&back);
        assert_eq!(house.keys[0].times.publish_until, Some(ended + DAY * 2));
    }
}
