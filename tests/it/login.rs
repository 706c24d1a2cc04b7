//! `brevet login` from end to end: the real command, the real pages, and a browser that does what its person decides;
//! first one without a screen, then Chromium.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::clients;
use crate::support::process::{self, Ended, Running};
use crate::support::served::Served;
use crate::support::surfer::Surfer;

/// A served issuer with Ann of team red.
fn served() -> Served {
    let served = Served::start();
    served.furnish();
    served
}

fn code(served: &Served) -> String {
    served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"])
}

/// `login --browser` on its way, and the address with which it opened what stands for the browser.
fn by_browser(served: &Served) -> (Running, String) {
    let (program, opened) = (served.home.path().join("browser"), served.home.path().join("opened"));
    let _ = fs::remove_file(&opened);
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.part' && mv '{0}.part' '{0}'\n", opened.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = served.home.brevet(["login", "--browser", "--device", "Ann's laptop", "--team", "red"]);
    command.env("BREVET_ISSUER", &served.url).env("BROWSER", program);
    let running = process::start(command);
    running.wait_for("opening your browser");
    while !opened.exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    (running, fs::read_to_string(opened).unwrap())
}

/// `login --device-code` on its way, and the link that it shows.
fn by_device_code(served: &Served) -> (Running, String) {
    let mut command = served.home.brevet(["login", "--device-code", "--device", "build box"]);
    command.env("BREVET_ISSUER", &served.url);
    let running = process::start(command);
    let line = running.wait_for("(or open ");
    let link = line.split_once("(or open ").unwrap().1.trim_end_matches(')').to_owned();
    (running, link)
}

/// From the link to the page that asks who it is.
fn begin(served: &Served, link: &str) -> Surfer {
    let mut surfer = Surfer::new(&served.url);
    let mut seen = surfer.open(link);
    if let Some((_, code)) = link.split_once("user_code=") {
        seen = surfer.post("/device", &[("user_code", code)]);
    }
    assert_eq!(seen.heading(), "Sign in", "{seen:#?}");
    surfer
}

/// The command has ended well, and Ann's other commands work until she signs out.
#[track_caller]
fn is_signed_in(served: &Served, ended: &Ended) {
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    assert!(ended.stderr.contains(&format!("signed in to {} as ann until ", served.url)), "{ended:#?}");
    let without_issuer = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let whoami = without_issuer(&["whoami"]);
    assert!(whoami.stdout.contains("user:ann") && whoami.stdout.contains("session until"), "{whoami:#?}");
    let token = without_issuer(&["token"]);
    assert_eq!((token.code(), token.stdout.trim().split('.').count()), (Some(0), 3), "{token:#?}");
    let logout = without_issuer(&["logout"]);
    assert_eq!(logout.stderr, format!("signed out of {}\n", served.url));
    let after = without_issuer(&["token"]);
    assert_eq!(after.code(), Some(1));
    assert!(after.stderr.contains("not signed in"), "{after:#?}");
}

/// The command has ended without a session, and says why.
#[track_caller]
fn is_not_signed_in(served: &Served, ended: &Ended, words: &str) {
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(1), ""), "{ended:#?}");
    assert!(ended.stderr.contains(words), "{ended:#?}");
    assert!(served.brevet(None, &["token"]).stderr.contains("not signed in"), "a session was saved");
}

/// Changes what only time changes.
async fn rewrite(served: &Served, sql: &'static str) {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(served.home.path().join("brevet.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    assert_eq!(sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected(), 1);
}

#[test]
fn a_person_signs_in_by_the_browser_of_this_machine() {
    let served = served();
    let (running, address) = by_browser(&served);
    let mut surfer = begin(&served, &address);
    surfer.sign_in(&code(&served));
    let leaving = surfer.decide("approve");
    let back = leaving.goes_to().to_owned();
    assert!(back.starts_with("http://127.0.0.1:"), "{back}");
    // The terminal has the code by then, and sends the browser to the last page.
    assert_eq!(surfer.open(&back).heading(), "Approved");
    is_signed_in(&served, &running.finish());
}

#[test]
fn a_person_signs_in_by_a_code_typed_into_a_browser_elsewhere() {
    let served = served();
    let (running, link) = by_device_code(&served);
    let mut surfer = begin(&served, &link);
    surfer.sign_in(&code(&served));
    assert_eq!(surfer.decide("approve").heading(), "Approved");
    is_signed_in(&served, &running.finish());
}

#[test]
fn whoever_denies_ends_the_command_in_plain_words() {
    let served = served();
    let words = "brevet: the sign-in was denied in the browser; nobody is signed in";
    let (running, address) = by_browser(&served);
    let mut surfer = begin(&served, &address);
    // Turned away before anybody has signed in.
    let back = surfer.decide("deny").goes_to().to_owned();
    assert_eq!(surfer.open(&back).heading(), "Denied");
    is_not_signed_in(&served, &running.finish(), words);

    let (running, link) = by_device_code(&served);
    let mut surfer = begin(&served, &link);
    surfer.sign_in(&code(&served));
    assert_eq!(surfer.decide("deny").heading(), "Denied");
    is_not_signed_in(&served, &running.finish(), words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_took_too_long_ends_the_command_in_plain_words() {
    let served = served();
    let (running, link) = by_device_code(&served);
    rewrite(&served, "UPDATE device_grants SET expires_at = created_at").await;
    let mut surfer = Surfer::new(&served.url);
    surfer.open(&link);
    let late = surfer.post("/device", &[("user_code", link.split_once("user_code=").unwrap().1)]);
    assert!(late.text.contains("No device waits with this code"), "{late:#?}");
    is_not_signed_in(&served, &running.finish(), "the code was not approved in time: run `brevet login` again");

    let (running, address) = by_browser(&served);
    let mut surfer = begin(&served, &address);
    surfer.sign_in(&code(&served));
    let back = surfer.decide("approve").goes_to().to_owned();
    rewrite(&served, "UPDATE authorization_codes SET expires_at = created_at").await;
    let told = surfer.open(&back);
    assert!(told.text.contains("You are not signed in. The terminal says why"), "{told:#?}");
    is_not_signed_in(&served, &running.finish(), "the browser's answer came too late, or was used before: run `brevet");
}

/// What Chromium came to at `address`, where Ann decides.
fn chromium(served: &Served, address: &str, decision: &str) -> Option<Value> {
    let (client, chromium) = clients::chromium("login_chromium.mjs")?;
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    let code = code(served);
    let flags = ["--issuer", &served.url, "--chromium", &chromium, "--open", address, "--code", &code];
    let more = ["--decision", decision, "--screenshots", screenshots.to_str().expect("a path")];
    let answer = client.args(flags).args(more).run_within(Duration::from_mins(10)).json();
    assert_eq!(answer["ok"], true, "{answer:#}");
    Some(answer)
}

#[test]
fn a_person_signs_in_by_chromium_on_this_machine_and_elsewhere() {
    let served = served();
    let (running, address) = by_browser(&served);
    let Some(answer) = chromium(&served, &address, "Approve") else { return };
    assert_eq!((&answer["title"], &answer["at"]), (&"Approved".into(), &format!("{}/sign-in/done", served.url).into()));
    assert_eq!(answer["violations"], Value::Array(Vec::new()), "{answer:#}");
    is_signed_in(&served, &running.finish());

    let (running, link) = by_device_code(&served);
    let answer = chromium(&served, &link, "Approve").unwrap();
    assert_eq!(answer["title"], "Approved", "{answer:#}");
    is_signed_in(&served, &running.finish());

    let (running, address) = by_browser(&served);
    let answer = chromium(&served, &address, "Deny").unwrap();
    assert_eq!((&answer["title"], &answer["at"]), (&"Denied".into(), &format!("{}/sign-in/denied", served.url).into()));
    is_not_signed_in(&served, &running.finish(), "denied in the browser");
}

#[test]
fn a_browser_that_does_not_start_is_told_and_the_address_works_by_hand() {
    let served = served();
    let mut command = served.home.brevet(["login", "--browser"]);
    command.env("BREVET_ISSUER", &served.url).env("BROWSER", "/nowhere/browser");
    let running = process::start(command);
    running.wait_for("no browser could be opened (see --device-code); on this machine, visit");
    let address = running.wait_for("/oauth2/authorize?").trim().to_owned();
    let mut surfer = begin(&served, &address);
    surfer.sign_in(&code(&served));
    let back = surfer.decide("approve").goes_to().to_owned();
    surfer.open(&back);
    is_signed_in(&served, &running.finish());
}

#[test]
fn threat_23_a_new_sign_in_ends_the_session_before() {
    let served = served();
    let sign_in = || served.brevet(None, &["login", "--code", &code(&served)]);
    assert_eq!(sign_in().code(), Some(0));
    let file = served.session_file();
    let before: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let access = before["access_token"].as_str().unwrap();
    served.succeeds(Some(access), &["token"]);
    let again = sign_in();
    assert_eq!((again.code(), again.stderr.lines().count()), (Some(0), 1), "{again:#?}");
    // Neither of its tokens is worth anything, and the new session is whole.
    assert_eq!(served.brevet(Some(access), &["token"]).code(), Some(1));
    served.succeeds(None, &["token"]);
    let listed = served.admin(&["admin", "sessions", "list", "ann", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed:#}");
    // What cannot be read is no reason to refuse a new session its place.
    fs::write(&file, "{").unwrap();
    assert_eq!(sign_in().code(), Some(0));
    served.succeeds(None, &["token"]);
}
