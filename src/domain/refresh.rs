//! Refresh tokens that rotate: which showing is honest, which may be, and which ends the session (RFC 9700, section
//! 4.14.2).

use time::{Duration, OffsetDateTime};

/// How long the token before the current one is accepted once more: whoever never got the answer tries again.
pub const RETRY_GRACE: Duration = Duration::seconds(60);

/// A refresh token, as far as its own family is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshState {
    /// When it was shown first, and got a successor.
    pub replaced_at: Option<OffsetDateTime>,
    /// Whether it was shown once more after that, and its successor replaced by another.
    pub retried: bool,
    /// Whether it is dead: a retry put another in its place.
    pub dead: bool,
    /// Whether its successor was shown; then whoever has that got the answer.
    pub successor_used: bool,
}

/// What showing a refresh token means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The current one: it gets a successor.
    Rotate,
    /// The one before, soon, the first time, and nobody has used the current one: that one dies and another takes its
    /// place.
    Retry,
    /// Two parties hold the family, and nobody can tell which is the thief: the session ends.
    Reuse,
}

impl RefreshState {
    /// What it means that this token is shown at `now`. [`Shown::Reuse`] is final: once a token means that, it does
    /// for ever, so that the session may be ended in a later transaction.
    pub fn shown(self, now: OffsetDateTime) -> Shown {
        match self.replaced_at {
            _ if self.dead => Shown::Reuse,
            None => Shown::Rotate,
            Some(at) if !self.retried && !self.successor_used && now < at + RETRY_GRACE => Shown::Retry,
            Some(_) => Shown::Reuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn at(second: i64) -> OffsetDateTime {
        START + Duration::seconds(second)
    }

    /// A family as the store keeps it: tokens by number, each with its successor.
    #[derive(Default)]
    struct Family {
        tokens: Vec<(RefreshState, Option<usize>)>,
        ended: bool,
    }

    impl Family {
        fn new() -> Self {
            Self { tokens: vec![(RefreshState::default(), None)], ended: false }
        }

        /// Shows token `number`; the token that is got for it.
        fn show(&mut self, number: usize, now: OffsetDateTime) -> Option<usize> {
            if self.ended {
                return None;
            }
            let (mut state, successor) = self.tokens[number];
            state.successor_used = successor.is_some_and(|next| self.tokens[next].0.replaced_at.is_some());
            let next = self.tokens.len();
            match state.shown(now) {
                Shown::Rotate => self.tokens[number] = (RefreshState { replaced_at: Some(now), ..state }, Some(next)),
                Shown::Retry => {
                    if let Some(successor) = successor {
                        self.tokens[successor].0.dead = true;
                    }
                    self.tokens[number] = (RefreshState { retried: true, ..state }, Some(next));
                }
                Shown::Reuse => {
                    self.ended = true;
                    return None;
                }
            }
            self.tokens.push((RefreshState::default(), None));
            Some(next)
        }
    }

    /// The reference, in the words of the contract: there is one current token, and perhaps one before it that may
    /// come again until an instant. Everything else ever given is poison.
    struct Reference {
        given: usize,
        current: usize,
        before: Option<(usize, i64)>,
        ended: bool,
    }

    impl Reference {
        fn show(&mut self, number: usize, second: i64) -> Option<usize> {
            if self.ended {
                return None;
            }
            if number == self.current {
                self.before = Some((number, second + 60));
            } else if self.before.is_some_and(|(before, until)| before == number && second < until) {
                self.before = None;
            } else {
                self.ended = true;
                return None;
            }
            self.given += 1;
            self.current = self.given;
            Some(self.given)
        }
    }

    proptest! {
        #[test]
        fn a_family_behaves_as_the_contract_says(steps in proptest::collection::vec((0_usize..4, 0_i64..50), 1..40)) {
            let mut family = Family::new();
            let mut reference = Reference { given: 0, current: 0, before: None, ended: false };
            let mut second = 0;
            for (back, wait) in steps {
                second += wait;
                // Any token given so far, the late ones likelier.
                let number = reference.given.saturating_sub(back);
                prop_assert_eq!(family.show(number, at(second)), reference.show(number, second));
                prop_assert_eq!(family.ended, reference.ended);
                // Never two tokens that would both be taken for the current one.
                let live = family.tokens.iter().filter(|(state, _)| state.shown(at(second)) == Shown::Rotate).count();
                prop_assert!(live <= 1, "{live} current tokens");
            }
        }

        #[test]
        fn reuse_is_final(
            replaced in proptest::option::of(0_i64..100), retried: bool, dead: bool, used: bool, later in 0_i64..1000
        ) {
            let state = RefreshState { replaced_at: replaced.map(at), retried, dead, successor_used: used };
            prop_assert!(state.shown(at(100)) != Shown::Reuse || state.shown(at(100 + later)) == Shown::Reuse);
        }
    }
}
