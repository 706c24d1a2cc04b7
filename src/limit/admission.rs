//! How much work is under way at once, and whose turn it is when there is too much of it.
//!
//! Work computes first, with what it reads for that, and then it waits for others (a turn to sign, a disk). Only so much
//! computes at once, so that whoever comes next need not stand behind everything that was let in before, and the store has
//! only so many questions; and only so much is under way in all. What finds no room waits in a line of its own key, and
//! the lines take turns: however long one of them is, the first of another is let in before the second of it. Lines are
//! bounded, and nobody waits in one for long; the rest is told at once to come back.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lines::Lines;

/// Of how many that wait or are worked for, one must be of a crowd.
const CROWD_OF_ALL: usize = 4;
/// For how long whoever has come counts as there.
const THERE: Duration = Duration::from_secs(1);

/// How much there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Under way at once, of all keys.
    pub places: usize,
    /// Under way at once, of one key. Less than all of them, so that another key never waits for the disk of this one.
    pub places_each: usize,
    /// Computing at once.
    pub computing: usize,
    /// Waiting, of all keys.
    pub waiting: usize,
    /// Waiting, of one key.
    pub waiting_each: usize,
    /// More than so many of one key that wait or are worked for are a crowd, where they are also a quarter of all that do or are.
    pub crowd: usize,
    /// How long anyone waits.
    pub patience: Duration,
}

/// The door. Cheap to clone.
#[derive(Debug)]
pub struct Admission<K: Eq + Hash + Clone>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Eq + Hash + Clone> {
    room: Room,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K: Eq + Hash + Clone> {
    taken: usize,
    computing: usize,
    working: usize,
    by_key: HashMap<K, Held>,
    lines: Lines<K, oneshot::Sender<Place<K>>>,
    /// The two that came last, the latest first, and when: whether anybody but one key is there.
    latest: [Option<(K, Instant)>; 2],
}

/// What one key has.
#[derive(Debug, Default)]
struct Held {
    /// Places.
    taken: usize,
    /// Of them those that we work for still; the others wait for a disk.
    working: usize,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash + Clone> {
    admission: Admission<K>,
    key: K,
    computing: AtomicBool,
    working: AtomicBool,
    crowd: bool,
}

/// There is no room, and none to wait in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are in flight")]
pub struct Busy;

impl<K: Eq + Hash + Clone> Clone for Admission<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Admission<K> {
    /// A door to `room`; of places and of what computes there is at least one.
    pub fn new(room: Room) -> Self {
        let least = |n: usize| n.max(1);
        let (places, places_each) = (least(room.places), least(room.places_each));
        let room = Room { places, places_each, computing: least(room.computing), ..room };
        let state = State {
            taken: 0,
            computing: 0,
            working: 0,
            by_key: HashMap::new(),
            lines: Lines::default(),
            latest: [None, None],
        };
        Self(Arc::new(Inner { room, state: Mutex::new(state) }))
    }

    /// Takes a place for `key`, at once or when its turn comes; or says that there is none. Dropped while it waits, it
    /// leaves the line.
    pub async fn enter(&self, key: &K) -> Result<Place<K>, Busy> {
        let turn = {
            let mut state = self.state();
            state.note(key);
            if state.has_room(&self.0.room, key) {
                return Ok(state.let_in(self, key));
            }
            state.line_up(&self.0.room, key)?
        };
        match timeout(self.0.room.patience, turn).await {
            Ok(Ok(place)) => Ok(place),
            // A place that comes at this very moment is dropped with the line, and goes to the next.
            Ok(Err(_)) | Err(_) => Err(Busy),
        }
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.state().lines.waiting()
    }

    /// Whether nobody new of any key would be let wait.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.taken >= self.0.room.places && state.lines.waiting() >= self.0.room.waiting
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Counts are changed together, without a panic between them.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back, and lets in who may come now.
    fn give_back(&self, give: impl FnOnce(&mut State<K>)) {
        let mut state = self.state();
        give(&mut state);
        let nobodys = state.next(self);
        drop(state);
        // Outside the lock, because each gives itself back.
        drop(nobodys);
    }
}

impl<K: Eq + Hash + Clone> State<K> {
    fn has_room(&self, room: &Room, key: &K) -> bool {
        self.taken < room.places && self.computing < room.computing && self.taken_by(key) < room.places_each
    }

    fn taken_by(&self, key: &K) -> usize {
        self.by_key.get(key).map_or(0, |held| held.taken)
    }

    fn let_in(&mut self, admission: &Admission<K>, key: &K) -> Place<K> {
        self.taken += 1;
        self.computing += 1;
        self.working += 1;
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.clone(), Held::default());
        }
        let working = self.by_key.get_mut(key).map_or(0, |held| {
            held.taken += 1;
            held.working += 1;
            held.working
        });
        let (own, all) = (self.lines.waiting_of(key) + working, self.lines.waiting() + self.working);
        let crowd = own > admission.0.room.crowd && own * CROWD_OF_ALL >= all && self.is_anyone_but(key);
        let [computing, working] = [true, true].map(AtomicBool::new);
        Place { admission: admission.clone(), key: key.clone(), computing, working, crowd }
    }

    /// Takes back what one place of `key` counted for.
    fn leave(&mut self, key: &K, working: bool, computing: bool) {
        self.computing -= usize::from(computing);
        self.working -= usize::from(working);
        if let Some(held) = self.by_key.get_mut(key) {
            held.working -= usize::from(working);
        }
    }

    fn note(&mut self, key: &K) {
        let now = Instant::now();
        match &mut self.latest {
            [Some((latest, at)), _] if latest == key => *at = now,
            [latest, before] => *before = latest.replace((key.clone(), now)),
        }
    }

    /// Whether another key has come a moment ago.
    fn is_anyone_but(&self, key: &K) -> bool {
        self.latest.iter().flatten().any(|(other, at)| other != key && at.elapsed() < THERE)
    }

    fn line_up(&mut self, room: &Room, key: &K) -> Result<oneshot::Receiver<Place<K>>, Busy> {
        let is_full =
            |lines: &Lines<K, _>| lines.waiting() >= room.waiting || lines.waiting_of(key) >= room.waiting_each;
        if is_full(&self.lines) {
            // Who has hung up, or lost patience, stands in the line no more.
            self.lines.retain(key, |turn: &oneshot::Sender<_>| !turn.is_closed());
            if is_full(&self.lines) {
                return Err(Busy);
            }
        }
        let (turn, comes) = oneshot::channel();
        self.lines.push(key, turn);
        Ok(comes)
    }

    /// Lets in everyone for whom there is room, a line at a time; what comes back are places whose takers left at that
    /// moment.
    fn next(&mut self, admission: &Admission<K>) -> Vec<Place<K>> {
        let (room, mut nobodys) = (&admission.0.room, Vec::new());
        while self.taken < room.places && self.computing < room.computing {
            let by_key = &self.by_key;
            let may = |key: &K| by_key.get(key).is_none_or(|held| held.taken < room.places_each);
            let Some((key, turn)) = self.lines.next(may, |turn| !turn.is_closed()) else { break };
            let place = self.let_in(admission, &key);
            nobodys.extend(turn.send(place).err());
        }
        nobodys
    }
}

impl<K: Eq + Hash + Clone> Place<K> {
    /// Whether its key was a crowd as it was given, while others were there too: what it was taken for should make way for
    /// them.
    pub const fn is_of_a_crowd(&self) -> bool {
        self.crowd
    }

    /// What it was taken for is worked for where it takes no room of those that compute: lets the next one compute.
    pub fn make_way(&self) {
        if self.computing.swap(false, Ordering::Relaxed) {
            self.admission.give_back(|state| state.leave(&self.key, false, true));
        }
    }

    /// What it was taken for computes no more and only waits for others: lets the next one compute, and is none of a crowd
    /// any more.
    pub fn rest(&self) {
        let working = self.working.swap(false, Ordering::Relaxed);
        let computing = self.computing.swap(false, Ordering::Relaxed);
        if working || computing {
            self.admission.give_back(|state| state.leave(&self.key, working, computing));
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let (key, computing) = (self.key.clone(), self.computing.load(Ordering::Relaxed));
        let working = self.working.load(Ordering::Relaxed);
        self.admission.give_back(|state| {
            state.taken -= 1;
            state.leave(&key, working, computing);
            if let Some(held) = state.by_key.get_mut(&key) {
                held.taken -= 1;
                if held.taken == 0 {
                    state.by_key.remove(&key);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ROOM: Room = Room {
        places: 4,
        places_each: 3,
        computing: 2,
        waiting: 6,
        waiting_each: 4,
        crowd: 2,
        patience: Duration::from_hours(1),
    };

    type Entering<'a> = Pin<Box<dyn Future<Output = Result<Place<&'static str>, Busy>> + 'a>>;

    fn look<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn now(admission: &Admission<&'static str>, key: &'static str) -> Result<Place<&'static str>, Busy> {
        match look(pin!(admission.enter(&key))) {
            Poll::Ready(entered) => entered,
            Poll::Pending => panic!("{key} waits"),
        }
    }

    fn waits<'a>(admission: &'a Admission<&'static str>, key: &'a &'static str) -> Entering<'a> {
        let mut entering: Entering<'_> = Box::pin(admission.enter(key));
        assert!(look(entering.as_mut()).is_pending(), "{key} does not wait");
        entering
    }

    fn counts(admission: &Admission<&'static str>) -> (usize, usize, usize, usize) {
        let state = admission.state();
        (state.taken, state.computing, state.lines.waiting(), state.by_key.len())
    }

    #[tokio::test]
    async fn threat_24_a_full_house_refuses_at_once_and_a_place_comes_back() {
        let admission = Admission::new(Room { places: 2, computing: 2, waiting: 0, ..ROOM });
        let one = now(&admission, "red").unwrap();
        let _two = now(&admission, "blue").unwrap();
        assert_eq!(now(&admission, "red").err(), Some(Busy));
        assert!(admission.is_full());
        drop(one);
        assert!(!admission.is_full());
        assert!(now(&admission, "red").is_ok());
    }

    #[tokio::test]
    async fn threat_24_while_one_line_is_full_another_key_is_let_in_before_those_that_wait_in_it() {
        let admission = Admission::new(ROOM);
        let working: Vec<_> = (0..2).map(|_| now(&admission, "red").unwrap()).collect();
        let mut red: Vec<_> = (0..4).map(|_| waits(&admission, &"red")).collect();
        assert_eq!(now(&admission, "red").err(), Some(Busy), "its line is full");
        let (mut blue, mut green) = (waits(&admission, &"blue"), waits(&admission, &"green"));
        assert_eq!(now(&admission, "white").err(), Some(Busy), "and so are all lines together");
        drop(working);
        // Two may compute: the line that has waited longest goes first, and then not again before the others.
        let (first, other) = (look(red[0].as_mut()), look(blue.as_mut()));
        assert!(first.is_ready() && other.is_ready());
        assert!(look(red[1].as_mut()).is_pending() && look(green.as_mut()).is_pending());
        drop(first);
        let third = look(green.as_mut());
        assert!(third.is_ready() && look(red[1].as_mut()).is_pending());
        drop(other);
        assert!(look(red[1].as_mut()).is_ready());
    }

    #[tokio::test]
    async fn threat_24_the_lines_take_turns_and_nothing_is_kept_of_whoever_left() {
        let admission = Admission::new(Room { computing: 1, ..ROOM });
        let mut place = now(&admission, "red").unwrap();
        let mut lines: Vec<_> = [&"red", &"red", &"red", &"blue", &"blue", &"blue"]
            .map(|key| waits(&admission, key))
            .into_iter()
            .enumerate()
            .collect();
        let mut order = Vec::new();
        while !lines.is_empty() {
            drop(place);
            let come = lines.iter_mut().enumerate().find_map(|(at, (_, turn))| match look(turn.as_mut()) {
                Poll::Ready(entered) => Some((at, entered.unwrap())),
                Poll::Pending => None,
            });
            let (at, entered) = come.unwrap();
            order.push(lines.remove(at).0);
            place = entered;
        }
        assert_eq!(order, [0, 3, 1, 4, 2, 5]);
        drop(place);
        assert_eq!(counts(&admission), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn threat_24_one_key_that_waits_for_its_disk_leaves_places_to_others() {
        let admission = Admission::new(ROOM);
        let resting: Vec<_> = (0..3)
            .map(|_| {
                let place = now(&admission, "red").unwrap();
                place.rest();
                place.rest();
                place
            })
            .collect();
        assert_eq!(counts(&admission), (3, 0, 0, 1));
        let mut red = waits(&admission, &"red");
        let blue = now(&admission, "blue").unwrap();
        drop(blue);
        assert!(look(red.as_mut()).is_pending(), "its own places have to come back");
        drop(resting);
        assert!(look(red.as_mut()).is_ready());
    }

    #[tokio::test]
    async fn threat_24_a_key_of_which_many_wait_is_a_crowd_only_while_others_are_there() {
        let admission = Admission::new(Room { computing: 1, ..ROOM });
        let come = async |before: Place<&'static str>| {
            let mut waiting: Vec<_> = (0..4).map(|_| waits(&admission, &"red")).collect();
            drop(before);
            let Poll::Ready(Ok(first)) = look(waiting[0].as_mut()) else { panic!("it waits on") };
            first.is_of_a_crowd()
        };
        assert!(!come(now(&admission, "red").unwrap()).await, "it is alone");
        let blue = now(&admission, "blue").unwrap();
        assert!(!blue.is_of_a_crowd());
        assert!(come(blue).await);
        let blue = now(&admission, "blue").unwrap();
        let mut few = [waits(&admission, &"red"), waits(&admission, &"red")];
        drop(blue);
        let Poll::Ready(Ok(first)) = look(few[0].as_mut()) else { panic!("it waits on") };
        assert!(!first.is_of_a_crowd(), "one more is none");
    }

    #[tokio::test]
    async fn threat_24_a_key_of_which_many_are_under_way_is_a_crowd_though_none_waits() {
        let admission = Admission::new(Room { places: 8, places_each: 6, computing: 8, ..ROOM });
        let come = |n| (0..n).map(|_| now(&admission, "red").unwrap()).collect::<Vec<_>>();
        let alone = come(3);
        assert!(!alone[2].is_of_a_crowd());
        let blue = now(&admission, "blue").unwrap();
        assert!(!blue.is_of_a_crowd() && now(&admission, "red").unwrap().is_of_a_crowd());
        drop(alone);
        let fewer = come(3);
        assert_eq!(fewer.iter().map(Place::is_of_a_crowd).collect::<Vec<_>>(), [false, false, true]);
    }

    #[tokio::test]
    async fn threat_24_a_key_of_which_fewer_wait_than_of_others_is_no_crowd() {
        let admission = Admission::new(Room { computing: 1, waiting: 40, waiting_each: 20, ..ROOM });
        let first = now(&admission, "white").unwrap();
        let mut red: Vec<_> = (0..3).map(|_| waits(&admission, &"red")).collect();
        let mut blue: Vec<_> = (0..10).map(|_| waits(&admission, &"blue")).collect();
        drop(first);
        let Poll::Ready(Ok(of_red)) = look(red[0].as_mut()) else { panic!("it waits on") };
        assert!(!of_red.is_of_a_crowd());
        drop(of_red);
        let Poll::Ready(Ok(of_blue)) = look(blue[0].as_mut()) else { panic!("it waits on") };
        assert!(of_blue.is_of_a_crowd());
    }

    #[tokio::test]
    async fn threat_24_who_only_waits_for_the_disk_is_no_crowd() {
        let admission = Admission::new(Room { places: 8, places_each: 8, computing: 8, ..ROOM });
        let resting: Vec<_> = (0..4).map(|_| now(&admission, "red").unwrap()).collect();
        resting.iter().for_each(Place::rest);
        let _blue = now(&admission, "blue").unwrap();
        let working: Vec<_> = (0..3).map(|_| now(&admission, "red").unwrap()).collect();
        assert_eq!(working.iter().map(Place::is_of_a_crowd).collect::<Vec<_>>(), [false, false, true]);
        // One that makes way is worked for still.
        working.iter().for_each(Place::make_way);
        drop(resting);
        assert!(now(&admission, "red").unwrap().is_of_a_crowd());
        drop(working);
        assert!(!now(&admission, "red").unwrap().is_of_a_crowd());
    }

    #[tokio::test]
    async fn who_rests_lets_the_next_one_compute() {
        let admission = Admission::new(Room { computing: 1, ..ROOM });
        let first = now(&admission, "red").unwrap();
        let mut second = waits(&admission, &"red");
        first.rest();
        let Poll::Ready(Ok(second)) = look(second.as_mut()) else { panic!("it waits on") };
        assert_eq!(counts(&admission), (2, 1, 0, 1));
        drop((first, second));
        assert_eq!(counts(&admission), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_line_and_no_place_is_lost() {
        let admission = Admission::new(Room { computing: 1, ..ROOM });
        let place = now(&admission, "red").unwrap();
        let gone: Vec<_> = (0..4).map(|_| waits(&admission, &"red")).collect();
        assert_eq!(now(&admission, "red").err(), Some(Busy));
        drop(gone);
        let mut next = waits(&admission, &"red");
        assert_eq!(admission.waiting(), 1, "the line is as long as those who stand in it");
        // Let in, and gone before it knows.
        let leaving = waits(&admission, &"blue");
        drop(place);
        assert!(look(next.as_mut()).is_ready());
        drop(leaving);
        drop(next);
        assert_eq!(counts(&admission), (0, 0, 0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_patience_lasts() {
        let admission = Admission::new(Room { patience: Duration::from_millis(1), ..ROOM });
        let working: Vec<_> = (0..2).map(|_| now(&admission, "red").unwrap()).collect();
        assert_eq!(admission.enter(&"red").await.err(), Some(Busy));
        drop(working);
        assert!(admission.enter(&"red").await.is_ok());
        assert_eq!(counts(&admission), (0, 0, 0, 0));
    }
}
