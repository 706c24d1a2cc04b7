//! What a look at the public `jwks_uri` says about the keys.

use time::{Duration, OffsetDateTime};

use super::{KeyChange, Retimed};
use crate::domain::signing_key::{Kid, SigningKey};

/// After so long without a look nobody knows what verifiers got meanwhile: where the database was away, and with it every
/// look, a replica may have gone on with an old JWKS. A key that is seen again is seen anew.
///
/// Every schedule that is accepted waits at least twelve hours longer before a key signs than the oldest copy of that time
/// is held (24 hours, or twice as long), and of these an hour at most is for late news.
pub const GAP_MAX: Duration = Duration::hours(6);

/// What to note after a look, as [`sighting_within`] does, for the gap that production allows.
pub fn sighting(keys: &[SigningKey], listed: &[Kid], at: OffsetDateTime) -> KeyChange {
    sighting_within(keys, listed, at, GAP_MAX)
}

/// What to note after a look at `at` (the instant before the request went out) that was answered with a JWKS of
/// `listed`: for each key that should stand there, since when it does without a gap. A key that is missing loses
/// what it had, since a verifier may hold that very answer for a whole max-age, and so does one that was not looked for
/// in more than `gap`. A look without an answer says nothing and is none.
///
/// The caller makes sure that looks are noted in their order.
pub fn sighting_within(keys: &[SigningKey], listed: &[Kid], at: OffsetDateTime, gap: Duration) -> KeyChange {
    let published = keys.iter().filter(|key| key.times.is_published(at));
    let times = published
        .map(|key| {
            Retimed::new(key, |times| {
                if listed.contains(&key.kid) {
                    let lately = times.seen_until.is_some_and(|until| at - until <= gap);
                    times.seen_from = times.seen_from.filter(|_| lately).or(Some(at));
                    times.seen_until = times.seen_until.max(Some(at));
                } else {
                    (times.seen_from, times.seen_until) = (None, None);
                }
            })
        })
        .filter(|change| change.times != change.expected)
        .collect();
    KeyChange { times, ..KeyChange::default() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, EPOCH, first_pair};
    use super::*;
    use crate::domain::signing_key::KeyTimes;

    #[test]
    fn a_key_keeps_since_when_it_is_seen_until_a_look_misses_it() {
        let mut keys = first_pair();
        let listed: Vec<_> = keys.iter().map(|key| key.kid.clone()).collect();
        for (at, listed, seen) in [
            (EPOCH, &listed[..], Some((EPOCH, EPOCH))),
            (EPOCH + GAP_MAX, &listed[..], Some((EPOCH, EPOCH + GAP_MAX))),
            (EPOCH + GAP_MAX * 2, &listed[..1], None),
            (EPOCH + DAY, &listed[..], Some((EPOCH + DAY, EPOCH + DAY))),
            // Long after, nobody knows what was there between.
            (EPOCH + DAY * 3, &listed[..], Some((EPOCH + DAY * 3, EPOCH + DAY * 3))),
        ] {
            keys = sighting(&keys, listed, at).apply(&keys, at, |_| unreachable!()).unwrap();
            assert_eq!(keys[1].times.seen_from.zip(keys[1].times.seen_until), seen);
        }
        assert_eq!(keys[0].times.seen_from, Some(EPOCH + DAY * 3));
        assert!(sighting(&keys, &listed, EPOCH + DAY * 3).is_empty());
    }

    #[test]
    fn keys_that_are_not_published_are_not_looked_for() {
        let mut keys = first_pair();
        keys[0].times.revoked_at = Some(EPOCH);
        keys[1].times = KeyTimes::published(EPOCH + DAY);
        let listed: Vec<_> = keys.iter().map(|key| key.kid.clone()).collect();
        assert!(sighting(&keys, &listed, EPOCH).is_empty());
    }
}
