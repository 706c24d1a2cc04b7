//! Public documents served by somebody else: nginx answers at the issuer URL with the tree that `export-jwks` writes,
//! by the lines of docs/operations.md, and hands everything else to the issuer, which sits elsewhere and has a path.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

use crate::support::clients;
use crate::support::leash::Nginx;
use crate::support::served::{Served, free_port};
use crate::support::watchers::Watcher;

/// Seconds for which caches keep the JWKS, and how long a key is published before it signs.
const MAX_AGE: u32 = 2;
const PUBLISH_BEFORE_SIGN: u32 = MAX_AGE + 3;
/// How long anything that must come to pass may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What docs/operations.md has for nginx.
fn lines_of_the_paper() -> &'static str {
    let paper = include_str!("../../docs/operations.md");
    let (_, rest) = paper.split_once("```nginx\n").expect("the paper has lines for nginx");
    rest.split_once("```").expect("the block ends").0
}

#[track_caller]
fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !come() {
        assert!(Instant::now() < deadline, "{what} has not come to pass in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

fn fetcher() -> fetch::Client {
    let limits = Limits { total: Duration::from_mins(1), ..Limits::default() };
    let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
    fetch::Client::new(settings).unwrap()
}

/// A document as it is served, or nothing where none is.
fn fetched(url: &str) -> Option<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(fetcher().document(url)).ok().map(|body| body.to_vec())
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// Tokens minted all the while, each shown to every verifier.
struct Load {
    over: Arc<AtomicBool>,
    kids: Arc<Mutex<Vec<String>>>,
    /// How many verdicts there are.
    verified: Arc<AtomicUsize>,
    thread: thread::JoinHandle<Vec<String>>,
}

impl Load {
    /// `None` after saying that the test is skipped.
    fn start(issuer: &str, key: &str) -> Option<Self> {
        let max_age = MAX_AGE.to_string();
        let flags = ["--audience", "sts.amazonaws.com", "--max-age", max_age.as_str()];
        let watchers = [
            Watcher::start("PyJWT", clients::python("watch_pyjwt.py")?.args(flags)),
            Watcher::start("jose", clients::node("watch_jose.mjs")?.args(flags)),
            Watcher::start("held copies", clients::python("watch_pyjwt.py")?.args(flags).args(["--hold", "4"])),
        ];
        let (over, kids) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<String>>>::default());
        let verified = Arc::<AtomicUsize>::default();
        let (client, key) = (Client::new(issuer, fetcher()), Secret::new(key.to_owned()));
        let (ends, seen, counted) = (Arc::clone(&over), Arc::clone(&kids), Arc::clone(&verified));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut failures = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
                // On a machine that stalls a mint may fail: clients try again.
                let Ok(answer) = runtime.block_on(client.mint(&key, &MintRequest::default())) else { continue };
                let token = answer.token.expose().to_owned();
                seen.lock().unwrap().push(kid_of(&token));
                let asked: Vec<_> = watchers.iter().map(|watcher| watcher.show(&answer.issuer, &token)).collect();
                for (watcher, id) in watchers.iter().zip(asked) {
                    let verdict = watcher.verdict(id);
                    counted.fetch_add(1, Ordering::Relaxed);
                    if !verdict.ok {
                        failures.push(format!("{}: {} {}", watcher.name, verdict.error, verdict.message));
                    }
                }
            }
            failures
        });
        Some(Self { over, kids, verified, thread })
    }

    fn verified(&self) -> usize {
        self.verified.load(Ordering::Relaxed)
    }

    fn signing(&self) -> String {
        self.kids.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// The kid of the next token: the last one's says nothing while no mint succeeds.
    #[track_caller]
    fn signs_now(&self) -> String {
        let had = self.kids.lock().unwrap().len();
        wait_for("a token", || self.kids.lock().unwrap().len() > had);
        self.signing()
    }

    fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the load does not fail")
    }
}

#[test]
fn threat_40_a_forgotten_export_holds_rotation_up_and_breaks_no_verifier() {
    let (front, listen) = (free_port(), format!("127.0.0.1:{}", free_port()));
    let issuer = format!("http://127.0.0.1:{front}/id");
    let cdn = tempfile::tempdir().unwrap();
    let tree = cdn.path().to_str().unwrap();
    let lines = lines_of_the_paper();
    for stands in ["/srv/cdn", "127.0.0.1:8080", "max-age=3600"] {
        assert!(lines.contains(stands), "{stands} is not in the paper's lines for nginx");
    }
    let lines = lines.replace("/srv/cdn", tree).replace("127.0.0.1:8080", &listen);
    let lines = lines.replace("max-age=3600", &format!("max-age={MAX_AGE}"));
    let Some(_nginx) = Nginx::serving(front, "", &lines) else { return };
    let served = Served::start_behind(&issuer, &listen);
    let bot = served.furnish();
    let schedule = |period: &str| {
        let (age, before) = (format!("{MAX_AGE}s"), format!("{PUBLISH_BEFORE_SIGN}s"));
        let waits = ["--publish-before-sign", &before, "--keep-after-sign", "30s", "--rotation-period", period];
        let rest = ["--max-age", &age, "--export-lag", "0s", "--clock-error", "1s", "--oldest-snapshot", "2s"];
        served.admin(&[&["keys", "schedule"][..], &waits, &rest].concat());
    };
    let export = || -> Value { serde_json::from_str(&served.admin(&["keys", "export-jwks", tree, "--json"])).unwrap() };
    let listed = |state: &str| -> Option<Value> {
        let keys: Value = serde_json::from_str(&served.admin(&["keys", "list", "--json"])).unwrap();
        keys["items"].as_array().unwrap().iter().find(|key| key["state"] == state).cloned()
    };
    schedule("24h");

    // The move: every document of the tree is at the address that its reader asks, as the issuer itself serves it.
    assert_eq!(fetched(&format!("{issuer}/.well-known/jwks.json")), None, "the tree is empty");
    let files = export();
    let files = files["files"].as_array().unwrap();
    assert!(files.len() == 4 && files.iter().all(|file| file["changed"] == true), "{files:?}");
    for path in [
        "/id/.well-known/jwks.json",
        "/id/.well-known/openid-configuration",
        "/id/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/id",
    ] {
        let copy = fetched(&format!("http://127.0.0.1:{front}{path}")).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(Some(copy), fetched(&format!("http://{listen}{path}")), "{path}");
    }
    wait_for("a look at the copy", || listed("next").is_some_and(|key| key["seen_from"].is_string()));
    let Some(load) = Load::start(&issuer, &bot) else { return };
    let first = load.signs_now();

    // Another standby, due at once, and nobody exports: it is not seen, and the old key signs on.
    served.admin(&["keys", "prepare", "--alg", "ES256"]);
    schedule("2s");
    let standby = listed("next").unwrap()["kid"].as_str().unwrap().to_owned();
    let told: Value = serde_json::from_str(&served.logged("\"serving\"")).unwrap();
    let ready = format!("http://{}/readyz", told["ops"].as_str().unwrap());
    // It is ready: a warning is no fault.
    let warned = || {
        let answer = fetched(&ready).map(|answer| String::from_utf8(answer).unwrap());
        answer.is_some_and(|answer| answer.contains(&standby) && answer.contains("does not list it"))
    };
    wait_for("the warning", warned);
    // Long beyond every wait of the schedule.
    thread::sleep(Duration::from_secs(u64::from(2 * PUBLISH_BEFORE_SIGN)));
    assert_eq!(load.signs_now(), first, "a key signs that the copy does not show");
    let waits = listed("next").unwrap();
    assert!(waits["seen_from"].is_null() && waits["sign_from"].is_null(), "{waits}");
    wait_for("the same warning", warned);

    // Exported again, the standby takes over after its wait.
    let again = export();
    let changed: Vec<_> = again["files"].as_array().unwrap().iter().filter(|file| file["changed"] == true).collect();
    assert_eq!(changed.len(), 2, "the JWKS, and the algorithms in the discovery document: {again}");
    wait_for("the hand-over", || load.signing() == standby);
    thread::sleep(Duration::from_secs(u64::from(2 * MAX_AGE)));
    wait_for("more than a hundred verdicts", || load.verified() > 100);
    let verified = load.verified();
    let failures = load.end();
    assert!(failures.is_empty(), "{} of {verified}: {failures:#?}", failures.len());
}
