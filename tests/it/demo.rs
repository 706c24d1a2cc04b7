//! `brevet demo` as a newcomer runs it. That it can fail is shown by a unit test beside it.

use std::fs;

use crate::support::process::{self, Home};

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
