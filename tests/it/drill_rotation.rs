//! Rotation under load on real processes: two `brevet serve` on one PostgreSQL behind one nginx, whose address is the
//! issuer URL. Tokens are minted all the while and each is shown, at once and again a few seconds later, to PyJWT and
//! jose with caches of their own, and to a verifier that holds every copy of a JWKS for exactly max-age.
//!
//! The waits are shortened by `brevet keys schedule`, which an issuer of development lets break the rules. Everything
//! the drill does to the installation but its accidents is done by commands, as an operator would.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::client::Client;
use brevet::domain::secret::Secret;
use brevet::fetch::{self, Limits, Reach};
use brevet::wire::mint::MintRequest;
use serde_json::Value;

use crate::support::replicas::{REPLICAS, Replicas};
use crate::support::served::{MODEL, ROLE, status};
use crate::support::watchers::Watcher;
use crate::support::{clients, variable};

/// Seconds for which every cache keeps a JWKS.
const MAX_AGE: u64 = 2;
/// The same where a key may sign at once: so long that no machine is slow enough to keep the rule by accident.
const LONG_AGE: u64 = 600;
/// From publication to the first signature: max-age, and time for a machine that is busy with other tests.
const PUBLISH_BEFORE_SIGN: u64 = MAX_AGE + 8;
/// How old a token is when it is shown for the second time.
const LATE: Duration = Duration::from_secs(3);
/// From the last signature to the end of publication. Longer than a turn, so that retired keys pile up: with three of
/// them, the signing key and the standby an issuer has as many as it may.
const KEEP_AFTER_SIGN: u64 = LATE.as_secs() + PUBLISH_BEFORE_SIGN + 10;
/// The rotation period where the clock is to rotate as often as it can, and where only an operator is to.
const AT_ONCE: u64 = 2;
const NEVER: u64 = 86_400;
/// How many clients mint at once, and how long each rests between two tokens.
const MINTERS: usize = 3;
const REST: Duration = Duration::from_millis(120);
/// How long anything that must come to pass may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A token that left.
#[derive(Debug, Clone)]
struct Token {
    issuer: String,
    kid: String,
    text: String,
}

/// A question put to a verifier.
struct Question {
    watcher: usize,
    id: u64,
    token: Arc<Token>,
    late: bool,
}

/// What came of a drill.
#[derive(Debug, Default)]
struct Figures {
    rotations: usize,
    kills: usize,
    database_stops: usize,
    tokens: usize,
    verifications: usize,
    refused_of_distrusted: usize,
    longest_gap: Duration,
    failures: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rotation: {} hand-overs, {} kills, {} database stops, {} tokens (longest gap {:.1?}), {} verifications, {} \
             failed; {} of the distrusted key refused",
            self.rotations,
            self.kills,
            self.database_stops,
            self.tokens,
            self.longest_gap,
            self.verifications,
            self.failures.len(),
            self.refused_of_distrusted
        )
    }
}

/// What the threads of the load share.
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// The kids of tokens, in the order they came.
    kids: Mutex<Vec<String>>,
    distrusted: Mutex<BTreeSet<String>>,
    figures: Mutex<Figures>,
    /// The last tokens of each kid.
    last: Mutex<BTreeMap<String, Vec<Arc<Token>>>>,
}

/// The load: it mints and shows until it is told to end.
struct Load {
    shared: Arc<Shared>,
    watchers: Arc<Vec<Watcher>>,
    threads: Vec<thread::JoinHandle<()>>,
}

fn fetcher() -> fetch::Client {
    let limits = Limits { total: Duration::from_mins(1), ..Limits::default() };
    let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
    fetch::Client::new(settings).unwrap()
}

#[track_caller]
fn wait_for(what: &str, patience: Duration, come: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !come() {
        assert!(Instant::now() < deadline, "{what} has not come to pass in {patience:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

impl Load {
    /// `None` after saying that the test is skipped.
    fn start(issuer: &str, key: &str, max_age: u64) -> Option<Self> {
        let max_age = max_age.to_string();
        let flags = ["--audience", "sts.amazonaws.com", "--max-age", max_age.as_str()];
        let watchers = vec![
            Watcher::start("PyJWT", clients::python("watch_pyjwt.py")?.args(flags)),
            Watcher::start("jose", clients::node("watch_jose.mjs")?.args(flags)),
            Watcher::start("held copies", clients::python("watch_pyjwt.py")?.args(flags).args(["--hold", "4"])),
        ];
        let mut load = Self { shared: Arc::default(), watchers: Arc::new(watchers), threads: Vec::new() };
        let (minted, shown) = mpsc::channel();
        for seed in 0..MINTERS {
            let (shared, minted) = (Arc::clone(&load.shared), minted.clone());
            let (client, key) = (Client::new(issuer, fetcher()), Secret::new(key.to_owned()));
            load.threads.push(thread::spawn(move || mint(&shared, &client, &key, seed, &minted)));
        }
        let (asked, questions) = mpsc::channel();
        let watchers = Arc::clone(&load.watchers);
        load.threads.push(thread::spawn(move || show(&watchers, &shown, &asked)));
        let (shared, watchers) = (Arc::clone(&load.shared), Arc::clone(&load.watchers));
        load.threads.push(thread::spawn(move || judge(&shared, &watchers, &questions)));
        Some(load)
    }

    /// How often tokens have come with another kid than the one before.
    fn hand_overs(&self) -> usize {
        self.shared.kids.lock().unwrap().len().saturating_sub(1)
    }

    fn signing(&self) -> String {
        self.shared.kids.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// Waits until `count` hand-overs have been seen.
    #[track_caller]
    fn wait_for_hand_overs(&self, count: usize) {
        wait_for(&format!("hand-over {count}"), PATIENCE, || self.hand_overs() >= count);
    }

    fn end(self) -> Figures {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no thread of the load fails");
        }
        let mut figures = std::mem::take(&mut *self.shared.figures.lock().unwrap());
        figures.rotations = self.shared.kids.lock().unwrap().len().saturating_sub(1);
        figures
    }
}

/// Mints, tokens of many lifetimes, through whatever replica answers.
fn mint(shared: &Shared, client: &Client, key: &Secret, seed: usize, minted: &Sender<Arc<Token>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut lifetime, mut last) = (60 + u32::try_from(seed).unwrap() * 1_000, Instant::now());
    while !shared.over.load(Ordering::Relaxed) {
        thread::sleep(REST);
        lifetime = 60 + (lifetime + 977) % 3_541;
        let request = MintRequest { lifetime_seconds: Some(lifetime), ..MintRequest::default() };
        // A killed replica, or a database that is down: clients try again.
        let Ok(answer) = runtime.block_on(client.mint(key, &request)) else { continue };
        let text = answer.token.expose().to_owned();
        let token = Arc::new(Token { issuer: answer.issuer, kid: kid_of(&text), text });
        {
            let mut kids = shared.kids.lock().unwrap();
            if !kids.contains(&token.kid) {
                kids.push(token.kid.clone());
            }
            let mut figures = shared.figures.lock().unwrap();
            figures.tokens += 1;
            figures.longest_gap = figures.longest_gap.max(last.elapsed());
            shared.last.lock().unwrap().entry(token.kid.clone()).or_default().push(Arc::clone(&token));
        }
        last = Instant::now();
        if minted.send(token).is_err() {
            return;
        }
    }
}

/// Shows each token to every verifier at once, and again when it is some seconds old.
fn show(watchers: &[Watcher], minted: &Receiver<Arc<Token>>, asked: &Sender<Question>) {
    let mut later: Vec<(Instant, Arc<Token>)> = Vec::new();
    let mut ended = false;
    while !ended || !later.is_empty() {
        let mut due: Vec<(Arc<Token>, bool)> = Vec::new();
        match minted.recv_timeout(Duration::from_millis(50)) {
            Ok(token) => {
                later.push((Instant::now() + LATE, Arc::clone(&token)));
                due.push((token, false));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                ended = true;
                thread::sleep(Duration::from_millis(50));
            }
        }
        let now = Instant::now();
        let young = later.iter().position(|(at, _)| *at > now).unwrap_or(later.len());
        due.extend(later.drain(..young).map(|(_, token)| (token, true)));
        for (token, late) in due {
            for (watcher, verifier) in watchers.iter().enumerate() {
                let id = verifier.show(&token.issuer, &token.text);
                let question = Question { watcher, id, token: Arc::clone(&token), late };
                if asked.send(question).is_err() {
                    return;
                }
            }
        }
    }
}

/// Takes the verdicts.
fn judge(shared: &Shared, watchers: &[Watcher], questions: &Receiver<Question>) {
    for Question { watcher, id, token, late } in questions {
        let verdict = watchers[watcher].verdict(id);
        let mut figures = shared.figures.lock().unwrap();
        if verdict.ok {
            figures.verifications += 1;
        } else if shared.distrusted.lock().unwrap().contains(&token.kid) {
            figures.refused_of_distrusted += 1;
        } else {
            figures.verifications += 1;
            let age = if late { "late" } else { "new" };
            let failure = format!(
                "{}: {age} token of {} at {}: {} {}",
                watchers[watcher].name, token.kid, token.issuer, verdict.error, verdict.message
            );
            figures.failures.push(failure);
        }
    }
}

/// A team with an agent; the agent's key.
fn furnish(replicas: &Replicas) -> String {
    let admin = |arguments: &[&str]| replicas.admin(arguments, PATIENCE);
    admin(&["admin", "teams", "create", "--uid", "red", "--name", "Red"]);
    admin(&["admin", "service-accounts", "create", "--team", "red", "--uid", "bot", "--name", "Bot"]);
    let role = ["--role-arn", ROLE, "--region", "eu-central-1", "--allow-model", MODEL];
    admin(&[&["admin", "provider-settings", "set", "--team", "red"][..], &role].concat());
    admin(&["admin", "service-accounts", "create-key", "--team", "red", "bot"])
}

/// Sets the numbers by which keys follow each other: those of all the waits, or none before the first signature.
fn schedule(replicas: &Replicas, max_age: u64, publish_before_sign: u64, rotation_period: u64) {
    let seconds = |number: u64| format!("{number}s");
    let (age, before) = (seconds(max_age), seconds(publish_before_sign));
    let (keep, period) = (seconds(KEEP_AFTER_SIGN), seconds(rotation_period));
    let waits = ["--publish-before-sign", &before, "--keep-after-sign", &keep, "--rotation-period", &period];
    let rest = ["--max-age", &age, "--export-lag", "0s", "--clock-error", "1s", "--oldest-snapshot", "2s"];
    replicas.admin(&[&["keys", "schedule"][..], &waits, &rest].concat(), PATIENCE);
}

/// Waits until a standby of `algorithm` may sign.
#[track_caller]
fn wait_for_standby(replicas: &Replicas, algorithm: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut since: Option<(String, Instant)> = None;
    loop {
        let keys = replicas.admin(&["keys", "list", "--json"], PATIENCE);
        let keys: Value = serde_json::from_str(&keys).unwrap();
        let next = keys["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["state"] == "next" && key["algorithm"] == algorithm && key["seen_from"].is_string());
        let kid = next.map(|key| key["kid"].as_str().unwrap().to_owned());
        match (&since, kid) {
            (Some((seen, at)), Some(kid)) if *seen == kid => {
                if at.elapsed() > Duration::from_secs(PUBLISH_BEFORE_SIGN + 2) {
                    return;
                }
            }
            (_, kid) => since = kid.map(|kid| (kid, Instant::now())),
        }
        assert!(Instant::now() < deadline, "no standby: {keys}");
        thread::sleep(Duration::from_millis(500));
    }
}

/// Runs the drill; `None` after saying that the test is skipped.
fn drill(rotations: usize, publish_before_sign: u64) -> Option<Figures> {
    // With all the waits nobody is in a hurry: the clock rotates, then operators do. Without, operators must.
    let whole = publish_before_sign > 0;
    let mut replicas = Replicas::start()?;
    let key = furnish(&replicas);
    let (max_age, period) = if whole { (MAX_AGE, AT_ONCE) } else { (LONG_AGE, NEVER) };
    schedule(&replicas, max_age, publish_before_sign, period);
    // Long enough for the replicas to have read it, and for the caches to have nothing from before.
    thread::sleep(Duration::from_secs(4));
    let load = Load::start(&replicas.issuer, &key, max_age)?;
    // Every cache begins with what is published before the first rotation.
    wait_for("a first verdict of each", PATIENCE, || {
        load.shared.figures.lock().unwrap().verifications >= load.watchers.len()
    });
    let (mut kills, mut database_stops) = (0, 0);
    for rotation in 1..=rotations {
        match rotation % 3 {
            1 | 2 => {
                replicas.kill(rotation % 3 - 1);
                thread::sleep(Duration::from_millis(700));
                replicas.serve(rotation % 3 - 1);
                kills += 1;
            }
            _ => {
                replicas.stop_database();
                thread::sleep(Duration::from_millis(700));
                replicas.resume_database();
                database_stops += 1;
            }
        }
        if !whole {
            replicas.admin(&["keys", "rotate"], PATIENCE);
        }
        load.wait_for_hand_overs(rotation);
    }
    if whole {
        operate(&replicas, &load);
    }
    thread::sleep(LATE + Duration::from_secs(MAX_AGE));
    let figures = load.end();
    Some(Figures { kills, database_stops, ..figures })
}

/// The commands of an operator, each under the same load.
fn operate(replicas: &Replicas, load: &Load) {
    schedule(replicas, MAX_AGE, PUBLISH_BEFORE_SIGN, NEVER);
    // `rotate` is refused until the standby is old enough.
    let before = load.hand_overs();
    replicas.admin(&["keys", "rotate"], PATIENCE);
    load.wait_for_hand_overs(before + 1);

    // The signing key is distrusted with a standby that is old enough: signing moves, and only its tokens fail.
    wait_for_standby(replicas, "RS256");
    let stolen = load.signing();
    load.shared.distrusted.lock().unwrap().insert(stolen.clone());
    replicas.admin(&["keys", "distrust", &stolen, "--yes"], PATIENCE);
    load.wait_for_hand_overs(before + 2);
    // Max-age begins where no replica publishes the key any more, and a fetch that is under way then has time to end.
    let (fetcher, runtime) = (fetcher(), tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let is_gone = |replica| {
        let uri = format!("http://{}/.well-known/jwks.json", replicas.address(replica));
        let jwks = runtime.block_on(fetcher.document(&uri));
        jwks.is_ok_and(|jwks| !String::from_utf8_lossy(&jwks).contains(&stolen))
    };
    // A replica reads every three seconds at the latest.
    wait_for("the distrusted key's end", Duration::from_secs(30), || (0..REPLICAS).all(is_gone));
    thread::sleep(Duration::from_secs(PUBLISH_BEFORE_SIGN));
    let tokens = load.shared.last.lock().unwrap()[&stolen].iter().rev().take(5).cloned().collect::<Vec<_>>();
    for watcher in load.watchers.iter() {
        for token in &tokens {
            let verdict = watcher.verdict(watcher.show(&token.issuer, &token.text));
            assert!(!verdict.ok, "{} takes a token of the distrusted key after max-age", watcher.name);
        }
    }

    // Another algorithm is a rotation like any other.
    replicas.admin(&["keys", "prepare", "--alg", "ES256"], PATIENCE);
    wait_for_standby(replicas, "ES256");
    replicas.admin(&["keys", "rotate"], PATIENCE);
    load.wait_for_hand_overs(before + 3);

    // The team moves to an issuer of its own, and back; each of its tokens verifies at the issuer that it names.
    // Made, it has the numbers of the shared one.
    replicas.admin(&["admin", "issuer", "make", "--team", "red"], PATIENCE);
    let publishes = |replica| status(&replicas.address(replica), "/t/red/.well-known/jwks.json") == Some(200);
    wait_for("the private issuer's JWKS", PATIENCE, || (0..REPLICAS).all(publishes));
    replicas.admin(&["admin", "policy", "set", "--team", "red", "--minted-by", "private"], PATIENCE);
    load.wait_for_hand_overs(before + 4);
    thread::sleep(LATE);
    replicas.admin(&["admin", "policy", "set", "--team", "red", "--minted-by", "shared"], PATIENCE);
}

/// Tells the figures where `scripts/drill` looks for them.
#[expect(clippy::print_stdout, reason = "a reader of the test's output looks for them there")]
fn tell(figures: &Figures) {
    let told = figures.to_string();
    println!("{told}");
    if let Some(file) = variable("BREVET_DRILL_FIGURES") {
        std::fs::write(file, told + "\n").unwrap();
    }
}

#[test]
fn threat_16_rotation_under_load_fails_no_verification() {
    let rotations = variable("BREVET_DRILL_ROTATIONS").map_or(1, |text| text.to_str().unwrap().parse().unwrap());
    let without = variable("BREVET_DRILL_WITHOUT").is_some();
    let publish_before_sign = if without { 0 } else { PUBLISH_BEFORE_SIGN };
    let Some(figures) = drill(rotations, publish_before_sign) else { return };
    tell(&figures);
    let some: Vec<_> = figures.failures.iter().take(20).collect();
    assert!(some.is_empty(), "{figures}: {some:#?}");
    assert!(figures.verifications > 0 && figures.refused_of_distrusted > 0);
}

#[test]
fn threat_16_without_publish_before_sign_the_drill_fails() {
    let Some(figures) = drill(3, 0) else { return };
    assert!(!figures.failures.is_empty(), "nothing fails: {figures}");
}
