//! Refusals of nobody in particular: counted, so that a flood of them writes no flood of rows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::domain::audit::{Action, Event};

/// Most rows that wait at once for their minute to end; what comes on top shares one row a minute.
pub(super) const BUCKETS_MAX: usize = 256;
/// Most minutes that have a shared row waiting, while the database is away.
const SHARED_MAX: usize = 60;
/// A bucket of one minute is complete when it has waited this long.
const MINUTE: Duration = Duration::from_mins(1);
/// The reason of the shared row: other causes and addresses of that minute.
const OTHER: &str = "other";

type Key = (Action, Option<&'static str>, Option<IpAddr>, i64);

/// One waiting row per cause, address and minute, bounded.
#[derive(Debug, Default)]
pub(super) struct Counted {
    rows: HashMap<Key, Waiting>,
    shared: HashMap<i64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    since: Instant,
}

fn minute(event: &Event) -> i64 {
    event.at.unix_timestamp().div_euclid(60)
}

impl Counted {
    /// Counts `event`. Its user agent is left out: it would be the flood's, one of many.
    pub(super) fn add(&mut self, mut event: Event, since: Instant) {
        event.origin.user_agent = None;
        let key = (event.action, event.reason, event.origin.address, minute(&event));
        let full = self.rows.len() >= BUCKETS_MAX;
        if let Some(waiting) = self.rows.get_mut(&key) {
            waiting.event.count = waiting.event.count.saturating_add(event.count);
        } else if full {
            self.add_shared(event, since);
        } else {
            self.rows.insert(key, Waiting { event, since });
        }
    }

    fn add_shared(&mut self, mut event: Event, since: Instant) {
        let minute = minute(&event);
        let merge_into = if self.shared.len() < SHARED_MAX || self.shared.contains_key(&minute) {
            minute
        } else {
            self.shared.keys().copied().min().unwrap_or(minute)
        };
        if let Some(waiting) = self.shared.get_mut(&merge_into) {
            waiting.event.count = waiting.event.count.saturating_add(event.count);
        } else {
            event.reason = Some(OTHER);
            event.origin.address = None;
            self.shared.insert(merge_into, Waiting { event, since });
        }
    }

    /// Takes the rows whose minute is over at `now`, or all of them.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Vec<Event> {
        let due = |waiting: &Waiting| all || now.saturating_duration_since(waiting.since) >= MINUTE;
        let rows = self.rows.extract_if(|_, waiting| due(waiting)).map(|(_, waiting)| waiting.event);
        let mut taken: Vec<_> = rows.collect();
        taken.extend(self.shared.extract_if(|_, waiting| due(waiting)).map(|(_, waiting)| waiting.event));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{Decision, Origin};
    use crate::domain::id::{EventId, IssuerId};
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn refusal(second: i64, address: u32, reason: &'static str) -> Event {
        let id = EventId::new(Uuid::from_u128(u128::from(address)));
        let at = OffsetDateTime::from_unix_timestamp(second).unwrap();
        let origin = Origin { address: Some(IpAddr::from(address.to_be_bytes())), user_agent: Some("x".to_owned()) };
        let issuer = IssuerId::new(Uuid::from_u128(1));
        let refused = Event::new(id, at, issuer, Action::Authenticate, Decision::Refused);
        Event { reason: Some(reason), origin, ..refused }
    }

    #[test]
    fn like_refusals_of_one_minute_are_one_row() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        for second in 0..60 {
            counted.add(refusal(second, 1, "credential_unknown"), start);
        }
        counted.add(refusal(59, 1, "credential_malformed"), start);
        counted.add(refusal(60, 1, "credential_unknown"), start);
        assert!(counted.take(start + MINUTE / 2, false).is_empty());
        let mut rows = counted.take(start + MINUTE, false);
        rows.sort_by_key(|event| event.count);
        assert_eq!(rows.iter().map(|event| event.count).collect::<Vec<_>>(), [1, 1, 60]);
        assert!(rows.iter().all(|event| event.origin.user_agent.is_none()));
    }

    #[test]
    fn threat_41_a_flood_from_everywhere_waits_in_a_bounded_number_of_rows_and_loses_no_count() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        for n in 0..200_000 {
            counted.add(refusal(i64::from(n / 40), n, "credential_unknown"), start);
        }
        let rows = counted.take(start, true);
        assert_eq!(rows.len(), BUCKETS_MAX + SHARED_MAX);
        assert_eq!(rows.iter().map(|event| event.count).sum::<u32>(), 200_000);
        assert_eq!(rows.iter().filter(|event| event.reason == Some(OTHER)).count(), SHARED_MAX);
    }
}
