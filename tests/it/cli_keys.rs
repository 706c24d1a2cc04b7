//! `brevet keys …` as an operator runs it: the real binary, the store it opens itself or a serving issuer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::process::{self, Ended, Home};
use crate::support::served::{ROLE, Served, free_port};

fn words(ended: &Ended) -> String {
    format!("{}{}", ended.stdout, ended.stderr)
}

#[track_caller]
fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    ended
}

#[test]
fn threat_15_the_key_encryption_key_changes_and_neither_start_nor_command_takes_a_wrong_one() {
    let mut served = Served::start();
    let bot = served.furnish();
    let here = served.home.path().to_owned();
    let in_home = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let locked = in_home(&["keys", "reseal"]);
    assert_eq!(locked.code(), Some(1));
    assert!(locked.stderr.contains("is locked: another brevet process has this store open"), "{locked:#?}");
    served.stop();

    let in_home = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let kek = |name: &str| fs::read_to_string(here.join("keys").join(name)).unwrap();
    let first = kek("kek");
    assert!(ok(in_home(&["keys", "init-kek", "--replace"])).stderr.contains("now run `brevet keys reseal`"));
    assert_eq!(kek("kek.previous"), first);
    assert_ne!(kek("kek"), first);
    // Between the two steps a start is as good as before, and a second change waits.
    served.serve();
    let token = served.succeeds(Some(&bot), &["token"]);
    served.stop();
    let in_home = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let again = in_home(&["keys", "init-kek", "--replace"]);
    assert_eq!(again.code(), Some(1));
    assert!(again.stderr.contains("finish the last change first with `brevet keys reseal`"), "{again:#?}");

    let done = ok(in_home(&["keys", "reseal", "--json"]));
    // Two signing keys, and the one under which user codes are kept.
    assert_eq!(done.json()["resealed"], 3, "{done:#?}");
    assert!(done.stderr.contains("3 of 3") && done.stderr.contains("move keys/kek.previous"), "{done:#?}");
    assert_eq!(ok(in_home(&["keys", "reseal", "--json"])).json()["already"], 3);
    fs::remove_file(here.join("keys/kek.previous")).unwrap();
    served.serve();
    let after = served.succeeds(Some(&bot), &["token"]);
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_eq!(header(&token), header(&after), "the same key signs");
    served.stop();

    // The old key alone: one clear error, and no byte of either.
    let second = kek("kek");
    fs::write(here.join("keys/kek"), &first).unwrap();
    let in_home = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let serve = ["serve", "--development", "--issuer-url", &served.url, "--public-listen", "127.0.0.1:0"];
    let serve = [&serve[..], &["--admin-listen", "same", "--ops-listen", "127.0.0.1:0"]].concat();
    for arguments in [&serve[..], &["keys", "reseal"]] {
        let refused = in_home(arguments);
        assert_eq!(refused.code(), Some(1), "{refused:#?}");
        let said = words(&refused);
        assert!(said.contains("signing_key:") && said.contains("give the one it was sealed with"), "{said}");
        assert!(!said.contains(first.trim()) && !said.contains(second.trim()), "{said}");
    }
    fs::remove_file(here.join("keys/kek")).unwrap();
    for arguments in [&serve[..], &["keys", "reseal"]] {
        let missing = in_home(arguments);
        assert_eq!(missing.code(), Some(2), "{missing:#?}");
        assert!(missing.stderr.contains("keys/kek is missing, but the store has keys sealed with it"), "{missing:#?}");
    }
    assert!(!here.join("keys/kek").exists(), "no start makes another key where texts are sealed");
}

/// Writes a private key as PEM, by the fixture's PKCS#8.
fn key_file(home: &Home, name: &str, mode: u32) -> String {
    let der = include_str!("../cases/signing-keys/active.pkcs8.base64");
    let body: String = der.split_whitespace().collect();
    assert!(STANDARD.decode(&body).is_ok());
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    write(
        &home.path().join(name),
        &format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")),
        mode,
    );
    name.to_owned()
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn threat_14_an_existing_key_becomes_an_empty_stores_first_and_nothing_elses() {
    let home = Home::new();
    let file = key_file(&home, "old.pem", 0o600);
    let open = key_file(&home, "open.pem", 0o644);
    write(&home.path().join("public.pem"), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 0o600);
    let url = format!("http://127.0.0.1:{}", free_port());
    let issuer = ["--development", "--issuer-url", &url];
    let import =
        |file: &str, more: &[&str]| process::run(home.brevet([&["keys", "import", file], &issuer[..], more].concat()));
    for (file, rule) in [
        (open.as_str(), "open.pem has mode 0644 and must have 0600"),
        ("public.pem", "public.pem holds no private key, only a public one"),
        (".", "is no file"),
        ("nothing.pem", "cannot be read"),
    ] {
        let refused = import(file, &[]);
        assert_eq!(refused.code(), Some(1), "{refused:#?}");
        assert!(refused.stderr.contains(rule) && refused.stdout.is_empty(), "{refused:#?}");
    }
    assert!(!home.path().join("brevet.db").exists(), "a file that is no key makes no store");

    let done = ok(import(&file, &["--json"]));
    let kid = done.json()["kid"].as_str().unwrap().to_owned();
    assert!(done.stderr.contains("delete old.pem now"), "{done:#?}");
    let pem = fs::read_to_string(home.path().join(&file)).unwrap();
    let secret = pem.lines().nth(5).unwrap();
    assert!(!words(&done).contains(secret));
    for name in ["brevet.db", "brevet.db-wal", "keys/kek"] {
        let Ok(bytes) = fs::read(home.path().join(name)) else { continue };
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
    let again = import(&file, &[]);
    assert_eq!(again.code(), Some(1));
    assert!(again.stderr.contains("a key is imported into an empty store only"), "{again:#?}");

    // It signs from the first start on; its standby waits like every later key.
    let mut served = Served::start_in(home, &url);
    let listed: Value = serde_json::from_str(&served.admin(&["keys", "list", "--json"])).unwrap();
    let states =
        |n: usize| (listed["items"][n]["kid"] == kid, listed["items"][n]["state"].as_str().unwrap().to_owned());
    assert_eq!((states(0), states(1)), ((true, "active".to_owned()), (false, "next".to_owned())), "{listed}");
    let bot = served.furnish();
    let token = served.succeeds(Some(&bot), &["token"]);
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], kid);
    served.stop();
}

#[test]
fn threat_16_the_plan_is_dated_drawn_and_proven() {
    let served = Served::start();
    let plan: Value = serde_json::from_str(&served.admin(&["keys", "plan", "--days", "100", "--json"])).unwrap();
    assert_eq!(plan["proof"]["holds"], true, "{plan}");
    assert_eq!(plan["proof"]["oldest_copy_seconds"], 3600 + 3600 + 5);
    let changes = plan["changes"].as_array().unwrap();
    assert!(changes.iter().filter(|change| change["change"] == "signs").count() >= 3, "{plan}");
    assert!(changes.windows(2).all(|pair| pair[0]["at"].as_str() <= pair[1]["at"].as_str()), "{plan}");
    let drawn = served.admin(&["keys", "plan", "--days", "100"]);
    assert!(drawn.is_ascii(), "{drawn}");
    assert!(drawn.contains("####") && drawn.contains("proof: ") && drawn.contains("none fails"), "{drawn}");
}

#[test]
fn threat_15_what_an_operator_does_to_keys_says_what_breaks_and_what_stays_accepted() {
    let served = Served::start();
    let bot = served.furnish();
    let kid_of = |token: &str| {
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let signs = || kid_of(&served.succeeds(Some(&bot), &["token"]));
    let json = |text: String| -> Value { serde_json::from_str(&text).unwrap() };

    // The first standby was made with the issuer: no verifier lacks it.
    let first = signs();
    let rotated = json(served.admin(&["keys", "rotate", "--json"]));
    assert_eq!((rotated["done"].as_bool(), &rotated["outage"]), (Some(true), &Value::Null), "{rotated}");
    assert_eq!(rotated["accepted"][0]["kid"], first.as_str(), "{rotated}");
    assert!(rotated["accepted"][0]["published_until"].is_string(), "{rotated}");
    let second = signs();
    assert_eq!(rotated["signing_kid"], second.as_str());
    assert_ne!(first, second);
    // The next one is young.
    let key = Some(served.admin_key.as_str());
    let refused = served.brevet(key, &["keys", "rotate"]);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(
        refused.stderr.contains("(standby_too_young)") || refused.stderr.contains("there is no standby yet"),
        "{refused:#?}"
    );

    let unasked = served.brevet(key, &["keys", "distrust", &second]);
    assert_eq!(unasked.code(), Some(2), "{unasked:#?}");
    for words in ["for ever", "outage:", "those that honour max-age until", "nothing was done"] {
        assert!(unasked.stderr.contains(words), "{words}: {unasked:#?}");
    }
    assert_eq!(signs(), second, "nothing was done");
    let distrusted = json(served.admin(&["keys", "distrust", &second, "--yes", "--json"]));
    assert!(distrusted["outage"]["until"].is_string(), "{distrusted}");
    let third = signs();
    assert!(![first.as_str(), second.as_str()].contains(&third.as_str()));
    let role = &distrusted["aftermath"]["roles"][0];
    assert_eq!((&role["role_arn"], &role["teams"][0]), (&ROLE.into(), &"red".into()), "{distrusted}");
    let until = &distrusted["aftermath"]["tokens_until"];
    let deny = &role["deny_policy"]["Statement"][0];
    assert_eq!(deny["Effect"], "Deny");
    let denied_before = deny["Condition"]["DateLessThan"]["aws:TokenIssueTime"].as_str().unwrap();
    assert!(denied_before[..19] >= until.as_str().unwrap()[..19], "{denied_before} {until}");
    for (command, words) in [
        ("deny_command", "put-role-policy --role-name 'brevet-red'"),
        ("undo_command", "delete-role-policy --role-name 'brevet-red'"),
        ("cloudtrail_command", "lookup-events --region eu-central-1"),
        ("athena_query", "FROM cloudtrail_logs"),
    ] {
        assert!(role[command].as_str().unwrap().contains(words), "{role}");
    }
    let listed = json(served.admin(&["keys", "list", "--json"]));
    let state = |kid: &str| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|key| key["kid"] == kid).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state(&first), state(&second), state(&third)), ("retired".into(), "revoked".into(), "active".into()));

    let all = served.admin(&["keys", "replace-all", "--alg", "ES256", "--yes"]);
    for words in ["outage:", "still:", ROLE, "# ends every session opened before"] {
        assert!(all.contains(words), "{words}: {all}");
    }
    let header = served.succeeds(Some(&bot), &["token"]);
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "ES256");
    let prepared = json(served.admin(&["keys", "prepare", "--alg", "RS256", "--bits", "3072", "--json"]));
    let standbys = prepared["keys"].as_array().unwrap().iter().filter(|key| key["state"] == "next");
    assert_eq!(standbys.map(|key| key["bits"].as_u64().unwrap()).collect::<Vec<_>>(), [3072]);
    let number = json(served.admin(&["keys", "schedule", "--rotation-period", "336h", "--json"]));
    assert_eq!(number["rotation_period_seconds"], 336 * 3600);

    // What a CDN gets is what is served, and twice is once.
    let folder = served.home.path().join("cdn");
    fs::create_dir(&folder).unwrap();
    let export = || json(served.admin(&["keys", "export-jwks", "cdn", "--json"]));
    assert_eq!(export()["files"].as_array().unwrap().iter().filter(|file| file["changed"] == true).count(), 3);
    let again = export();
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["changed"] == false), "{again}");
    let jwks: Value = serde_json::from_slice(&fs::read(folder.join(".well-known/jwks.json")).unwrap()).unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "{jwks}");
    assert!(!jwks.to_string().contains(&second) && !jwks.to_string().contains(&first));
    let discovery = fs::read(folder.join(".well-known/openid-configuration")).unwrap();
    let discovery: Value = serde_json::from_slice(&discovery).unwrap();
    assert_eq!(discovery["jwks_uri"], format!("{}/.well-known/jwks.json", served.url));
}

#[test]
fn threat_15_keys_whose_key_encryption_key_is_lost_are_replaced_when_that_is_agreed_to() {
    let mut served = Served::start();
    let bot = served.furnish();
    let before = served.succeeds(Some(&bot), &["token"]);
    served.stop();
    fs::remove_file(served.home.path().join("keys/kek")).unwrap();
    let in_home = |arguments: &[&str]| process::run(served.home.brevet(arguments.iter().copied()));
    let missing = in_home(&["keys", "reseal", "--replace-lost", "--yes"]);
    assert_eq!(missing.code(), Some(2), "there is no key to seal with: {missing:#?}");
    ok(in_home(&["keys", "init-kek"]));
    let unasked = in_home(&["keys", "reseal", "--replace-lost"]);
    assert_eq!(unasked.code(), Some(2), "{unasked:#?}");
    assert!(unasked.stderr.contains("retires the signing keys") && unasked.stderr.contains("nothing was done"));
    let done = ok(in_home(&["keys", "reseal", "--replace-lost", "--yes"]));
    assert!(done.stderr.contains("tokens of the old keys stay good"), "{done:#?}");
    served.serve();
    let after = served.succeeds(Some(&bot), &["token"]);
    assert_ne!(before.split('.').next(), after.split('.').next(), "another key signs");
    let listed: Value = serde_json::from_str(&served.admin(&["keys", "list", "--json"])).unwrap();
    let states: Vec<_> = listed["items"].as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["active", "next", "retired", "gone"], "{listed}");
}

/// The numbers hang together, so a change is meant beside those that were read, and for no others.
#[test]
fn the_schedule_is_changed_only_as_it_was_read() {
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::IntoResponse as _;
    use std::sync::{Arc, Mutex};

    let numbers = serde_json::json!({
        "max_age_seconds": 3600, "export_lag_seconds": 0, "clock_error_seconds": 5, "oldest_snapshot_seconds": 60,
        "publish_before_sign_seconds": 86400, "keep_after_sign_seconds": 10800, "rotation_period_seconds": 2_592_000,
    });
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let read = async move || ([("etag", "\"41\"")], axum::Json(numbers));
    // Somebody else was faster.
    let change = async |State(asked): State<Arc<Mutex<Vec<String>>>>, headers: HeaderMap| {
        let named = headers.get_all("if-match").iter().map(|value| value.to_str().unwrap().to_owned());
        asked.lock().unwrap().extend(named);
        let problem = serde_json::json!({
            "type": "urn:brevet:problem:version_mismatch", "title": "t", "status": 412, "detail": "it was changed",
            "request_id": "r",
        });
        (StatusCode::PRECONDITION_FAILED, axum::Json(problem)).into_response()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let route = axum::routing::get(read).patch(change);
    let router = axum::Router::new().route("/v1/signing-keys/schedule", route).with_state(Arc::clone(&asked));
    runtime.spawn(async move { axum::serve(listener, router).await });
    let home = Home::new();
    let run = |arguments: &[&str]| {
        let mut command = home.brevet(["keys", "schedule"].into_iter().chain(arguments.iter().copied()));
        command.env("BREVET_ISSUER", &url).env("BREVET_TOKEN", "bvt_ad_x");
        process::run(command)
    };
    let shown = run(&["--json"]);
    assert_eq!((shown.code(), asked.lock().unwrap().len()), (Some(0), 0), "{shown:#?}");
    let refused = run(&["--rotation-period", "336h"]);
    assert_eq!(refused.code(), Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("it was changed"), "{refused:#?}");
    assert_eq!(*asked.lock().unwrap(), ["\"41\""], "the version that was read");
}
