//! The keys at hand: read from the store, opened once, swapped as a whole.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use time::OffsetDateTime;

use super::refusals::Unavailable;
use crate::crypto::jwk::{Jwks, X5c};
use crate::crypto::seal::Kek;
use crate::crypto::signer::KeySet;
use crate::crypto::verify::Verifier;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::id::IssuerId;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::signing_key::{self, KeyKind, Kid, SigningKey};
use crate::store::{Store, StoreError};

/// A replica signs with what it read of the keys at most so many seconds ago (`oldest_snapshot` of the
/// schedule): the time in which a key that was retired elsewhere may still sign here.
pub const OLDEST_SNAPSHOT: i64 = 60;
/// How far this host's clock may be off the database's, in milliseconds (`clock_error` of the schedule).
pub const CLOCK_ERROR_MAX: i64 = 5_000;

/// What one reading of the store gave. Immutable: a request that began with it ends with it.
pub struct Snapshot {
    /// The rows, private halves sealed.
    pub keys: Vec<SigningKey>,
    /// When they were read.
    pub read_at: OffsetDateTime,
    /// How far our clock was off the database's, in milliseconds; 0 where the database has no other clock.
    pub clock_off: i64,
    /// Whether keys are published with their certificates.
    pub x5c: X5c,
    /// How long the public documents may be cached, in seconds.
    pub max_age: u32,
    signer: Option<Arc<OpenKey>>,
    jwks: Jwks,
    verifier: Arc<Verifier>,
}

/// The active key, its private half opened and parsed.
#[derive(Debug)]
pub struct OpenKey {
    /// The signer.
    pub set: KeySet,
    /// Its algorithm and size.
    pub kind: KeyKind,
}

/// The keys of one issuer in this process.
pub struct KeyRing {
    url: IssuerUrl,
    id: IssuerId,
    store: Store,
    kek: Kek,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    // Held for the length of an assignment, never across an await.
    current: RwLock<Arc<Snapshot>>,
    // One reader at a time, so that a hand-over under load opens the new key once.
    reading: tokio::sync::Mutex<()>,
}

impl KeyRing {
    /// Reads and opens the keys for the first time. A wrong key-encryption key is noticed here.
    pub async fn open(
        url: IssuerUrl,
        id: IssuerId,
        store: Store,
        kek: Kek,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Unavailable> {
        let first = read(&url, id, &store, &kek, clock.as_ref(), entropy.as_ref(), None).await?;
        let now = clock.now();
        // At start every fault is told at once, not at the first mint.
        signing_key::signing_key(&first.keys, now)?;
        Ok(Self {
            url,
            id,
            store,
            kek,
            clock,
            entropy,
            current: RwLock::new(Arc::new(first)),
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// What is at hand.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the store again and swaps. Without the database what is at hand stays.
    pub async fn reload(&self) -> Result<Arc<Snapshot>, Unavailable> {
        let before = self.snapshot();
        let (clock, entropy) = (self.clock.as_ref(), self.entropy.as_ref());
        let read = read(&self.url, self.id, &self.store, &self.kek, clock, entropy, Some(&before)).await?;
        let read = Arc::new(read);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        Ok(read)
    }

    /// The one key that signs at `now`, opened. At a hand-over, whose instant every replica knows from the
    /// rows, the store is read again and the standby opened.
    pub async fn signing(&self, now: OffsetDateTime) -> Result<Arc<OpenKey>, Unavailable> {
        let at_hand = self.snapshot();
        if let Ok(open) = at_hand.signing(now) {
            return Ok(open);
        }
        let _reading = self.reading.lock().await;
        let by_now = self.snapshot();
        if Arc::ptr_eq(&by_now, &at_hand) { self.reload().await?.signing(now) } else { by_now.signing(now) }
    }
}

impl Snapshot {
    /// The signer that the rows name at `now`, unless they are too old to be believed.
    fn signing(&self, now: OffsetDateTime) -> Result<Arc<OpenKey>, Unavailable> {
        let age = (now - self.read_at).whole_seconds();
        if age > OLDEST_SNAPSHOT {
            return Err(Unavailable::StaleKeys(age));
        }
        if self.clock_off.abs() > CLOCK_ERROR_MAX {
            return Err(Unavailable::Clock(self.clock_off));
        }
        let key = signing_key::signing_key(&self.keys, now)?;
        match &self.signer {
            Some(open) if *open.set.kid() == key.kid => Ok(Arc::clone(open)),
            _ => Err(Unavailable::Changing),
        }
    }

    fn opened(&self, kid: &Kid) -> Option<Arc<OpenKey>> {
        self.signer.as_ref().filter(|open| open.set.kid() == kid).map(Arc::clone)
    }

    /// Takes tokens signed with any published key.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

async fn read(
    url: &IssuerUrl,
    id: IssuerId,
    store: &Store,
    kek: &Kek,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    before: Option<&Snapshot>,
) -> Result<Snapshot, Unavailable> {
    let keys = store.signing_keys(id).await?;
    let row = store.issuer().await?.ok_or(StoreError::Corrupt("issuers"))?;
    // SQLite has no other clock than ours.
    let clock_off = match store.database_time().await? {
        Some(theirs) => i64::try_from((clock.now() - theirs).whole_milliseconds()).unwrap_or(i64::MAX),
        None => 0,
    };
    let now = clock.now();
    signing_key::check(&keys, id, now)?;
    let signer = match signing_key::signing_key(&keys, now) {
        // Parsing a key costs more than a signature: what is open stays open.
        Ok(key) => Some(match before.and_then(|before| before.opened(&key.kid)) {
            Some(open) => open,
            None => Arc::new(OpenKey { set: KeySet::open(key, kek, entropy)?, kind: key.kind }),
        }),
        Err(_) => None,
    };
    let jwks = Jwks::of(signing_key::published(&keys, now));
    let verifier = match before.filter(|before| before.jwks == jwks) {
        Some(before) => Arc::clone(&before.verifier),
        None => Arc::new(Verifier::new(url.clone(), &jwks)?),
    };
    Ok(Snapshot {
        keys,
        read_at: now,
        clock_off,
        x5c: if row.x5c { X5c::On } else { X5c::Off },
        max_age: row.schedule.max_age,
        signer,
        jwks,
        verifier,
    })
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {}", self.url)
    }
}
