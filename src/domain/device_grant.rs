//! A device that asks for a person's approval (RFC 8628), as a pure state machine.

use time::{Duration, OffsetDateTime};

/// How long a device may wait for its approval.
pub const DEVICE_GRANT_LIFE: Duration = Duration::minutes(10);
/// Seconds between two polls, until the device is told to slow down.
pub const POLL_INTERVAL: u32 = 5;
/// Seconds by which the interval grows at each poll that came too soon (RFC 8628, section 3.5).
pub const SLOW_DOWN: u32 = 5;
/// How much too soon a poll may come: a device counts from its own request, and the network is not always as fast.
const EARLY: Duration = Duration::SECOND;

/// One device's wish. `A` is what an approval says: who, and how they had signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceGrant<A> {
    /// Until when it can be approved and redeemed.
    pub expires_at: OffsetDateTime,
    /// Seconds that the device must let pass between two polls; it only grows.
    pub interval: u32,
    /// When it polled last.
    pub polled_at: Option<OffsetDateTime>,
    /// How far it is.
    pub state: DeviceState<A>,
}

/// How far a [`DeviceGrant`] is. Nothing leads back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceState<A> {
    /// Nobody has decided.
    Pending,
    /// Somebody has approved it, and the device has not learned so.
    Approved(A),
    /// Somebody has denied it.
    Denied,
    /// The device has its tokens. The approval is gone with that.
    Redeemed,
}

/// What a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided<A> {
    /// Let the device in as me.
    Approve(A),
    /// It is not mine.
    Deny,
}

/// Why a decision changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UndecidableGrant {
    /// Its time is over.
    #[error("the device has waited too long: start again there")]
    Expired,
    /// It was approved or denied before.
    #[error("the device was approved or denied before")]
    Decided,
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled<A> {
    /// Its tokens; this once.
    Approved(A),
    /// Nobody has decided.
    Pending,
    /// Nobody has decided, and it asked too soon.
    SlowDown,
    /// It was denied.
    Denied,
    /// Its time is over.
    Expired,
    /// It had its tokens before.
    Redeemed,
}

impl<A> DeviceGrant<A> {
    /// A new one.
    pub fn new(now: OffsetDateTime) -> Self {
        Self {
            expires_at: now + DEVICE_GRANT_LIFE,
            interval: POLL_INTERVAL,
            polled_at: None,
            state: DeviceState::Pending,
        }
    }

    /// A person decides, once.
    pub fn decide(self, now: OffsetDateTime, decided: Decided<A>) -> Result<Self, UndecidableGrant> {
        match self.state {
            DeviceState::Pending if self.expires_at <= now => Err(UndecidableGrant::Expired),
            DeviceState::Pending => {
                let state = match decided {
                    Decided::Approve(approval) => DeviceState::Approved(approval),
                    Decided::Deny => DeviceState::Denied,
                };
                Ok(Self { state, ..self })
            }
            DeviceState::Approved(_) | DeviceState::Denied | DeviceState::Redeemed => Err(UndecidableGrant::Decided),
        }
    }

    /// The device asks. Only while nobody has decided does it matter how soon: `slow_down` is a kind of
    /// `authorization_pending` (RFC 8628, section 3.5).
    pub fn poll(self, now: OffsetDateTime) -> (Self, Polled<A>) {
        let soon = self.polled_at.is_some_and(|last| now - last < Duration::seconds(self.interval.into()) - EARLY);
        let over = self.expires_at <= now;
        let polled = Self { polled_at: Some(now), ..self };
        match polled.state {
            DeviceState::Denied => (polled, Polled::Denied),
            DeviceState::Redeemed => (polled, Polled::Redeemed),
            DeviceState::Pending | DeviceState::Approved(_) if over => (polled, Polled::Expired),
            DeviceState::Approved(approval) => {
                let DeviceGrant { expires_at, interval, polled_at, .. } = polled;
                (Self { expires_at, interval, polled_at, state: DeviceState::Redeemed }, Polled::Approved(approval))
            }
            DeviceState::Pending if soon => {
                let interval = polled.interval.saturating_add(SLOW_DOWN);
                (Self { interval, ..polled }, Polled::SlowDown)
            }
            DeviceState::Pending => (polled, Polled::Pending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    #[derive(Debug, Clone)]
    enum Step {
        Wait(i64),
        Approve(u8),
        Deny,
        Poll,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200_i64).prop_map(Step::Wait),
            any::<u8>().prop_map(Step::Approve),
            Just(Step::Deny),
            Just(Step::Poll),
            Just(Step::Poll),
        ]
    }

    /// The reference: every step so far, and what follows from reading them from the start. No state but the history.
    #[derive(Default)]
    struct Model(Vec<(i64, Step)>);

    impl Model {
        /// The first decision in time, if any.
        fn decision(&self) -> Option<&Step> {
            self.0
                .iter()
                .find(|(at, step)| *at < 600 && matches!(step, Step::Approve(_) | Step::Deny))
                .map(|(_, step)| step)
        }

        fn polls(&self) -> Vec<i64> {
            self.0.iter().filter(|(_, step)| matches!(step, Step::Poll)).map(|(at, _)| *at).collect()
        }

        /// What a poll at second `at` is answered after this history.
        fn answer(&self, at: i64) -> Polled<u8> {
            let decided =
                self.0.iter().position(|(when, step)| *when < 600 && matches!(step, Step::Approve(_) | Step::Deny));
            match (self.decision(), decided) {
                (Some(Step::Deny), _) => Polled::Denied,
                (Some(Step::Approve(who)), Some(place)) => {
                    let redeemed = self.0[place..].iter().any(|(when, step)| *when < 600 && matches!(step, Step::Poll));
                    match (redeemed, at < 600) {
                        (true, _) => Polled::Redeemed,
                        (false, true) => Polled::Approved(*who),
                        (false, false) => Polled::Expired,
                    }
                }
                _ if at >= 600 => Polled::Expired,
                _ => {
                    let polls = self.polls();
                    let mut interval = 5;
                    for pair in polls.windows(2) {
                        interval += if pair[1] - pair[0] < interval - 1 { 5 } else { 0 };
                    }
                    match polls.last() {
                        Some(last) if at - last < interval - 1 => Polled::SlowDown,
                        _ => Polled::Pending,
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_machine_answers_as_the_history_says(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut grant, mut model, mut at) = (DeviceGrant::<u8>::new(START), Model::default(), 0);
            let mut given = 0;
            for step in steps {
                let now = START + Duration::seconds(at);
                match &step {
                    Step::Wait(seconds) => at += seconds,
                    Step::Poll => {
                        let (next, answer) = grant.poll(now);
                        grant = next;
                        prop_assert_eq!(&answer, &model.answer(at));
                        given += usize::from(matches!(answer, Polled::Approved(_)));
                        prop_assert!(given <= 1, "tokens were given twice");
                    }
                    Step::Approve(_) | Step::Deny => {
                        let decided = match &step {
                            Step::Approve(who) => Decided::Approve(*who),
                            Step::Deny | Step::Wait(_) | Step::Poll => Decided::Deny,
                        };
                        let expected = match (model.decision(), at < 600) {
                            (Some(_), _) => Err(UndecidableGrant::Decided),
                            (None, false) => Err(UndecidableGrant::Expired),
                            (None, true) => Ok(()),
                        };
                        let next = grant.clone().decide(now, decided);
                        prop_assert_eq!(next.as_ref().map(|_| ()).map_err(|refused| *refused), expected);
                        if let Ok(next) = next {
                            grant = next;
                        }
                    }
                }
                model.0.push((at, step));
            }
        }
    }

    #[test]
    fn who_polls_too_soon_must_wait_five_seconds_longer_each_time() {
        let poll = |grant: DeviceGrant<u8>, seconds| grant.poll(START + Duration::seconds(seconds));
        let (grant, answer) = poll(DeviceGrant::new(START), 0);
        assert_eq!((answer, grant.interval), (Polled::Pending, 5));
        let (grant, answer) = poll(grant, 1);
        assert_eq!((answer, grant.interval), (Polled::SlowDown, 10));
        let (grant, answer) = poll(grant, 6);
        assert_eq!((answer, grant.interval), (Polled::SlowDown, 15));
        let (grant, answer) = poll(grant, 21);
        assert_eq!((answer, grant.interval), (Polled::Pending, 15), "it slowed down, and need not again");
    }
}
