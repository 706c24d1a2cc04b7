//! The walk of docs/getting-started.md, run as it stands there: every shell block of its first part, in one shell, in
//! an empty home. That the lines of the other papers name commands and flags that exist is `papers`' part.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::process::{self, Home};
use crate::support::served::free_port;

/// The shell blocks before `end`, in order.
fn blocks(paper: &str, end: &str) -> String {
    let part = paper.split_once(end).expect("the part ends").0;
    let mut script = String::new();
    let mut inside = false;
    for line in part.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[test]
fn the_walk_of_getting_started_can_be_walked() {
    let paper = include_str!("../../docs/getting-started.md");
    let mut script = blocks(paper, "## With a real account");
    assert!(script.lines().count() > 40, "the walk is gone from the paper");
    // The paper has the ports that a reader has; a test takes free ones.
    let [public, worker, stand_in] = [8080, 8090, 4566].map(|port| {
        let address = format!("127.0.0.1:{}", free_port());
        script = script.replace(&format!("127.0.0.1:{port}"), &address);
        address
    });
    script = script.replace("brevet sandbox", &format!("brevet sandbox --listen {stand_in}"));
    let home = Home::new();
    let bin = home.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_brevet"), bin.join("brevet")).expect("a link");
    let whole = format!("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{script}echo walked\n");
    fs::write(home.path().join("walk.sh"), whole).expect("the script is written");
    let mut walk = home.command("sh");
    walk.args(["-eux", "walk.sh"])
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
        .env("BREVET_PUBLIC_LISTEN", public)
        .env("BREVET_WORKER_LISTEN", worker)
        .env("BREVET_OPS_LISTEN", "127.0.0.1:0");
    let ended = process::run(walk);
    assert_eq!(ended.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("walked\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("scoped_principal:red/user:ann"), "{}", ended.stdout);
}
