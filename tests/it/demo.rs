//! `brevet demo` as a newcomer runs it. That it can fail is shown by a unit test beside it.

use std::fs;

use crate::support::clients;
use crate::support::process::{self, Home, Stream};

#[test]
fn the_demo_holds_and_leaves_nothing_behind() {
    let home = Home::new();
    let mut command = home.brevet(["demo"]);
    command.env("TMPDIR", home.path());
    let ended = process::run(command);
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    for line in [
        "scoped_principal:acme/user:ann",
        "scoped_principal:acme/service_account:builder",
        "assumed-role/brevet-acme/u.ann",
        "pieces in",
        "foreign team",
        "(sts_access_denied)",
        "tampered token",
        "(sts_token_invalid)",
        "unnamed role",
        "(sts_role_not_in_roles_claim)",
        "4 tokens, 4 rows",
        "Everything held,",
    ] {
        assert!(ended.stdout.contains(line), "no {line:?} in:\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("bvt_") && !ended.stdout.contains("eyJ"), "a credential is shown");
    assert!(!ended.stdout.contains('\u{1b}'), "colour without a terminal");
    assert_eq!(ended.stderr, "");
    assert_eq!(fs::read_dir(home.path()).expect("the home").count(), 0, "something is left behind");
}

#[test]
fn a_kept_demo_runs_until_it_is_asked_to_stop() {
    let home = Home::new();
    let mut command = home.brevet(["demo", "--keep"]);
    command.env("TMPDIR", home.path());
    let running = process::start(command);
    running.wait_for("everything runs until Ctrl-C");
    running.terminate();
    assert_eq!(running.finish().code(), Some(0));
    assert_eq!(fs::read_dir(home.path()).expect("the home").count(), 0);
}

/// The printed calls: what each is for, and its lines.
fn calls(printed: &str) -> Vec<(String, String)> {
    let blocks = printed.split("\n\n").filter_map(|block| block.trim_start_matches('\n').strip_prefix("# "));
    blocks
        .filter_map(|block| block.split_once('\n'))
        .map(|(words, lines)| (words.to_owned(), lines.to_owned()))
        .collect()
}

#[test]
fn the_printed_calls_do_what_they_say_while_the_demo_is_kept() {
    let home = Home::new();
    // A space in the path of the key: the lines must be quoted to be copied.
    let folder = home.path().join("my files");
    fs::create_dir(&folder).expect("a folder");
    let mut command = home.brevet(["demo", "--keep"]);
    command.env("TMPDIR", &folder);
    let running = process::start(command);
    running.wait_for("everything runs until Ctrl-C");
    let calls = calls(&running.said(Stream::Out));
    let builder = "scoped_principal:acme/service_account:builder";
    let expected = [
        ("mint a token for AWS STS, and one for the worker; each lives 5 minutes", ""),
        ("the same as a person, whose session refreshes itself for 12 hours", "scoped_principal:acme/user:ann"),
        ("mint without brevet", builder),
        ("exchange it for a session", builder),
        ("ask a model through the worker", "assumed-role/brevet-acme/s.builder"),
        ("the same with the AWS CLI, the token in the place of a session's", "assumed-role/brevet-acme/s.builder"),
    ];
    assert_eq!(calls.iter().map(|(words, _)| words.as_str()).collect::<Vec<_>>(), expected.map(|(words, _)| words));
    // As they are an hour later: what a person holds has run out, and is refreshed by the call.
    let folder = fs::read_dir(&folder).expect("the folder").next().expect("the demo's").expect("an entry").path();
    let sessions =
        fs::read_dir(folder.join("ann/brevet")).expect("ann's sessions").map(|entry| entry.expect("one").path());
    let mut spent = 0;
    for file in sessions.filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let text = fs::read_to_string(&file).expect("a session");
        let mut session: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        session["expires_at"] = "2020-01-01T00:00:00Z".into();
        fs::write(&file, session.to_string()).expect("written");
        spent += 1;
    }
    assert_eq!(spent, 1);
    let tokens = &calls[0].1;
    for ((words, lines), (_, said)) in calls.iter().zip(expected) {
        let script = format!("set -eu\n{tokens}\n{lines}\n");
        let ended = if lines.contains("aws ") {
            let Some(shell) = clients::aws_shell() else { continue };
            shell.args(["-c", &script]).run()
        } else {
            let mut shell = home.command("/bin/sh");
            shell.args(["-c", &script]);
            process::run(shell)
        };
        assert_eq!(ended.code(), Some(0), "{words}: {ended:#?}");
        assert!(ended.stdout.contains(said), "{words}: no {said:?} in {ended:#?}");
    }
}
