//! Signing keys in the hands of who may only look: what they are, page by page, and what is to come.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::{AdminError, KeyRefused, Reading};
use crate::domain::id::TeamUid;
use crate::domain::key_schedule::ScheduleNumbers;
use crate::domain::rotation::{self, Proof, Span, Transition, spans};
use crate::domain::signing_key::{KeyState, Kid, SigningKey};
use crate::issuer::Issuer;
use crate::issuer::keys::KeyRing;
use crate::store::{Page, Paged, Replica};

/// A key and what it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAt {
    /// The key; its private half is sealed.
    pub key: SigningKey,
    /// What the clock makes of it.
    pub state: KeyState,
}

/// An issuer's keys, as they stand.
#[derive(Debug, Clone)]
pub struct KeysSeen {
    /// When.
    pub at: OffsetDateTime,
    /// The signing key, those to come, those that were: every one, or a page of them.
    pub keys: Vec<KeyAt>,
    /// The cursor of the next page, where there is one.
    pub after: Option<String>,
    /// The numbers that they follow.
    pub numbers: ScheduleNumbers,
    /// When the next key begins to sign, if all goes well.
    pub next: Option<Transition>,
    /// The last look at the public `jwks_uri` that was answered.
    pub looked_at: Option<OffsetDateTime>,
    /// What is wrong out there.
    pub warnings: Vec<String>,
    /// Replicas that publish another state of the keys than this one, or do not say.
    pub unconfirmed: Vec<Replica>,
}

/// What is to come.
#[derive(Debug, Clone)]
pub struct KeysPlan {
    /// From when.
    pub from: OffsetDateTime,
    /// Until when.
    pub until: OffsetDateTime,
    /// The numbers that the plan follows.
    pub numbers: ScheduleNumbers,
    /// Every key with the instants that it will have.
    pub spans: Vec<Span>,
    /// Every dated change, in order.
    pub transitions: Vec<Transition>,
}

/// The keys of one issuer in the hands of who may only look.
#[derive(Debug, Clone)]
pub struct KeyReading {
    issuer: Issuer,
    pub(super) ring: Arc<KeyRing>,
}

impl Reading {
    /// The keys of the shared issuer or, for a team, of its private one.
    pub async fn keys_of(&self, team: Option<&TeamUid>) -> Result<KeyReading, KeyRefused> {
        let ring = match team {
            None => Arc::clone(self.issuer.keys()),
            Some(team) => self.issuer.private_ring(team).await?.ok_or(AdminError::NotFound("private issuer"))?,
        };
        Ok(KeyReading { issuer: self.issuer.clone(), ring })
    }
}

/// A key's place in a list: by what it is, then in the order in which keys began to sign, those that do not yet last.
/// It is the list's cursor too, so that a key that changes its state between two pages moves no other.
type Place = (u8, i64, String);

fn place(KeyAt { key, state }: &KeyAt) -> Place {
    let rank = match state {
        KeyState::Active => 0,
        KeyState::Next => 1,
        KeyState::Retired => 2,
        KeyState::Gone => 3,
        KeyState::Revoked => 4,
    };
    let began = key.times.sign_from.map_or(i64::MAX, OffsetDateTime::unix_timestamp);
    (rank, began, key.kid.to_string())
}

fn in_order(keys: Vec<SigningKey>, now: OffsetDateTime) -> Vec<KeyAt> {
    let mut keys: Vec<_> = keys.into_iter().map(|key| KeyAt { state: key.state(now), key }).collect();
    keys.sort_by_cached_key(place);
    keys
}

/// The keys of one page, in [`place`]'s order.
fn paged(mut keys: Vec<KeyAt>, page: &Page) -> Result<Paged<KeyAt>, AdminError> {
    if let Some(cursor) = &page.after {
        let after = parsed(cursor).ok_or(AdminError::Cursor)?;
        keys.retain(|key| place(key) > after);
    }
    Ok(page.cut(keys, |last| {
        let (rank, began, kid) = place(last);
        format!("{rank}.{began}.{kid}")
    }))
}

fn parsed(cursor: &str) -> Option<Place> {
    let mut parts = cursor.splitn(3, '.');
    let (rank, began) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((rank, began, Kid::parse(parts.next()?).ok()?.to_string()))
}

impl KeyReading {
    /// The numbers that the keys follow.
    pub async fn numbers(&self) -> Result<ScheduleNumbers, KeyRefused> {
        Ok(self.ring.reload().await?.row.schedule)
    }

    /// A page of the keys as they stand.
    pub async fn page(&self, page: &Page) -> Result<KeysSeen, KeyRefused> {
        let seen = self.list().await?;
        let Paged { items, next } = paged(seen.keys, page)?;
        Ok(KeysSeen { keys: items, after: next, ..seen })
    }

    /// The keys as they stand.
    pub async fn list(&self) -> Result<KeysSeen, KeyRefused> {
        let (snapshot, now) = (self.ring.reload().await?, self.ring.now());
        Ok(KeysSeen {
            at: now,
            keys: in_order(snapshot.keys.clone(), now),
            after: None,
            numbers: snapshot.row.schedule,
            next: rotation::next_hand_over(&snapshot.keys, &snapshot.schedule, now),
            looked_at: snapshot.row.probed_at,
            warnings: self.ring.public_warnings(),
            unconfirmed: self.issuer.unconfirmed(&self.ring).await.map_err(AdminError::from)?,
        })
    }

    /// What is to come until `until`.
    pub async fn plan(&self, until: OffsetDateTime) -> Result<KeysPlan, KeyRefused> {
        let (snapshot, from) = (self.ring.reload().await?, self.ring.now());
        Ok(KeysPlan {
            from,
            until,
            numbers: snapshot.row.schedule,
            spans: spans(&snapshot.keys, &snapshot.schedule, from, until),
            transitions: rotation::forecast(&snapshot.keys, &snapshot.schedule, from, until),
        })
    }

    /// The plan for `ahead`, tried on every copy of the JWKS that a verifier may hold.
    pub async fn proven_plan(&self, ahead: Duration) -> Result<(KeysPlan, Proof), KeyRefused> {
        let plan = self.plan(self.ring.now() + ahead).await?;
        let schedule = self.ring.snapshot().schedule;
        let proof = rotation::prove(&plan.spans, &schedule, plan.from, plan.until);
        Ok((plan, proof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::IssuerId;
    use crate::domain::sealed::Sealed;
    use crate::domain::signing_key::{KeyKind, KeyTimes, PublicKey};

    const EPOCH: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn key(n: u8, times: KeyTimes) -> SigningKey {
        SigningKey {
            issuer: IssuerId::new(uuid::Uuid::from_u128(1)),
            kid: Kid::from_thumbprint(&[n; 32]),
            kind: KeyKind::P256,
            public: PublicKey::new(KeyKind::P256, &"A".repeat(43), &"A".repeat(43)).unwrap(),
            certificate: None,
            private: Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap(),
            times,
            first: false,
            forgotten_at: None,
        }
    }

    /// Seven keys that followed each other day by day: five are over, one signs, one waits.
    fn house() -> Vec<SigningKey> {
        let turn = |n: u8| {
            let from = EPOCH + Duration::days(n.into());
            let until = (n < 5).then_some(from + Duration::DAY);
            KeyTimes { sign_from: Some(from), sign_until: until, publish_until: until, ..KeyTimes::published(EPOCH) }
        };
        let followed = (0..6).map(|n| key(n, turn(n)));
        followed.chain([key(6, KeyTimes::published(EPOCH))]).collect()
    }

    fn at(days: i64) -> OffsetDateTime {
        EPOCH + Duration::days(days) + Duration::HOUR
    }

    #[test]
    fn pages_of_any_size_hold_every_key_once_and_the_signing_one_first() {
        let kids = |keys: &[KeyAt]| keys.iter().map(|at| at.key.kid.clone()).collect::<Vec<_>>();
        let all = kids(&in_order(house(), at(5)));
        assert_eq!(all[..2], [5, 6].map(|n| Kid::from_thumbprint(&[n; 32])));
        for limit in 1..=8 {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = paged(in_order(house(), at(5)), &Page { after, limit }).unwrap();
                assert!(page.items.len() <= limit as usize);
                seen.extend(kids(&page.items));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all, "pages of {limit}");
        }
    }

    #[test]
    fn a_hand_over_between_two_pages_hides_no_key_that_stays_what_it_was() {
        let mut keys = house();
        let first = paged(in_order(keys.clone(), at(5)), &Page { after: None, limit: 3 }).unwrap();
        // The signing key retires and the standby signs: neither stands on a page to come, nor moves what does.
        keys[5].times.sign_until = Some(at(5));
        keys[5].times.publish_until = Some(at(5));
        keys[6].times.sign_from = Some(at(5));
        let rest = paged(in_order(keys, at(6)), &Page { after: first.next, limit: 50 }).unwrap();
        let seen: std::collections::BTreeSet<_> =
            first.items.iter().chain(&rest.items).map(|at| at.key.kid.clone()).collect();
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn a_cursor_that_no_page_gave_is_refused() {
        for cursor in ["", "0", "0.1", "0.1.x", "x.1.k", "256.0.k"] {
            let page = Page { after: Some(cursor.to_owned()), limit: 1 };
            assert!(matches!(paged(in_order(house(), at(5)), &page), Err(AdminError::Cursor)), "{cursor}");
        }
    }
}
