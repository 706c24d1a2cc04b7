//! The keys of one moment, and what the pure functions say of them at each second, asked once.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

use brevet::domain::rotation::{self, KeyChange, Step};
use brevet::domain::signing_key::{self, KeySetError, KeyState, KeyTimes, SigningKey};

use super::rows::{at, issuer, number, unchecked};
use super::world::{Bounds, leading, numbers_of};

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
    /// What a replica's reading comes to: since when each key is seen at the public address it never looks at there.
    pub(super) face: u64,
    digest: u64,
    facts: Vec<OnceLock<Fact>>,
}

/// All the keys that a search has met, so that what is true of them is asked once however it came to them.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<HashMap<u64, Arc<Known>>>>);

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl Known {
    pub(super) fn new(rows: Vec<SigningKey>, bounds: &Bounds) -> Arc<Self> {
        let (mut state, mut face) = (DefaultHasher::new(), DefaultHasher::new());
        for key in &rows {
            hash_times(&key.times, &mut state);
            hash_times(&KeyTimes { seen_from: None, seen_until: None, ..key.times }, &mut face);
        }
        let digest = state.finish();
        let mut shelf = bounds.shelf.0.lock().unwrap();
        if let Some(known) = shelf.get(&digest).filter(|known| known.rows == rows) {
            return Arc::clone(known);
        }
        let seconds = usize::try_from(bounds.horizon + 2 * MARGIN).unwrap();
        let known = Arc::new(Self {
            revoked: mask(rows.iter().filter(|key| key.times.revoked_at.is_some())),
            rows,
            face: face.finish(),
            digest,
            facts: (0..=seconds).map(|_| OnceLock::new()).collect(),
        });
        shelf.insert(digest, Arc::clone(&known));
        known
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
            let mut steps = rotation::plan(&self.rows, &leading(bounds, raised), now).into_iter();
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
        std::ptr::eq(self, other) || (self.digest == other.digest && self.rows == other.rows)
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
