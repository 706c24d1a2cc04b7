//! The keys of one moment, and what the pure functions say of them at each second, asked once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use brevet::domain::rotation::{self, KeyChange, Step};
use brevet::domain::signing_key::{self, KeySetError, KeyState, KeyTimes, SigningKey};

use super::rows::{at, issuer, number, unchecked};
use super::world::{Bounds, numbers_of};

/// Seconds before and after the world's own that some clock may show.
const MARGIN: i64 = 8;

/// What is true of the keys at one second.
#[derive(Debug, Default)]
pub(super) struct Fact {
    /// The JWKS, a bit for each key.
    pub(super) published: u16,
    /// The keys whose state is active.
    pub(super) active: u16,
    /// The one that signs.
    pub(super) signer: Option<usize>,
    /// Whether the signing key is refused because there are several.
    pub(super) several: bool,
    /// Whether the keys may be an issuer's.
    pub(super) proper: bool,
    /// What the clock asks for, before and after max-age was raised.
    pub(super) asked: [Option<Arc<Transaction>>; 2],
}

/// A change under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) change: KeyChange,
    digest: u64,
}

impl Transaction {
    pub(super) fn new(change: KeyChange) -> Arc<Self> {
        let mut state = DefaultHasher::new();
        for retimed in &change.times {
            number(&retimed.kid).hash(&mut state);
            hash_times(&retimed.expected, &mut state);
            hash_times(&retimed.times, &mut state);
        }
        change.make.iter().for_each(|new| hash_times(&new.times, &mut state));
        Arc::new(Self { digest: state.finish(), change })
    }
}

/// Some keys.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) rows: Vec<SigningKey>,
    /// Those distrusted.
    pub(super) revoked: u16,
    digest: u64,
    facts: Vec<OnceLock<Fact>>,
}

impl Known {
    pub(super) fn new(rows: Vec<SigningKey>, bounds: &Bounds) -> Arc<Self> {
        let mut state = DefaultHasher::new();
        for key in &rows {
            hash_times(&key.times, &mut state);
        }
        let seconds = usize::try_from(bounds.horizon + 2 * MARGIN).unwrap();
        Arc::new(Self {
            revoked: mask(rows.iter().filter(|key| key.times.revoked_at.is_some())),
            rows,
            digest: state.finish(),
            facts: (0..=seconds).map(|_| OnceLock::new()).collect(),
        })
    }

    /// What is true of them at `second`.
    pub(super) fn at(&self, second: i64, bounds: &Bounds) -> &Fact {
        let index = usize::try_from(second + MARGIN).unwrap();
        self.facts[index].get_or_init(|| self.ask(second, bounds))
    }

    fn ask(&self, second: i64, bounds: &Bounds) -> Fact {
        let now = at(second);
        let signer = signing_key::signing_key(&self.rows, now);
        let asked = [false, true].map(|raised| {
            let schedule = unchecked(numbers_of(bounds, raised));
            let mut steps = rotation::plan(&self.rows, &schedule, now).into_iter();
            // The private half's end changes nothing that a verifier meets.
            let step = steps.find(|step| !matches!(step, Step::Forget { .. }))?;
            Some(Transaction::new(step.change(&schedule, now)))
        });
        Fact {
            published: mask(signing_key::published(&self.rows, now)),
            active: mask(self.rows.iter().filter(|key| key.state(now) == KeyState::Active)),
            several: matches!(signer, Err(KeySetError::SeveralSign(..))),
            signer: signer.ok().map(|key| number(&key.kid)),
            proper: signing_key::check(&self.rows, issuer(), now).is_ok(),
            asked,
        }
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.rows == other.rows
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Hash for Transaction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

fn mask<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> u16 {
    keys.into_iter().map(|key| 1 << number(&key.kid)).fold(0, |all, one: u16| all | one)
}

fn hash_times<H: Hasher>(times: &KeyTimes, state: &mut H) {
    let KeyTimes { publish_from, seen_from, seen_until, sign_from, sign_until, publish_until, revoked_at } = times;
    let instants = [&Some(*publish_from), seen_from, seen_until, sign_from, sign_until, publish_until, revoked_at];
    instants.map(|instant| instant.map(|instant| (instant.unix_timestamp(), instant.millisecond()))).hash(state);
}
