//! A small world of three replicas on one database, with its verifiers, for exhaustive search.
//!
//! Every decision in it is made by the functions that production calls: `plan`, `Step::change`, `KeyChange::apply`,
//! `sighting`, `rotate_now`, `prepare`, `distrust`, `replace_all`, `renumber`, `signing_key`, `published`. The world
//! adds what surrounds them: when a replica reads, what of it is stale, who crashes between which two statements.
//!
//! Verifiers and tokens need no choices. A replica that can sign at an instant is taken to have signed, with the
//! longest lifetime; a JWKS that is served at an instant is taken to have been fetched, and held for a whole max-age,
//! from an export for the lag beside. So one state stands for all verifiers of all cache ages at once.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use brevet::domain::key_schedule::{KeySchedule, ScheduleNumbers};
use brevet::domain::rotation::{self, KeyChange, NewKey};
use brevet::domain::signing_key::{self, KeyKind, KeyTimes, Kid, SigningKey};
use time::OffsetDateTime;

use super::known::{Fact, Known, Shelf, Transaction};
use super::rows::{at, first_pair, key, kid, number, unchecked};

/// How many replicas there are.
pub(super) const REPLICAS: usize = 3;
/// Longest token, in seconds of this world, and what a verifier takes of it after its end.
pub(super) const LIFETIME: i64 = 1;

/// The smallest numbers that keep every rule which the proofs show to be necessary, and one second each of max-age (an
/// export's lag is more of it), of clock error and of late news.
pub(super) fn numbers() -> ScheduleNumbers {
    let (max_age, export_lag, clock_error, oldest_snapshot) = (1, 0, 1, 1);
    ScheduleNumbers {
        max_age,
        export_lag,
        clock_error,
        oldest_snapshot,
        // An instant stands for a whole second: what is fetched in one is held to the end of another.
        publish_before_sign: max_age + export_lag + oldest_snapshot + 2 * clock_error + 1,
        keep_after_sign: 1 + 2 * clock_error,
        rotation_period: 3,
    }
}

/// A rule that a test switches off, to see that the search then finds what the rule prevents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// A standby may sign as soon as it is published.
    PublishBeforeSign,
    /// A key leaves the JWKS when it stops to sign.
    KeepAfterSign,
    /// Looks at the public `jwks_uri` are taken to have seen every key.
    Sighting,
    /// A transaction writes what was planned, whatever is there by now.
    CompareAndSwap,
    /// A hand-over is written key by key.
    OneTransaction,
    /// A replica signs with whatever it read, however long ago, and no audit statement proves the kid.
    FreshSnapshotAndProof,
    /// A replica signs, plans and serves whatever its clock says.
    ClockCheck,
    /// A successor of a distrusted key signs from the very instant of the distrust.
    BackDatedSuccessor,
    /// A hand-over is called off however near it is.
    Stands,
    /// A key that is seen again after nobody could look counts as seen all along.
    Gaps,
    /// A key that was made for lack of a standby counts against no bound.
    Room,
}

/// What may happen, and how much of it.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Seconds in which all goes its even course and at once, before the search begins.
    pub(super) quiet: i64,
    /// Seconds until the end of the world.
    pub(super) horizon: i64,
    /// How often a process may be killed, the database be lost to a replica or to all, a clock go wrong, or what
    /// stands before the replicas freeze.
    pub(super) faults: u8,
    /// How many commands operators may give.
    pub(super) commands: u8,
    /// How far each replica's clock is off the database's, in seconds.
    pub(super) off: [i64; REPLICAS],
    /// Faults and commands of these kinds only; all where it is empty.
    pub(super) only: Vec<Event>,
    /// Whether a transaction is decided and committed in two steps, between which others may come. What others have
    /// changed meanwhile makes it do nothing, so that a search without this sees no less (`interleavings` searches
    /// both ways); but without compare-and-swap this is what breaks.
    pub(super) split: bool,
    /// The rule that is switched off.
    pub(super) rule: Option<Off>,
    /// What the search has met.
    pub(super) shelf: Shelf,
}

/// What breaks the even course of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Kill,
    Cut,
    Outage,
    WrongClock,
    Freeze,
    Rotate,
    Prepare,
    DistrustSigning,
    DistrustStandby,
    ReplaceAll,
    RaiseMaxAge,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A second passes.
    Second,
    /// A replica reads the keys.
    Read(usize),
    /// It reads them, and does what the clock asks for.
    Round(usize),
    /// It asks the public `jwks_uri`, and notes what it saw.
    Look(usize),
    /// What it decided reaches the database.
    Commit(usize),
    /// Only the first half of it does, where that is possible at all.
    Half(usize),
    /// A killed replica starts again.
    Start(usize),
    /// The database is there again for a replica, or what stands before the replicas thaws.
    Mend,
    /// Something out of the even course, by or to one replica.
    Event(Event, usize),
}

/// What a replica is about to do to the database.
#[derive(Debug, Clone, PartialEq, Hash)]
enum Intent {
    /// A transaction; whether another has changed the keys since it was made up; until when an operator was told that
    /// tokens of the next signing key may fail.
    Change { change: Arc<Transaction>, outdated: bool, excused: Option<i64> },
    /// Other numbers.
    Raise,
}

/// What a replica has in hand.
#[derive(Debug, Clone)]
struct Read {
    keys: Arc<Known>,
    /// By its own clock.
    at: i64,
}

impl PartialEq for Read {
    fn eq(&self, other: &Self) -> bool {
        (self.keys.face, self.at) == (other.keys.face, other.at)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Replica {
    up: bool,
    linked: bool,
    /// Seconds that its clock is off the database's.
    off: i64,
    read: Option<Read>,
    /// The JWKS in its file.
    saved: u16,
    intent: Option<Intent>,
    /// When it was last ready.
    ready_at: i64,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct World {
    pub(super) now: i64,
    raised: bool,
    keys: Arc<Known>,
    looked: Option<i64>,
    /// Whether for a whole second nobody could look since the last look.
    blind: bool,
    made: u32,
    replicas: [Replica; REPLICAS],
    /// What stands before the replicas serves this, and asks none of them.
    frozen: Option<u16>,
    /// Each JWKS that some verifier may hold, and the last second of it.
    held: BTreeMap<u16, i64>,
    /// Of each key the last second in which a token of it may be shown.
    tokens: Vec<i64>,
    /// Until when each key's tokens may fail, because an operator was told so and went on.
    excused: Vec<i64>,
    faults: u8,
    commands: u8,
    /// What has come to pass, so that the search can show that it is not empty.
    pub(super) handed_over: bool,
    pub(super) fault: Option<&'static str>,
}

impl World {
    pub(super) fn new(bounds: &Bounds) -> Self {
        // Made a moment ago: until every clock has passed it, a replica whose own is behind signs with nothing yet.
        let born = -i64::from(numbers().clock_error);
        let keys = Known::new(first_pair(at(born)), bounds);
        let replica = |off: i64| Replica {
            up: true,
            linked: true,
            off,
            read: Some(Read { keys: Arc::clone(&keys), at: off }),
            saved: 0b11,
            intent: None,
            ready_at: 0,
        };
        let mut world = Self {
            now: 0,
            raised: false,
            looked: None,
            blind: false,
            made: 2,
            replicas: bounds.off.map(replica),
            keys,
            frozen: None,
            held: BTreeMap::new(),
            tokens: vec![-1; 2],
            excused: vec![-1; 2],
            faults: 0,
            commands: 0,
            handed_over: false,
            fault: None,
        };
        world.settle(bounds);
        world
    }

    /// The world after the quiet seconds: in each all replicas look, do what the clock asks for, and read.
    pub(super) fn after_quiet(bounds: &Bounds) -> Self {
        let mut world = Self::new(bounds);
        while world.now < bounds.quiet {
            for action in [Action::Look, Action::Round, Action::Look, Action::Read].map(|act| (0..REPLICAS).map(act)) {
                for action in action {
                    world = world.after(bounds, action).unwrap_or(world);
                }
            }
            world = world.after(bounds, Action::Second).unwrap();
        }
        world
    }

    /// In how many seconds a planned hand-over is due.
    pub(super) fn hands_over_in(&self) -> Option<i64> {
        let signs = signing_key::signing_key(&self.keys.rows, at(self.now)).ok()?;
        Some(signs.times.sign_until?.unix_timestamp() - self.now)
    }

    fn local(&self, replica: usize) -> i64 {
        self.now + self.replicas[replica].off
    }

    /// What replica `n` makes of the keys that it read.
    fn known(&self, bounds: &Bounds, n: usize) -> Option<&Fact> {
        self.replicas[n].read.as_ref().map(|read| read.keys.at(self.local(n), bounds))
    }

    fn keeps_time(&self, bounds: &Bounds, replica: usize) -> bool {
        bounds.rule == Some(Off::ClockCheck) || self.replicas[replica].off.abs() <= i64::from(numbers().clock_error)
    }

    /// Whether a replica may look and plan.
    fn is_able(&self, bounds: &Bounds, n: usize) -> bool {
        self.replicas[n].up && self.replicas[n].linked && self.keeps_time(bounds, n)
    }

    /// Whether a replica's reading is young enough to sign with.
    fn is_fresh(&self, bounds: &Bounds, replica: usize) -> bool {
        let oldest = i64::from(numbers().oldest_snapshot);
        let any = bounds.rule == Some(Off::FreshSnapshotAndProof);
        self.replicas[replica].read.as_ref().is_some_and(|read| any || self.local(replica) - read.at <= oldest)
    }

    /// The JWKS that a replica serves: where its clock is not to be believed, what it served last without the keys that it
    /// has read to be distrusted.
    fn jwks(&self, bounds: &Bounds, n: usize) -> u16 {
        let distrusted = self.replicas[n].read.as_ref().map_or(0, |read| read.keys.revoked);
        self.known(bounds, n)
            .filter(|_| self.keeps_time(bounds, n))
            .map_or(self.replicas[n].saved & !distrusted, |known| known.published)
    }

    /// Which replicas the public is sent to: those that are ready; where none is, those that were last.
    fn serving(&self) -> Vec<usize> {
        let last = self.replicas.iter().filter(|replica| replica.up).map(|replica| replica.ready_at).max();
        (0..REPLICAS).filter(|n| self.replicas[*n].up && Some(self.replicas[*n].ready_at) == last).collect()
    }

    /// What happens of itself at an instant: replicas are ready or not, every JWKS that is served is fetched, every
    /// key that can sign signs; then the invariants are looked at.
    fn settle(&mut self, bounds: &Bounds) {
        for n in 0..REPLICAS {
            // Reading what one has changes nothing but its age.
            let (now, keys) = (self.local(n), &self.keys);
            if let Some(read) = self.replicas[n].read.as_mut().filter(|read| read.keys.face == keys.face)
                && self.replicas[n].linked
            {
                *read = Read { keys: Arc::clone(keys), at: now };
            }
            let ready = self.replicas[n].up && self.is_fresh(bounds, n) && self.keeps_time(bounds, n);
            if ready {
                self.replicas[n].ready_at = self.now;
            }
            if self.replicas[n].up {
                self.replicas[n].saved = self.jwks(bounds, n);
            }
        }
        let numbers = numbers_of(bounds, self.raised);
        let hold = i64::from(numbers.max_age + numbers.export_lag);
        let served: Vec<u16> = match self.frozen {
            Some(frozen) => vec![frozen],
            None => self.serving().into_iter().map(|n| self.jwks(bounds, n)).collect(),
        };
        for jwks in served {
            let until = self.held.entry(jwks).or_default();
            *until = (*until).max(self.now + hold);
        }
        let now = self.now;
        self.held.retain(|_, until| *until >= now);
        for n in 0..REPLICAS {
            if let Some(signer) = self.signer(bounds, n) {
                let until = self.local(n) + LIFETIME;
                self.tokens[signer] = self.tokens[signer].max(until);
                self.handed_over |= signer > 1;
            }
        }
        self.fault = self.fault.or_else(|| self.broken(bounds));
    }

    /// The key that replica `n` can release a token of now: named by what it read, or by what it reads because that
    /// names none, and proven by the audit statement.
    fn signer(&self, bounds: &Bounds, n: usize) -> Option<usize> {
        let replica = &self.replicas[n];
        if !(replica.up && replica.linked && self.keeps_time(bounds, n)) {
            return None;
        }
        let at_hand = self.known(bounds, n).filter(|_| self.is_fresh(bounds, n));
        let now = self.keys.at(self.local(n), bounds);
        let named = at_hand.and_then(|known| known.signer).or(now.signer)?;
        let released = bounds.rule == Some(Off::FreshSnapshotAndProof) || now.active & (1 << named) != 0;
        released.then_some(named)
    }

    /// The invariant that does not hold, if any.
    fn broken(&self, bounds: &Bounds) -> Option<&'static str> {
        let slack = i64::from(numbers().clock_error);
        if !self.keys.at(self.now, bounds).proper {
            return Some("the keys of the database are no issuer's");
        }
        if (-slack..=slack).any(|off| self.keys.at(self.now + off, bounds).signer.is_none()) {
            return Some("not exactly one key signs while database and clock are sound");
        }
        for (n, replica) in self.replicas.iter().enumerate().filter(|(_, replica)| replica.up) {
            let (Some(read), Some(known)) = (&replica.read, self.known(bounds, n)) else { continue };
            if known.several {
                return Some("two keys sign on one replica");
            }
            let signs = self.signer(bounds, n).map_or(0, |signer| 1 << signer);
            if read.keys.revoked & (self.jwks(bounds, n) | known.published | signs) != 0 {
                return Some("a replica that has read a revocation publishes or signs with the key");
            }
            if known.published.count_ones() > 5 {
                return Some("a JWKS has more than 5 keys");
            }
        }
        for n in (0..self.tokens.len()).filter(|n| self.keys.revoked & (1 << n) == 0) {
            let live = self.tokens[n] >= self.now && self.excused[n] < self.now;
            if live && self.held.keys().any(|jwks| jwks & (1 << n) == 0) {
                return Some("a live token meets a JWKS without its key");
            }
        }
        None
    }

    /// Every action that is possible now.
    pub(super) fn actions(&self, bounds: &Bounds) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.fault.is_some() {
            return actions;
        }
        let may = |event: Event| bounds.only.is_empty() || bounds.only.contains(&event);
        let under_way = self.replicas.iter().filter(|replica| replica.intent.is_some()).count();
        for (n, replica) in self.replicas.iter().enumerate() {
            if !replica.up {
                actions.push(Action::Start(n));
                continue;
            }
            if replica.linked {
                actions.push(Action::Look(n));
                if !bounds.split {
                    actions.extend([Action::Read(n), Action::Round(n)]);
                } else if replica.intent.is_some() {
                    actions.push(Action::Commit(n));
                    if bounds.rule == Some(Off::OneTransaction) {
                        actions.push(Action::Half(n));
                    }
                } else if under_way < 2 {
                    actions.push(Action::Round(n));
                }
            }
            if self.faults < bounds.faults {
                let faults = [Event::Kill, Event::Cut, Event::WrongClock];
                actions.extend(faults.into_iter().filter(|fault| may(*fault)).map(|fault| Action::Event(fault, n)));
            }
            if self.commands < bounds.commands && replica.linked && replica.intent.is_none() && under_way < 2 {
                let commands = [
                    Event::Rotate,
                    Event::Prepare,
                    Event::DistrustSigning,
                    Event::DistrustStandby,
                    Event::ReplaceAll,
                    Event::RaiseMaxAge,
                ];
                actions.extend(commands.into_iter().filter(|event| may(*event)).map(|event| Action::Event(event, n)));
            }
        }
        if self.faults < bounds.faults {
            let faults = [Event::Outage, Event::Freeze];
            actions.extend(faults.into_iter().filter(|fault| may(*fault)).map(|fault| Action::Event(fault, 0)));
        }
        if self.frozen.is_some() || self.replicas.iter().any(|replica| !replica.linked) {
            actions.push(Action::Mend);
        }
        if self.now < bounds.horizon && !self.is_due(bounds) {
            actions.push(Action::Second);
        }
        actions
    }

    /// Whether something must happen before the second is over: upkeep is prompt. Whoever reaches the database finds
    /// something to do, or the public `jwks_uri` shows what no look has noted.
    fn is_due(&self, bounds: &Bounds) -> bool {
        let able: Vec<usize> = (0..REPLICAS).filter(|n| self.is_able(bounds, *n)).collect();
        let asks = |n: &usize| self.keys.at(self.local(*n), bounds).asked[usize::from(self.raised)].is_some();
        let looks = |n: &usize| self.seen(bounds, *n).is_some();
        !able.is_empty() && (able.iter().all(asks) || able.iter().any(looks))
    }

    /// The world after `action`; `None` where it changes nothing.
    pub(super) fn after(&self, bounds: &Bounds, action: Action) -> Option<Self> {
        let mut world = self.clone();
        match action {
            Action::Second => world.second(bounds),
            Action::Read(n) => world.read(n).then_some(())?,
            Action::Round(n) => world.round(bounds, n)?,
            Action::Look(n) => world.look(bounds, n)?,
            Action::Commit(n) => world.commit(bounds, n, false)?,
            Action::Half(n) => world.commit(bounds, n, true)?,
            Action::Start(n) => world.start(n),
            Action::Mend => {
                world.frozen = None;
                world.replicas.iter_mut().for_each(|replica| replica.linked = true);
            }
            Action::Event(event, n) => world.event(bounds, event, n)?,
        }
        world.settle(bounds);
        Some(world)
    }

    /// A second passes. A notification may be lost, but who reaches the database has read it anew before what it
    /// read is too old to sign with.
    fn second(&mut self, bounds: &Bounds) {
        self.blind |= (0..REPLICAS).all(|n| !self.is_able(bounds, n));
        self.now += 1;
        for n in 0..REPLICAS {
            self.replicas[n].intent = None;
            let replica = &self.replicas[n];
            if replica.up && replica.linked && !self.is_fresh(bounds, n) {
                self.replicas[n].read = Some(Read { keys: Arc::clone(&self.keys), at: self.local(n) });
            }
        }
    }

    /// A replica reads the keys; whether that is news to it.
    fn read(&mut self, n: usize) -> bool {
        let read = Read { keys: Arc::clone(&self.keys), at: self.local(n) };
        let news = self.replicas[n].read.as_ref() != Some(&read);
        self.replicas[n].read = Some(read);
        news
    }

    fn round(&mut self, bounds: &Bounds, n: usize) -> Option<()> {
        let news = self.read(n);
        let now = self.local(n);
        let asked = &self.keys.at(now, bounds).asked[usize::from(self.raised)];
        let mut change = asked.clone().filter(|_| self.keeps_time(bounds, n));
        if bounds.rule == Some(Off::Room) && change.is_none() {
            let new = NewKey { kind: KeyKind::P256, times: KeyTimes::published(at(now)) };
            change = Some(Transaction::new(KeyChange { make: vec![new], ..KeyChange::default() }));
        }
        if change.is_none() && !(news && bounds.split) {
            return None;
        }
        self.replicas[n].intent = change.map(|change| Intent::Change { change, outdated: false, excused: None });
        if bounds.split { Some(()) } else { self.commit(bounds, n, false) }
    }

    /// The keys after a look by replica `n`; `None` where it changes nothing. The answer may come from any replica that
    /// the public is sent to: each of them asks, and gets its own.
    fn seen(&self, bounds: &Bounds, n: usize) -> Option<Vec<SigningKey>> {
        let now = self.local(n);
        if !self.keeps_time(bounds, n) || self.looked.is_some_and(|looked| looked > now) {
            return None;
        }
        let listed = match self.frozen {
            Some(frozen) => frozen,
            None => self.serving().contains(&n).then(|| self.jwks(bounds, n))?,
        };
        let all = bounds.rule == Some(Off::Sighting);
        let listed: Vec<Kid> = (0..self.made).filter(|n| all || listed & (1 << n) != 0).map(kid).collect();
        // Looks are prompt: between two is a gap only where nobody could look.
        let gap = if self.blind && bounds.rule != Some(Off::Gaps) { time::Duration::ZERO } else { time::Duration::MAX };
        let seen = rotation::sighting_within(&self.keys.rows, &listed, at(now), gap);
        let mut after = seen.apply(&self.keys.rows, at(now), unmade).ok()?;
        // How often it was seen before it was seen long enough, and after, nobody asks.
        let enough = [false, true].map(|raised| schedule(bounds, raised));
        for key in &mut after {
            if key.times.sign_from.is_some_and(|from| from < at(self.now - i64::from(numbers().clock_error))) {
                // It signs by every clock: since when it was seen nobody asks any more.
                (key.times.seen_from, key.times.seen_until) = (None, None);
            }
            if let KeyTimes { seen_from: Some(from), seen_until: Some(until), .. } = &mut key.times {
                let [first, last] = enough.map(|schedule| schedule.may_sign_from(*from));
                *until = if *until < first { *from } else { (*until).min(last) };
            }
        }
        (self.keys.rows != after).then_some(after)
    }

    fn look(&mut self, bounds: &Bounds, n: usize) -> Option<()> {
        let after = self.seen(bounds, n)?;
        (self.looked, self.blind) = (Some(self.local(n)), false);
        self.write(bounds, after);
        Some(())
    }

    fn write(&mut self, bounds: &Bounds, after: Vec<SigningKey>) {
        let same = |a: &SigningKey, b: &SigningKey| {
            KeyTimes { seen_until: None, ..a.times } == KeyTimes { seen_until: None, ..b.times }
        };
        let prolonged =
            self.keys.rows.len() == after.len() && self.keys.rows.iter().zip(&after).all(|(a, b)| same(a, b));
        for replica in &mut self.replicas {
            if let Some(Intent::Change { outdated, .. }) = &mut replica.intent {
                *outdated |= !prolonged;
            }
        }
        self.tokens.resize(after.len(), -1);
        self.excused.resize(after.len(), -1);
        self.keys = Known::new(after, bounds);
    }

    fn commit(&mut self, bounds: &Bounds, n: usize, half: bool) -> Option<()> {
        let now = at(self.local(n));
        let (mut change, outdated, excused) = match self.replicas[n].intent.take()? {
            Intent::Change { change, outdated, excused } => (change.change.clone(), outdated, excused),
            Intent::Raise => {
                let change = rotation::renumber(&self.keys.rows, &schedule(bounds, true), now);
                self.raised = true;
                (change, false, None)
            }
        };
        if half {
            // The first statement is committed, the second never comes.
            if change.times.len() < 2 {
                return None;
            }
            change.times.truncate(1);
        }
        if bounds.rule == Some(Off::CompareAndSwap) {
            for retimed in &mut change.times {
                retimed.expected = self.keys.rows.iter().find(|key| key.kid == retimed.kid)?.times;
            }
        } else if !change.make.is_empty() && outdated {
            // A key is made only on the very keys that were read.
            return Some(());
        }
        let mut made = self.made;
        let make = |new: &NewKey| {
            made += 1;
            key(made - 1, new)
        };
        let Ok(after) = change.apply(&self.keys.rows, now, make) else { return Some(()) };
        self.made = made;
        self.write(bounds, after);
        if let Some(until) = excused {
            // Who asked was told: tokens of the key that signs from now on may fail until then.
            let signs = signing_key::signing_key(&self.keys.rows, now).ok()?;
            self.excused[number(&signs.kid)] = until;
        }
        Some(())
    }

    fn start(&mut self, n: usize) {
        self.replicas[n].up = true;
        self.replicas[n].read =
            self.replicas[n].linked.then(|| Read { keys: Arc::clone(&self.keys), at: self.local(n) });
    }

    fn event(&mut self, bounds: &Bounds, event: Event, n: usize) -> Option<()> {
        let now = at(self.local(n));
        let schedule = schedule(bounds, self.raised);
        let sound = self.keeps_time(bounds, n);
        let change = |change: KeyChange, excused: Option<OffsetDateTime>| {
            let excused = excused.map(OffsetDateTime::unix_timestamp);
            Some(Intent::Change { change: Transaction::new(change), outdated: false, excused })
        };
        let intent = match event {
            Event::Kill => {
                let replica = &mut self.replicas[n];
                (replica.up, replica.read, replica.intent) = (false, None, None);
                None
            }
            Event::Cut => {
                // A lost connection takes what was under way with it.
                let linked = std::mem::replace(&mut self.replicas[n].linked, false);
                self.replicas[n].intent = None;
                linked.then_some(())?;
                None
            }
            Event::Outage => {
                for replica in &mut self.replicas {
                    (replica.linked, replica.intent) = (false, None);
                }
                None
            }
            Event::WrongClock => {
                // Beyond what is allowed, ahead or behind.
                let off = self.replicas[n].off;
                self.replicas[n].off = if off >= 0 { off + 4 } else { off - 4 };
                None
            }
            Event::Freeze => {
                self.frozen = self.serving().first().map(|n| self.jwks(bounds, *n));
                None
            }
            _ if !sound => return None,
            Event::Rotate => {
                let step = rotation::rotate_now(&self.keys.rows, &schedule, now).ok()?;
                change(step.change(&schedule, now), None)
            }
            Event::Prepare => {
                let leading = leading(bounds, self.raised);
                change(rotation::prepare(&self.keys.rows, &leading, KeyKind::P256, now).ok()?, None)
            }
            Event::DistrustSigning | Event::DistrustStandby => {
                let key = match event {
                    Event::DistrustSigning => signing_key::signing_key(&self.keys.rows, now).ok()?,
                    _ => rotation::standby(&self.keys.rows, now)?,
                };
                let mut done = rotation::distrust(&self.keys.rows, &schedule, &key.kid, now).ok()?;
                if bounds.rule == Some(Off::BackDatedSuccessor) {
                    let late = done.change.times.iter_mut().filter(|retimed| retimed.times.revoked_at.is_none());
                    late.for_each(|retimed| retimed.times.sign_from = Some(now));
                    done.change.make.iter_mut().for_each(|new| new.times.sign_from = Some(now));
                }
                change(done.change, done.outage.map(|outage| outage.surely_until))
            }
            Event::ReplaceAll => {
                let done = rotation::replace_all(&self.keys.rows, &schedule, KeyKind::P256, now);
                change(done.change, Some(done.outage.surely_until))
            }
            Event::RaiseMaxAge if !self.raised => Some(Intent::Raise),
            Event::RaiseMaxAge => return None,
        };
        match intent {
            None => self.faults += 1,
            Some(intent) => {
                self.commands += 1;
                self.replicas[n].intent = Some(intent);
                if !bounds.split {
                    return self.commit(bounds, n, false);
                }
            }
        }
        Some(())
    }
}

/// The schedule, before and after an operator has raised max-age.
fn schedule(bounds: &Bounds, raised: bool) -> KeySchedule {
    unchecked(numbers_of(bounds, raised))
}

/// The schedule by which hand-overs are led up to and called off.
pub(super) fn leading(bounds: &Bounds, raised: bool) -> KeySchedule {
    let numbers = numbers_of(bounds, raised);
    match bounds.rule {
        Some(Off::Stands) => unchecked(ScheduleNumbers { oldest_snapshot: 0, clock_error: 0, ..numbers }),
        _ => unchecked(numbers),
    }
}

/// Its numbers; raised, max-age is two seconds longer.
pub(super) fn numbers_of(bounds: &Bounds, raised: bool) -> ScheduleNumbers {
    let mut numbers = numbers();
    if raised {
        numbers.max_age += 2;
        numbers.publish_before_sign += 2;
    }
    match bounds.rule {
        Some(Off::PublishBeforeSign) => numbers.publish_before_sign = 0,
        Some(Off::KeepAfterSign) => numbers.keep_after_sign = 0,
        _ => {}
    }
    numbers
}

/// A look makes no key.
fn unmade(_: &NewKey) -> SigningKey {
    unreachable!("a look makes no key")
}

// Two worlds are one where nothing that may still happen can tell them apart: what is over counts as never.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.now, self.raised, self.made, self.frozen, self.faults, self.commands, self.blind).hash(state);
        (&self.held, self.fault, self.handed_over).hash(state);
        let slack = i64::from(numbers().clock_error);
        self.looked.filter(|looked| *looked >= self.now - slack).hash(state);
        for until in self.tokens.iter().chain(&self.excused) {
            (*until).max(self.now - 1).hash(state);
        }
        self.keys.hash(state);
        let last = self.replicas.iter().filter(|replica| replica.up).map(|replica| replica.ready_at).max();
        for replica in &self.replicas {
            (replica.up, replica.linked, replica.off, replica.saved, &replica.intent).hash(state);
            (Some(replica.ready_at) == last).hash(state);
            replica.read.as_ref().map(|read| (read.at, read.keys.face)).hash(state);
        }
    }
}
