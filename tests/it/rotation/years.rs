//! Five years in virtual time: five replicas with clocks of their own, outages and late news, ten thousand verifiers
//! of every cache age, tokens of every lifetime that is allowed, and operators who do all they may at the first moment
//! at which they may. First the keys live through it all, decided by the functions that production calls; then tokens
//! are minted and shown, each to every verifier.
//!
//! Nothing in it is chance where a rule is tight: the replica whose clock is behind makes a standby and sees it, the one
//! whose clock is ahead rotates to it, the third hears of everything at the last moment. So of the lean numbers not one
//! second can be taken away; what production adds to them is margin, and nothing fails without it.

#![expect(clippy::print_stdout, reason = "how much was tried is for whoever reads the test's output")]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use brevet::domain::key_schedule::{KeySchedule, STS_TOLERANCE, ScheduleNumbers};
use brevet::domain::rotation::{self, KeyChange, NewKey, Step};
use brevet::domain::signing_key::{self, KeyKind, KeyState, KeyTimes, Kid, SigningKey};
use time::{Duration, OffsetDateTime};

use super::rows::{first_pair, key, number, unchecked};

const VERIFIERS: usize = 10_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// How far each replica's clock is off the database's, in milliseconds: as far as is allowed, both ways.
const OFF: [i64; 5] = [-5_000, 5_000, 0, -1_300, 3_100];
/// The replica whose clock is furthest behind, the one furthest ahead, and the one that hears of everything last.
const BEHIND: usize = 0;
const AHEAD: usize = 1;
const LAST: usize = 2;

/// A rule of safety beside the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// A key signs only when it has been seen at the public `jwks_uri`.
    Seen,
    /// The audit statement proves that the kid signs now, so that a replica with old news releases nothing.
    Kid,
    /// Without the database nothing is signed.
    Database,
    /// A clock that is off the database's by more than is allowed neither signs, plans, looks nor publishes.
    Clock,
    /// A replica that is not ready gets no requests.
    Ready,
    /// A hand-over stands once it is nearer than its lead.
    Stands,
    /// A key that ends at once stays for tokens by the clocks ahead as well.
    Ahead,
}

/// How the house is run.
#[derive(Clone, Copy)]
struct Course {
    numbers: ScheduleNumbers,
    off: Option<Rule>,
    years: i64,
}

/// The leanest numbers under which nothing fails.
fn lean() -> ScheduleNumbers {
    let production = ScheduleNumbers::default();
    let ScheduleNumbers { max_age, export_lag, clock_error, oldest_snapshot, .. } = production;
    ScheduleNumbers {
        publish_before_sign: max_age + export_lag + oldest_snapshot + 2 * clock_error,
        keep_after_sign: 3_600 + STS_TOLERANCE + 2 * clock_error,
        rotation_period: 10 * 86_400,
        ..production
    }
}

fn at(millisecond: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(millisecond)
}

fn millisecond(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000_000).unwrap()
}

/// Numbers that look like chance and are the same in every run (SplitMix64).
struct Random(Cell<u64>);

/// A number below `bound`.
fn below(random: &Random, bound: i64) -> i64 {
    random.0.set(random.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mut mixed = random.0.get();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i64::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
}

/// From an instant until another.
type Span = (i64, i64);

fn within(spans: &[Span], instant: i64) -> Option<Span> {
    let after = spans.partition_point(|(from, _)| *from <= instant);
    spans[..after].last().copied().filter(|(_, until)| instant < *until)
}

/// Spans without overlap, `each` apart on average and at most `longest` long.
fn spans(random: &Random, years: i64, each: i64, longest: i64) -> Vec<Span> {
    let (mut spans, mut from) = (Vec::new(), 0);
    loop {
        from += longest + below(random, 2 * each);
        if from > years * YEAR {
            return spans;
        }
        spans.push((from, from + SECOND + below(random, longest)));
    }
}

/// The spans in which all of `sets` are within one of theirs.
fn common(sets: &[Vec<Span>]) -> Vec<Span> {
    let (first, others) = sets.split_first().unwrap();
    others.iter().fold(first.clone(), |common, set| {
        let meet = |(from, until): &Span| {
            let near = set.partition_point(|(_, end)| end <= from);
            let meeting = set[near..].iter().take_while(|(start, _)| start < until);
            meeting.map(|(start, end)| (*start.max(from), *end.min(until))).collect::<Vec<_>>()
        };
        common.iter().flat_map(meet).collect()
    })
}

/// Spans as one where they meet.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (from, until) in spans {
        match merged.last_mut().filter(|(_, last)| from <= *last) {
            Some((_, last)) => *last = until.max(*last),
            None => merged.push((from, until)),
        }
    }
    merged
}

/// A state of the keys.
struct Version {
    /// Since when the database has it.
    since: i64,
    keys: Vec<SigningKey>,
    numbers: Vec<usize>,
}

impl Version {
    fn new(since: i64, keys: &[SigningKey]) -> Self {
        Self { since, numbers: keys.iter().map(|key| number(&key.kid)).collect(), keys: keys.to_vec() }
    }

    fn key(&self, kid: usize) -> Option<&SigningKey> {
        self.numbers.iter().position(|number| *number == kid).map(|at| &self.keys[at])
    }
}

/// What one replica had in hand, and since when.
struct Holding {
    since: i64,
    version: usize,
}

/// What goes wrong, laid down beforehand.
struct Faults {
    /// When each replica is cut from the database, all of them together among it.
    cut: [Vec<Span>; 5],
    /// When each replica's clock is two hours ahead or behind.
    wrong: [Vec<Span>; 5],
    /// When each replica is asked for no document, because it is not ready and another is, or was later.
    away: [Vec<Span>; 5],
    /// When the public `jwks_uri` shows a copy that nobody renews.
    frozen: Vec<Span>,
    /// The instants of each replica at which any of this begins or ends.
    edges: [Vec<i64>; 5],
}

impl Faults {
    fn new(course: &Course, random: &Random) -> Self {
        let years = course.years;
        let down = spans(random, years, 120 * DAY, 6 * HOUR);
        let cut = OFF.map(|_| {
            let mut cut = spans(random, years, 30 * DAY, 2 * DAY);
            cut.extend(&down);
            merged(cut)
        });
        let wrong = OFF.map(|_| spans(random, years, 12 * DAY, 6 * HOUR));
        let frozen = spans(random, years, 120 * DAY, 60 * DAY);
        // Ready is who has read the keys lately and whose clock is right.
        let oldest = i64::from(course.numbers.oldest_snapshot) * SECOND;
        let unready: Vec<Vec<Span>> = (0..5)
            .map(|n| {
                let late = cut[n].iter().map(|(from, until)| (from + oldest + 1, *until));
                let late = late.filter(|(from, until)| from < until);
                merged(late.chain(wrong[n].iter().copied().filter(|_| course.off != Some(Rule::Clock))).collect())
            })
            .collect();
        // Where none is, those go on that were ready last.
        let dark = common(&unready);
        let away = [0, 1, 2, 3, 4].map(|n| {
            let unready = if course.off == Some(Rule::Ready) { &[][..] } else { &unready[n][..] };
            let mut away = Vec::new();
            for (from, until) in unready {
                // The last to fall is the one with which the darkness begins.
                let last = dark.iter().find(|(start, _)| start == from);
                let from = last.map_or(*from, |(_, end)| *end);
                if from < *until {
                    away.push((from, *until));
                }
            }
            away
        });
        let edges = [0, 1, 2, 3, 4].map(|n| {
            let spans = [&cut[n], &wrong[n], &away[n], &frozen].into_iter().flatten();
            let mut edges: Vec<i64> = spans.flat_map(|(from, until)| [*from, *until]).collect();
            edges.sort_unstable();
            edges
        });
        Self { cut, wrong, away, frozen, edges }
    }

    /// What replica `n` takes for the time.
    fn local(&self, n: usize, now: i64) -> i64 {
        let astray = |(from, _): Span| if from / SECOND % 2 == 0 { 2 * HOUR } else { -2 * HOUR };
        now + OFF[n] + within(&self.wrong[n], now).map_or(0, astray)
    }

    /// Whether replica `n` may plan, look and be told something.
    fn is_able(&self, n: usize, now: i64, off: Option<Rule>) -> bool {
        within(&self.cut[n], now).is_none() && (off == Some(Rule::Clock) || within(&self.wrong[n], now).is_none())
    }

    /// Whose documents a copy made at `now` has.
    fn copied(&self, now: i64) -> usize {
        (0..5).find(|n| within(&self.away[*n], now).is_none()).unwrap_or_default()
    }

    /// Whether a copy that nobody renews stands before the replicas within `span` of `now`.
    fn freezes_near(&self, now: i64, span: i64) -> bool {
        self.frozen.iter().any(|(from, until)| from - span < now && now < until + span)
    }
}

/// What happened.
struct History {
    faults: Faults,
    versions: Vec<Version>,
    /// What each replica read of them.
    held: [Vec<Holding>; 5],
    /// Until when each key's tokens may fail, because an operator was told so and went on.
    excused: BTreeMap<usize, i64>,
    /// When each key was distrusted.
    distrusted: BTreeMap<usize, i64>,
    /// When operators changed something.
    commands: Vec<i64>,
}

/// What is to happen at an instant, by a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    /// Whoever can looks, and does what the clock asks for.
    Round,
    /// A look and nothing more.
    Look(usize),
    /// A look that meets an old copy, which no verifier asks, and what follows from it.
    Miss(usize),
    Prepare(usize),
    Rotate(usize),
    DistrustSigning(usize),
    DistrustStandby(usize),
    /// The nth of the operators' acts begins.
    Act(i64),
}

/// The keys while they live.
struct Life<'a> {
    course: &'a Course,
    schedule: KeySchedule,
    /// The schedule of who knows of no lead and no clock error.
    loose: KeySchedule,
    history: History,
    keys: Vec<SigningKey>,
    made: u32,
    looked: i64,
    due: BTreeSet<(i64, Order)>,
}

impl Life<'_> {
    /// The schedule, without what `rule` asks for where that is switched off.
    fn but(&self, rule: Rule) -> KeySchedule {
        if self.course.off == Some(rule) { self.loose } else { self.schedule }
    }

    fn apply(&mut self, change: &KeyChange, n: usize, now: i64) {
        let made = &mut self.made;
        let make = |new: &NewKey| {
            *made += 1;
            key(*made - 1, new)
        };
        let local = at(self.history.faults.local(n, now));
        let mut after = change.apply(&self.keys, local, make).unwrap();
        signing_key::check(&after, super::rows::issuer(), at(now)).unwrap();
        let face = |keys: &[SigningKey]| -> Vec<KeyTimes> {
            keys.iter().map(|key| KeyTimes { seen_from: None, seen_until: None, ..key.times }).collect()
        };
        let news = face(&self.keys) != face(&after);
        // What is long gone is in nobody's way.
        after
            .retain(|key| key.times.is_alive(at(now - DAY)) || key.times.revoked_at.is_some_and(|r| r > at(now - DAY)));
        self.keys = after;
        if !news {
            return;
        }
        let version = self.history.versions.len();
        self.history.versions.push(Version::new(now, &self.keys));
        for (reader, held) in self.history.held.iter_mut().enumerate() {
            let latest = i64::from(self.course.numbers.oldest_snapshot) * SECOND;
            let since = if reader == n { now } else { now + [0, 0, latest, 3 * SECOND, 40][reader] };
            // To who is cut off it comes afterwards.
            let since = within(&self.history.faults.cut[reader], since).map_or(since, |(_, until)| until);
            held.push(Holding { since: since.max(held.last().unwrap().since), version });
        }
        // Where clocks are believed that differ by hours, replicas undo each other's plans without end.
        if version < 4_000 {
            self.due.insert((now + SECOND, Order::Round));
        }
    }

    fn look(&mut self, n: usize, now: i64) {
        let local = self.history.faults.local(n, now);
        if local <= self.looked {
            return;
        }
        self.looked = local;
        let faults = &self.history.faults;
        let (shower, shown) = match within(&faults.frozen, now) {
            Some((since, _)) => (faults.copied(since), since),
            None if within(&faults.away[n], now).is_none() => (n, now),
            None => (faults.copied(now), now),
        };
        let all = self.course.off == Some(Rule::Seen);
        let lists = |key: &&SigningKey| all || self.history.lists(shower, number(&key.kid), shown, self.course.off);
        let listed: Vec<Kid> = self.keys.iter().filter(lists).map(|key| key.kid.clone()).collect();
        let change = rotation::sighting(&self.keys, &listed, at(local));
        self.apply(&change, n, now);
    }

    fn steps(&mut self, n: usize, now: i64) {
        let local = at(self.history.faults.local(n, now));
        let schedule = self.but(Rule::Stands);
        let step = rotation::plan(&self.keys, &schedule, local);
        if let Some(step) = step.into_iter().find(|step| !matches!(step, Step::Forget { .. })) {
            self.apply(&step.change(&self.schedule, local), n, now);
        }
    }

    /// The planned hand-over, if there is one to come.
    fn pending(&self, now: i64) -> Option<i64> {
        signing_key::signing_key(&self.keys, at(now)).ok()?.times.sign_until.map(millisecond)
    }

    fn carry_out(&mut self, order: Order, now: i64, random: &Random) {
        let n = match order {
            Order::Look(n)
            | Order::Miss(n)
            | Order::Prepare(n)
            | Order::Rotate(n)
            | Order::DistrustSigning(n)
            | Order::DistrustStandby(n) => n,
            Order::Act(nth) => return self.act(nth, now),
            Order::Round => {
                let turn = usize::try_from(below(random, 5)).unwrap();
                let able = |n: &usize| self.history.faults.is_able(*n, now, self.course.off);
                let Some(n) = (0..5).map(|next| (turn + next) % 5).find(able) else { return };
                self.look(n, now);
                return self.steps(n, now);
            }
        };
        if !self.history.faults.is_able(n, now, self.course.off) {
            return;
        }
        let local = at(self.history.faults.local(n, now));
        let (keys, schedule) = (&self.keys, self.schedule);
        let change = match order {
            Order::Look(_) => return self.look(n, now),
            Order::Miss(_) => {
                let active = signing_key::signing_key(keys, local).ok();
                let listed: Vec<Kid> = active.map(|key| key.kid.clone()).into_iter().collect();
                let change = rotation::sighting(keys, &listed, local);
                self.looked = self.looked.max(millisecond(local));
                self.apply(&change, n, now);
                return self.steps(n, now);
            }
            Order::Prepare(_) => rotation::prepare(keys, &self.but(Rule::Stands), KeyKind::P256, local).ok(),
            Order::Rotate(_) => {
                self.look(n, now);
                let step = rotation::rotate_now(&self.keys, &schedule, local).ok();
                step.map(|step| step.change(&self.but(Rule::Ahead), local))
            }
            Order::DistrustSigning(_) | Order::DistrustStandby(_) => {
                let which = match order {
                    Order::DistrustSigning(_) => signing_key::signing_key(keys, local).ok(),
                    _ => rotation::standby(keys, local),
                };
                which.map(|key| key.kid.clone()).and_then(|kid| {
                    let done = rotation::distrust(keys, &schedule, &kid, local).ok()?;
                    self.history.distrusted.insert(number(&kid), now);
                    if let Some(outage) = done.outage {
                        let signs = done.successor.as_ref().map_or(self.made as usize, number);
                        self.history.excused.insert(signs, millisecond(outage.surely_until));
                    }
                    Some(done.change)
                })
            }
            Order::Round | Order::Act(_) => None,
        };
        if let Some(change) = change {
            self.history.commands.push(now);
            self.apply(&change, n, now);
            if let Order::Prepare(_) = order {
                // It is seen as soon as it is there.
                self.due.insert((now + 1, Order::Look(n)));
            }
        }
    }

    /// One of the acts of operators, who know the rules and wait for no moment longer than they must.
    fn act(&mut self, nth: i64, now: i64) {
        let wait = i64::from(self.course.numbers.publish_before_sign) * SECOND;
        // The standby is made and seen, and from then on waits, by a clock behind.
        let ready_by = |n: usize| now + 1 + OFF[BEHIND] + wait - OFF[n];
        let signs = signing_key::signing_key(&self.keys, at(now)).ok().and_then(|key| key.times.sign_from);
        let pending = self.pending(now);
        let orders = match nth % 7 {
            0 => vec![(now, Order::Prepare(BEHIND)), (ready_by(AHEAD), Order::Rotate(AHEAD))],
            1 => vec![(now, Order::Prepare(BEHIND)), (ready_by(BEHIND), Order::Rotate(BEHIND))],
            2 => {
                // So late that the turn is over before the standby has waited.
                let over = signs.map(|from| millisecond(self.schedule.turn_until(from)) - wait / 2);
                over.filter(|late| *late > now).map(|late| (late, Order::Prepare(BEHIND))).into_iter().collect()
            }
            3 if !self.history.faults.freezes_near(now, 2 * wait + DAY) => vec![(now, Order::DistrustSigning(4))],
            4 => vec![(now, Order::DistrustStandby(3))],
            // Called off a moment before all the others hand over, when the one that is ahead has done so.
            5 => pending.map(|at| (at - SECOND, Order::Prepare(BEHIND))).into_iter().collect(),
            6 => pending.map_or(vec![], |at| {
                let (missed, later) = (at - SECOND, at + HOUR / 2);
                vec![(missed, Order::Miss(BEHIND)), (later, Order::Prepare(LAST))]
            }),
            _ => vec![],
        };
        self.due.extend(orders);
    }
}

/// Lets the keys live through the years.
fn keys_live(course: &Course, random: &Random) -> History {
    let faults = Faults::new(course, random);
    let start = first_pair(at(-10 * SECOND));
    let hours = course.years * YEAR / HOUR;
    // Somebody does a round every hour, and where something has just changed; a copy that nobody renews is noticed
    // within a minute.
    let mut due: BTreeSet<_> = (0..hours).map(|hour| (hour * HOUR, Order::Round)).collect();
    due.extend(faults.frozen.iter().flat_map(|(from, until)| {
        [from + 30 * SECOND, from + 90 * SECOND, until - 30 * SECOND].map(|at| (at, Order::Round))
    }));
    due.extend((1..course.years * 365 / 6).map(|nth| (nth * 6 * DAY + 1_234_567, Order::Act(nth))));
    let without = ScheduleNumbers { oldest_snapshot: 0, clock_error: 0, ..course.numbers };
    let mut life = Life {
        course,
        schedule: unchecked(course.numbers),
        loose: unchecked(without),
        history: History {
            faults,
            versions: vec![Version::new(i64::MIN, &start)],
            held: OFF.map(|_| vec![Holding { since: i64::MIN, version: 0 }]),
            excused: BTreeMap::new(),
            distrusted: BTreeMap::new(),
            commands: Vec::new(),
        },
        keys: start,
        made: 2,
        looked: i64::MIN,
        due,
    };
    while let Some((now, order)) = life.due.pop_first() {
        life.carry_out(order, now, random);
    }
    life.history
}

impl History {
    fn version(&self, now: i64) -> &Version {
        &self.versions[self.versions.partition_point(|version| version.since <= now) - 1]
    }

    fn holding(&self, n: usize, now: i64) -> &Version {
        let held = &self.held[n];
        &self.versions[held[held.partition_point(|holding| holding.since <= now) - 1].version]
    }

    /// Whether the JWKS that replica `n` serves at `now` has key `kid`: by a clock that is off, that which it served
    /// last before.
    fn lists(&self, n: usize, kid: usize, now: i64, off: Option<Rule>) -> bool {
        let astray = within(&self.faults.wrong[n], now).filter(|_| off != Some(Rule::Clock));
        let now = astray.map_or(now, |(from, _)| from - 1);
        let key = self.holding(n, now).key(kid);
        key.is_some_and(|key| key.times.is_published(at(self.faults.local(n, now))))
    }

    /// The instants in `from..=until` at which the JWKS of replica `n` may change for `kid`.
    fn changes(&self, n: usize, kid: usize, from: i64, until: i64) -> Vec<i64> {
        let mut changes = vec![from];
        let held = &self.held[n];
        let first = held.partition_point(|holding| holding.since <= from) - 1;
        for holding in held[first..].iter().take_while(|holding| holding.since <= until) {
            changes.push(holding.since);
            if let Some(key) = self.versions[holding.version].key(kid) {
                let times = [Some(key.times.publish_from), key.times.publish_until];
                changes.extend(times.into_iter().flatten().map(|instant| millisecond(instant) - OFF[n]));
            }
        }
        let edges = &self.faults.edges[n];
        let near = edges.partition_point(|edge| *edge < from);
        changes.extend(edges[near..].iter().take_while(|edge| **edge <= until));
        changes.retain(|instant| (from..=until).contains(instant));
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// The key of the token that replica `n` releases at `now`, if it does.
    fn signer(&self, n: usize, now: i64, off: Option<Rule>) -> Option<usize> {
        let local = at(self.faults.local(n, now));
        // Before that a verifier would hold a JWKS from before there was an issuer.
        if now < 4 * HOUR || (off != Some(Rule::Clock) && within(&self.faults.wrong[n], now).is_some()) {
            return None;
        }
        let named = signing_key::signing_key(&self.holding(n, now).keys, local).ok()?;
        let named = number(&named.kid);
        if within(&self.faults.cut[n], now).is_some() {
            return (off == Some(Rule::Database)).then_some(named);
        }
        let proven = self.version(now).key(named).is_some_and(|key| key.state(local) == KeyState::Active);
        (off == Some(Rule::Kid) || proven).then_some(named)
    }

    /// How many verifiers with copies of replica `n` refuse a token of `kid` that is shown at `shown`.
    fn failing(&self, n: usize, ages: &[i64], kid: usize, shown: i64, off: Option<Rule>) -> usize {
        let oldest = *ages.last().unwrap();
        let changes = self.changes(n, kid, shown - oldest, shown);
        let mut failing = 0;
        for (nth, from) in changes.iter().copied().enumerate() {
            let until = changes.get(nth + 1).copied().unwrap_or(shown + 1);
            // While the copy in front is frozen, everybody gets what was published when it was made. Who would ask a
            // replica that is away asks another, whose verifiers are here too.
            let lists = match within(&self.faults.frozen, from) {
                Some((since, _)) => self.lists(self.faults.copied(since), kid, since, off),
                None => within(&self.faults.away[n], from).is_some() || self.lists(n, kid, from, off),
            };
            if !lists {
                let young = ages.partition_point(|age| *age < shown - until + 1);
                failing += ages.partition_point(|age| *age <= shown - from) - young;
            }
        }
        failing
    }

    /// Whether a failure is one that the operator was told of, or asked for: a token from before its key's distrust.
    fn is_foretold(&self, kid: usize, signed: i64, shown: i64) -> bool {
        self.excused.get(&kid).is_some_and(|until| shown < *until)
            || self.distrusted.get(&kid).is_some_and(|since| signed < *since && *since <= shown)
    }

    /// When tokens are minted, by whom, and whether with the longest lifetime: quiet days, each hand-over that there
    /// was or was to be, each command, and the times in which one may be tempted.
    fn moments(&self, years: i64) -> Vec<(i64, usize, bool)> {
        let quiet = (0..years * YEAR / (6 * HOUR)).map(|n| (n * 6 * HOUR, usize::try_from(n % 5).unwrap(), n % 2 == 0));
        let mut moments: Vec<_> = quiet.collect();
        let keys = self.versions.iter().flat_map(|version| &version.keys);
        let hand_overs: BTreeSet<i64> = keys.filter_map(|key| Some(millisecond(key.times.sign_from?))).collect();
        for (n, off) in OFF.iter().enumerate() {
            let near = [-60 * SECOND, -SECOND, -1, 0, 1, SECOND, 60 * SECOND, HOUR];
            let near = hand_overs.iter().flat_map(|at| near.map(|away| at - off + away));
            let after = [-1, 0, SECOND, 59_999, 60_001, 66 * SECOND];
            let after = self.commands.iter().flat_map(|at| after.map(|away| at + away));
            let cut = self.faults.cut[n].iter().flat_map(|(from, until)| [from + 1, from.midpoint(*until), until - 1]);
            let wrong = self.faults.wrong[n].iter().flat_map(|(from, until)| [from + 1, from.midpoint(*until)]);
            moments.extend(near.chain(after).chain(cut).chain(wrong).map(|at| (at, n, true)));
        }
        moments
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    hand_overs: usize,
    commands: usize,
    tokens: usize,
    verifications: usize,
    /// Times at which a token was not shown, because an operator was told that it may fail, or wanted it to.
    foretold: usize,
    /// Failures, and the first: by which replica and when signed, when shown, and to verifiers of which replica.
    failed: usize,
    first: Option<(usize, i64, i64, usize)>,
}

/// Verifiers by replica: how long before a token is shown each fetched what it holds, the export's lag among it.
fn verifiers(numbers: &ScheduleNumbers, random: &Random) -> [Vec<i64>; 5] {
    let (max_age, lag) = (i64::from(numbers.max_age) * SECOND, i64::from(numbers.export_lag) * SECOND);
    let mut verifiers = OFF.map(|_| Vec::new());
    for n in 0..VERIFIERS {
        let (replica, kind, age) = (n % 5, n / 5 % 10, n / 50);
        let age = max_age * i64::try_from(age).unwrap() / i64::try_from(VERIFIERS / 50 - 1).unwrap();
        // One in two reads an exported copy; one in ten the oldest that there may be.
        let lag = match kind {
            0..5 => 0,
            5 => lag,
            _ => below(random, lag),
        };
        verifiers[replica].push(age + lag);
    }
    for ages in &mut verifiers {
        ages.sort_unstable();
    }
    verifiers
}

/// Shows every token of `course` to every verifier; where a rule or a second is missing, only until one fails.
fn live_through(course: &Course, until_one_fails: bool) -> Outcome {
    let random = Random(Cell::new(16));
    let history = keys_live(course, &random);
    let verifiers = verifiers(&ScheduleNumbers::default(), &random);
    let signed: BTreeSet<usize> = history
        .versions
        .iter()
        .filter_map(|version| signing_key::signing_key(&version.keys, at(version.since.max(0))).ok())
        .map(|key| number(&key.kid))
        .collect();
    let mut outcome = Outcome { hand_overs: signed.len() - 1, commands: history.commands.len(), ..Outcome::default() };
    for (nth, (now, n, longest)) in history.moments(course.years).into_iter().enumerate() {
        let Some(signer) = history.signer(n, now, course.off) else { continue };
        outcome.tokens += 1;
        // Every lifetime that is allowed.
        let lifetime = if longest { 3_600 } else { 60 + i64::try_from(nth).unwrap() * 7_919 % 3_541 };
        let end = history.faults.local(n, now) + (lifetime + i64::from(STS_TOLERANCE)) * SECOND - 1;
        // The verifiers' clocks may be behind too.
        let end = end + i64::from(course.numbers.clock_error) * SECOND;
        for shown in [now, now + below(&random, (end - now).max(1)), end] {
            if history.is_foretold(signer, now, shown) {
                outcome.foretold += 1;
                continue;
            }
            for (replica, ages) in verifiers.iter().enumerate() {
                outcome.verifications += ages.len();
                let failed = history.failing(replica, ages, signer, shown, course.off);
                if failed > 0 {
                    outcome.failed += failed;
                    outcome.first = outcome.first.or(Some((n, now, shown, replica)));
                    if until_one_fails {
                        return outcome;
                    }
                }
            }
        }
    }
    outcome
}

#[test]
fn threat_16_in_five_years_no_verification_fails_not_even_without_the_margins() {
    for (what, numbers) in [("production", ScheduleNumbers::default()), ("lean", lean())] {
        let outcome = live_through(&Course { numbers, off: None, years: 5 }, false);
        println!("{what}: {outcome:?}");
        assert_eq!(outcome.failed, 0, "{what}: {outcome:?}");
        assert!(outcome.hand_overs > 60 && outcome.commands > 150, "{what}: {outcome:?}");
    }
}

/// Something fails within two years of the lean numbers with something taken away.
#[track_caller]
fn fails_without(off: Option<Rule>, change: impl FnOnce(&mut ScheduleNumbers)) {
    let mut numbers = lean();
    change(&mut numbers);
    let outcome = live_through(&Course { numbers, off, years: 2 }, true);
    println!("without {off:?}: {outcome:?}");
    assert!(outcome.failed > 0, "nothing fails: {outcome:?}");
}

#[test]
fn threat_16_without_one_second_of_the_wait_before_signing_verifications_fail() {
    fails_without(None, |n| n.publish_before_sign -= 1);
}

#[test]
fn threat_16_without_one_second_of_the_stay_after_signing_verifications_fail() {
    fails_without(None, |n| n.keep_after_sign -= 1);
}

#[test]
fn threat_16_without_the_wait_for_max_age_verifications_fail() {
    fails_without(None, |n| n.publish_before_sign -= n.max_age);
}

#[test]
fn threat_16_without_the_wait_for_exports_verifications_fail() {
    fails_without(None, |n| n.publish_before_sign -= n.export_lag);
}

#[test]
fn threat_16_without_the_wait_for_late_news_verifications_fail() {
    fails_without(None, |n| n.publish_before_sign -= n.oldest_snapshot);
}

#[test]
fn threat_16_without_the_wait_for_either_clock_verifications_fail() {
    fails_without(None, |n| n.publish_before_sign -= n.clock_error);
}

#[test]
fn threat_16_without_the_stay_for_the_longest_token_verifications_fail() {
    fails_without(None, |n| n.keep_after_sign -= 3_600);
}

#[test]
fn threat_16_without_the_stay_for_what_aws_tolerates_verifications_fail() {
    fails_without(None, |n| n.keep_after_sign -= STS_TOLERANCE);
}

#[test]
fn threat_16_without_the_stay_for_either_clock_verifications_fail() {
    fails_without(None, |n| n.keep_after_sign -= n.clock_error);
}

#[test]
fn threat_16_without_the_stay_for_clocks_ahead_of_who_rotates_verifications_fail() {
    fails_without(Some(Rule::Ahead), |_| ());
}

#[test]
fn threat_16_where_a_hand_over_is_called_off_too_late_verifications_fail() {
    fails_without(Some(Rule::Stands), |_| ());
}

#[test]
fn threat_40_without_a_look_at_the_public_address_verifications_fail() {
    fails_without(Some(Rule::Seen), |_| ());
}

#[test]
fn threat_40_without_the_proof_of_the_kid_verifications_fail() {
    fails_without(Some(Rule::Kid), |_| ());
}

#[test]
fn threat_16_where_tokens_are_signed_without_the_database_verifications_fail() {
    fails_without(Some(Rule::Database), |_| ());
}

#[test]
fn threat_16_where_a_replica_that_is_not_ready_is_asked_verifications_fail() {
    fails_without(Some(Rule::Ready), |_| ());
}

#[test]
fn threat_16_without_the_check_of_clocks_verifications_fail() {
    fails_without(Some(Rule::Clock), |_| ());
}
