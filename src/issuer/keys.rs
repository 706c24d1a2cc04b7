//! The keys at hand: read from the store, opened once, swapped as a whole.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use time::{Duration, OffsetDateTime};
use tokio::sync::watch;

use super::refusals::Unavailable;
use crate::crypto::jwk::{Jwks, X5c};
use crate::crypto::seal::Kek;
use crate::crypto::signer::KeySet;
use crate::crypto::verify::Verifier;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::domain::id::{IssuerId, TeamUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::key_schedule::KeySchedule;
use crate::domain::signing_key::{self, KeyKind, Kid, SigningKey};
use crate::store::{IssuerRow, Store, StoreError};

/// How far this host's clock may be off the database's, in milliseconds, whatever `clock_error` of the schedule says
/// beyond it.
const CLOCK_ERROR_MAX: i64 = 5_000;
/// After a jump of the clock that no database can judge, nothing is signed for so long.
const SETTLES: Duration = Duration::seconds(3);

/// What one reading of the store gave. Immutable: a request that began with it ends with it.
pub struct Snapshot {
    /// The rows, private halves sealed.
    pub keys: Vec<SigningKey>,
    /// The issuer's row, read before the keys: a change between the two readings shows as an old version, and what is
    /// decided on them is then refused.
    pub row: IssuerRow,
    /// The schedule of the row's numbers.
    pub schedule: KeySchedule,
    /// When they were read: the instant before the first of both.
    pub read_at: OffsetDateTime,
    /// How far our clock was off, in milliseconds: off the database's or, where the database has no other clock than
    /// ours, how far it has jumped.
    pub clock_off: i64,
    /// [`Clock::elapsed`] at `read_at`.
    read_after: Duration,
    /// Until when, on [`Clock::elapsed`], a jump counts.
    unsettled_until: Option<Duration>,
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
    source: Source,
    // Held for the length of an assignment, never across an await.
    current: RwLock<Arc<Snapshot>>,
    // One reader at a time, so that a hand-over under load opens the new key once.
    reading: tokio::sync::Mutex<()>,
    /// What this process found when it last looked at the public `jwks_uri`.
    pub(super) looked: Mutex<Looked>,
}

/// What this process found when it last looked at the public `jwks_uri`; `issuer::probe` looks.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// [`crate::domain::clock::Clock::elapsed`] when it did.
    pub(super) after: Option<Duration>,
    /// Why that said nothing, and since when.
    pub(super) fault: Option<(OffsetDateTime, String)>,
    /// Keys listed there that are not ours to publish: revoked, gone, or never ours.
    pub(super) stray: Vec<Kid>,
}

/// Whose keys they are, and what it takes to read and open them.
#[derive(Clone)]
struct Source {
    url: IssuerUrl,
    team: Option<TeamUid>,
    id: IssuerId,
    store: Store,
    kek: Arc<Kek>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// One for all rings of the process.
    changed: watch::Sender<()>,
}

impl KeyRing {
    /// Reads and opens the keys of the shared issuer for the first time. A wrong key-encryption key is noticed here.
    pub async fn open(
        url: IssuerUrl,
        id: IssuerId,
        store: Store,
        kek: Kek,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Unavailable> {
        Self::of(Source {
            url,
            team: None,
            id,
            store,
            kek: Arc::new(kek),
            clock,
            entropy,
            changed: watch::Sender::default(),
        })
        .await
    }

    /// Opens the keys of another issuer of the same installation: a team's private one.
    pub async fn sibling(&self, row: &IssuerRow) -> Result<Self, Unavailable> {
        let (url, team, id) = (row.url.clone(), row.team.clone(), row.id);
        Self::of(Source { url, team, id, ..self.source.clone() }).await
    }

    async fn of(source: Source) -> Result<Self, Unavailable> {
        let first = source.read(None).await?;
        // At start every fault is told at once, not at the first mint.
        signing_key::signing_key(&first.keys, source.clock.now())?;
        Ok(Self {
            source,
            current: RwLock::new(Arc::new(first)),
            reading: tokio::sync::Mutex::default(),
            looked: Mutex::default(),
        })
    }

    /// The `iss` of what these keys sign.
    pub const fn url(&self) -> &IssuerUrl {
        &self.source.url
    }

    /// Whose private issuer it is; `None` for the shared one.
    pub const fn team(&self) -> Option<&TeamUid> {
        self.source.team.as_ref()
    }

    /// The issuer's id, on keys and audit rows.
    pub const fn id(&self) -> IssuerId {
        self.source.id
    }

    /// What seals the private halves of this installation's keys.
    pub(super) fn kek(&self) -> &Kek {
        &self.source.kek
    }

    /// The database.
    pub(super) const fn store(&self) -> &Store {
        &self.source.store
    }

    /// Makes ids and secrets.
    pub(super) fn entropy(&self) -> &dyn Entropy {
        self.source.entropy.as_ref()
    }

    /// The time.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.source.clock.now()
    }

    /// Whether what is at hand may be acted on: young enough, and our clock right.
    pub(super) fn believed(&self) -> Result<(), Unavailable> {
        self.snapshot().believed(self.now(), self.source.clock.elapsed())
    }

    /// By how much our clock is off, in milliseconds, where that is more than it may be.
    pub(super) fn clock_doubt(&self) -> Option<i64> {
        self.snapshot().clock_doubt(self.now(), self.source.clock.elapsed())
    }

    /// Makes the process's upkeep do its rounds at once.
    pub(super) fn wake(&self) {
        self.source.changed.send_replace(());
    }

    /// Sees a change with each [`KeyRing::wake`] on any ring of the process from now on.
    pub(super) fn woken(&self) -> watch::Receiver<()> {
        self.source.changed.subscribe()
    }

    /// The monotonic time.
    pub(super) fn elapsed(&self) -> Duration {
        self.source.clock.elapsed()
    }

    /// What is at hand.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the store again and swaps. Without the database what is at hand stays.
    pub async fn reload(&self) -> Result<Arc<Snapshot>, Unavailable> {
        let before = self.snapshot();
        let read = Arc::new(self.source.read(Some(&before)).await?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Of two readings that overlap, the one begun later stays: what it read of a revocation is not unread again.
        if read.read_after >= current.read_after {
            *current = read;
        }
        Ok(Arc::clone(&current))
    }

    /// Whether what is at hand is what `row`, just read, counts, and far from too old to sign with: there may be a
    /// thousand issuers, and few of them change.
    pub(super) fn is_current(&self, row: &IssuerRow) -> bool {
        let seen = self.snapshot();
        let young = (self.now() - seen.read_at).abs() < Duration::seconds(i64::from(row.schedule.oldest_snapshot) / 3);
        young && seen.row == *row && seen.believed(self.now(), self.elapsed()).is_ok()
    }

    /// Whether what is at hand was read from what `row`, just read, counts.
    pub(super) fn is_of(&self, row: &IssuerRow) -> bool {
        self.snapshot().row == *row
    }

    /// The one key that signs at `now`, opened. At a hand-over, whose instant every replica knows from the
    /// rows, the store is read again and the standby opened.
    pub async fn signing(&self, now: OffsetDateTime) -> Result<Arc<OpenKey>, Unavailable> {
        let at_hand = self.snapshot();
        let elapsed = self.source.clock.elapsed();
        if let Ok(open) = at_hand.signing(now, elapsed) {
            return Ok(open);
        }
        let _reading = self.reading.lock().await;
        let by_now = self.snapshot();
        let by_now = if Arc::ptr_eq(&by_now, &at_hand) { self.reload().await? } else { by_now };
        by_now.signing(now, elapsed)
    }
}

impl Snapshot {
    /// How far the wall clock has gone astray of the monotonic one since the rows were read, in milliseconds.
    fn jumped(&self, now: OffsetDateTime, elapsed: Duration) -> i64 {
        milliseconds((now - self.read_at) - (elapsed - self.read_after))
    }

    /// The signer that the rows name at `now`, unless they are too old to be believed or the clock is.
    fn signing(&self, now: OffsetDateTime, elapsed: Duration) -> Result<Arc<OpenKey>, Unavailable> {
        self.believed(now, elapsed)?;
        let key = signing_key::signing_key(&self.keys, now)?;
        match &self.signer {
            Some(open) if *open.set.kid() == key.kid => Ok(Arc::clone(open)),
            _ => Err(Unavailable::Changing),
        }
    }

    /// Whether the rows are young enough to be acted on, and the clock right.
    fn believed(&self, now: OffsetDateTime, elapsed: Duration) -> Result<(), Unavailable> {
        let age = (now - self.read_at).whole_seconds();
        if age > i64::from(self.row.schedule.oldest_snapshot) {
            return Err(Unavailable::StaleKeys(age));
        }
        match self.clock_doubt(now, elapsed) {
            Some(off) => Err(Unavailable::Clock(off)),
            None => Ok(()),
        }
    }

    /// By how much our clock is off, in milliseconds, where that is more than it may be.
    fn clock_doubt(&self, now: OffsetDateTime, elapsed: Duration) -> Option<i64> {
        [self.clock_off, self.jumped(now, elapsed)].into_iter().find(|off| off.abs() > self.clock_error())
    }

    /// How far our clock may be off, in milliseconds.
    pub fn clock_error(&self) -> i64 {
        clock_error(&self.row)
    }

    fn opened(&self, kid: &Kid) -> Option<Arc<OpenKey>> {
        self.signer.as_ref().filter(|open| open.set.kid() == kid).map(Arc::clone)
    }

    /// Takes tokens signed with any published key.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

/// SQLite has no other clock than ours, so nobody can say whether a jump was a fault or its mending. What can be said is
/// that time does not jump: after one nothing is signed until the clock has run evenly for a while.
fn own_clock(before: Option<&Snapshot>, now: OffsetDateTime, elapsed: Duration) -> (i64, Option<Duration>) {
    let Some(before) = before else { return (0, None) };
    let jumped = before.jumped(now, elapsed);
    if jumped.abs() > before.clock_error() {
        return (jumped, Some(elapsed + SETTLES));
    }
    match before.unsettled_until {
        Some(until) if elapsed < until => (before.clock_off, Some(until)),
        _ => (0, None),
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.whole_milliseconds()).unwrap_or(i64::MAX)
}

/// How far our clock may be off, in milliseconds.
fn clock_error(row: &IssuerRow) -> i64 {
    CLOCK_ERROR_MAX.min(i64::from(row.schedule.clock_error) * 1000)
}

impl Source {
    /// The database's time, where it has one, and when we asked for it. Where the answer was slow twice, as if we had
    /// asked when it came: a clock that is ahead must not hide behind the time that the answer took.
    async fn database_time(&self, slow: i64) -> Result<(OffsetDateTime, Option<OffsetDateTime>), Unavailable> {
        for _ in 0..2 {
            let asked = self.clock.now();
            let theirs = self.store.database_time().await?;
            if theirs.is_none() || milliseconds(self.clock.now() - asked) <= slow {
                return Ok((asked, theirs));
            }
        }
        let theirs = self.store.database_time().await?;
        Ok((self.clock.now(), theirs))
    }

    async fn read(&self, before: Option<&Snapshot>) -> Result<Snapshot, Unavailable> {
        let Self { url, team, id, store, kek, clock, entropy, .. } = self;
        let (read_at, read_after) = (clock.now(), clock.elapsed());
        let row = store.issuer_of(*id).await?.ok_or(StoreError::Corrupt("issuers"))?;
        let keys = store.signing_keys(*id).await?;
        let error_max = clock_error(&row);
        let (asked, theirs) = self.database_time(error_max).await?;
        let (now, elapsed) = (clock.now(), clock.elapsed());
        let (clock_off, unsettled_until) = match theirs {
            // It told the time at some moment between; a slow answer makes no clock wrong.
            Some(theirs) => {
                (milliseconds((asked - theirs).max(Duration::ZERO) + (now - theirs).min(Duration::ZERO)), None)
            }
            None => own_clock(before, now, elapsed),
        };
        let doubt = clock_off.abs() > error_max;
        if !doubt {
            signing_key::check(&keys, *id, now)?;
        }
        let signer = match signing_key::signing_key(&keys, now) {
            // Nothing is signed then, and what the rows make at a wrong time is no fault of theirs.
            _ if doubt => before.and_then(|before| before.signer.clone()),
            // Parsing a key costs more than a signature: what is open stays open.
            Ok(key) => Some(match before.and_then(|before| before.opened(&key.kid)) {
                Some(open) => open,
                None => Arc::new(OpenKey { set: KeySet::open(key, kek, entropy.as_ref())?, kind: key.kind }),
            }),
            Err(_) => None,
        };
        let jwks = Jwks::of(signing_key::published(&keys, now));
        let verifier = match before.filter(|before| before.jwks == jwks) {
            Some(before) => Arc::clone(&before.verifier),
            None => Arc::new(Verifier::new(url.clone(), &jwks)?.for_team(team.clone())),
        };
        Ok(Snapshot {
            keys,
            schedule: KeySchedule::stored(row.schedule),
            read_at,
            read_after,
            clock_off,
            unsettled_until,
            x5c: if row.x5c { X5c::On } else { X5c::Off },
            max_age: row.schedule.max_age,
            row,
            signer,
            jwks,
            verifier,
        })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys of {}", self.source.url)
    }
}
