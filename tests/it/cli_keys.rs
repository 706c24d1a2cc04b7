//! `brevet keys …` as an operator runs it: the real binary, the store it opens itself or a serving issuer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::process::{self, Ended, Home};
use crate::support::served::{Served, free_port};

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
    assert_eq!(done.json()["resealed"], 2, "{done:#?}");
    assert!(done.stderr.contains("2 of 2") && done.stderr.contains("move keys/kek.previous"), "{done:#?}");
    assert_eq!(ok(in_home(&["keys", "reseal", "--json"])).json()["already"], 2);
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
