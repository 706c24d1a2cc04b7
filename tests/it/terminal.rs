//! What a person's terminal does with a session over its life, with the real binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process;
use crate::support::served::Served;

/// A served issuer with Ann of team red signed in.
fn signed_in() -> Served {
    let served = Served::start();
    served.furnish();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    served.succeeds(None, &["login", "--code", &code, "--device", "test"]);
    served
}

fn saved(served: &Served) -> Value {
    serde_json::from_str(&fs::read_to_string(served.session_file()).unwrap()).unwrap()
}

/// Lets the access token have run out, as the terminal sees it.
fn spend(served: &Served) {
    let mut session = saved(served);
    session["expires_at"] = "2020-01-01T00:00:00Z".into();
    fs::write(served.session_file(), session.to_string()).unwrap();
}

fn refreshes(served: &Served) -> usize {
    let rows = served.admin(&["admin", "audit", "--action", "session.refresh", "--json"]);
    serde_json::from_str::<Value>(&rows).unwrap()["items"].as_array().unwrap().len()
}

#[test]
fn threat_32_two_hundred_parallel_commands_refresh_once() {
    let mut served = signed_in();
    // Those of a wave mint in the same moment, all on the same two cores: none is told to come back.
    served.variables.push(("BREVET_LIMIT_IN_FLIGHT", "4096/4096".to_owned()));
    served.stop();
    served.serve();
    let mut tokens = std::collections::BTreeSet::new();
    // In waves, each of which finds the session spent: a command waits ten seconds for an answer and thirty for the
    // lock, which is little where two hundred of them start at once.
    for wave in 1..=8 {
        spend(&served);
        let children: Vec<_> = (0..25)
            .map(|_| {
                let mut command = served.home.brevet(["token"]);
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            tokens.insert(String::from_utf8(ended.stdout).unwrap());
        }
        assert_eq!(refreshes(&served), wave);
    }
    assert_eq!(tokens.len(), 200, "each has a token of its own");
    served.succeeds(None, &["token"]);
    assert_eq!(refreshes(&served), 8, "what the one got serves those after it");
}

#[test]
fn threat_32_a_holder_of_the_lock_who_is_killed_blocks_nobody() {
    let served = signed_in();
    spend(&served);
    let lock = served.session_file().with_extension("lock");
    let mut holder = Command::new("flock").arg(&lock).args(["sleep", "600"]).spawn().unwrap();
    // The lock is the kernel's: whoever asks without waiting is refused for as long as it is held.
    let is_held = || !Command::new("flock").arg("--nonblock").arg(&lock).arg("true").status().unwrap().success();
    while !is_held() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let waiting = process::start(served.home.brevet(["token"]));
    // `flock` runs its command as a child, which has the lock too.
    let kill = || Command::new("pkill").args(["-KILL", "-P", &holder.id().to_string()]).status().unwrap().success();
    while !kill() {
        // It takes the lock before it starts the child.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let ended = waiting.finish();
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    assert_eq!(ended.stdout.trim().split('.').count(), 3);
}

#[test]
fn a_refresh_whose_answer_was_lost_is_made_up_for() {
    let served = signed_in();
    spend(&served);
    let before = fs::read_to_string(served.session_file()).unwrap();
    served.succeeds(None, &["token"]);
    // As if the command had been killed between the answer and the file: the old refresh token is all there is.
    fs::write(served.session_file(), before).unwrap();
    served.succeeds(None, &["token"]);
    assert_eq!(refreshes(&served), 2);
}

#[test]
fn threat_23_a_session_that_an_administrator_ended_is_over_in_plain_words() {
    let served = signed_in();
    served.admin(&["admin", "sessions", "end", "ann"]);
    spend(&served);
    let refused = served.brevet(None, &["token"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("was ended"), "{}", refused.stderr);
    assert!(refused.stderr.contains("sign in again with `brevet login`"), "{}", refused.stderr);
    let again = served.brevet(None, &["token"]);
    assert!(again.stderr.contains("not signed in"), "a dead refresh token is not shown twice: {}", again.stderr);
}

#[test]
fn a_token_goes_into_a_private_file_and_into_googles_form() {
    let served = signed_in();
    let file = served.home.path().join("aws.jwt");
    let path = file.to_str().unwrap();
    let watching = process::start(served.home.brevet(["token", "--output-file", path, "--watch"]));
    watching.wait_for("good until");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap().split('.').count(), 3);
    watching.terminate();
    let ended = watching.finish();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(0), ""), "{ended:#?}");
    assert!(file.exists(), "the last token stays");

    let answer = served.succeeds(None, &["token", "--format", "gcp-executable"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["version"], &answer["success"]), (&1.into(), &true.into()));
    assert_eq!(answer["token_type"], "urn:ietf:params:oauth:token-type:jwt");
    assert!(answer["expiration_time"].is_i64() && answer["id_token"].as_str().unwrap().starts_with("eyJ"));
    let refused = served.brevet(None, &["token", "--format", "gcp-executable", "--team", "other"]);
    assert_eq!(refused.code(), Some(1));
    let answer: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((&answer["success"], &answer["code"]), (&false.into(), &"1".into()));
    assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()));
}

#[test]
fn a_runner_without_a_home_works_by_its_token_and_is_told_so() {
    let served = signed_in();
    let bearer = saved(&served)["access_token"].as_str().unwrap().to_owned();
    let without_home = |token: Option<&str>| {
        let mut command = served.home.brevet(["token", "--issuer", &served.url]);
        command.env_remove("HOME");
        if let Some(token) = token {
            command.env("BREVET_TOKEN", token);
        }
        process::run(command)
    };
    let ended = without_home(Some(&bearer));
    assert_eq!(ended.code(), Some(0), "{ended:#?}");
    let refused = without_home(None);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("or set BREVET_TOKEN"), "{}", refused.stderr);
    let mut command = served.home.brevet(["login", "--issuer", &served.url, "--device-code"]);
    command.env_remove("HOME");
    let refused = process::run(command);
    assert_eq!(refused.code(), Some(2));
    assert!(refused.stderr.contains("there is no home to keep a session in"), "{}", refused.stderr);
}

/// Answers every request alike, with a body of `kind`.
fn answering(kind: &'static str, body: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
            let _ = write!(stream, "{head}connection: close\r\n\r\n{body}");
        }
    });
    url
}

#[test]
fn threat_6_whatever_is_no_issuer_is_told_before_anything_is_sent_to_it() {
    let served = signed_in();
    let code = served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    let html = answering("text/html", "<html>a captive portal</html>");
    let other = answering("application/json", r#"{"issuer":"https://id.example","jwks_uri":"https://id.example/j"}"#);
    let below = format!("{}/wrong", served.url);
    for (issuer, words) in [
        (&html, "is no issuer of Brevet's: what is there is no discovery document (status 200 OK)"),
        (&other, "is no issuer of Brevet's: what answers there says that it is https://id.example"),
        (&below, "is no issuer of Brevet's: there is no discovery document (status 404)"),
    ] {
        for way in [&["--browser"][..], &["--device-code"], &["--code", &code]] {
            let mut command = served.home.brevet(["login", "--issuer", issuer]);
            command.args(way).env("BROWSER", "/nowhere/browser");
            let refused = process::run(command);
            assert_eq!(refused.code(), Some(1), "{refused:#?}");
            assert!(refused.stderr.starts_with(&format!("brevet: {issuer} {words}")), "{refused:#?}");
            assert!(refused.stderr.ends_with("check --issuer (BREVET_ISSUER)\n"), "{refused:#?}");
        }
    }
    // The code went nowhere: it is still good.
    served.succeeds(None, &["login", "--code", &code]);
}

#[test]
fn where_nobody_answers_the_words_say_what_to_look_at() {
    let served = signed_in();
    for (issuer, words) in [
        ("https://no-such-host.invalid", "the host's name could not be resolved\n  check the name"),
        ("http://127.0.0.1:1", "the host could not be connected to\n  check the network, and the proxy"),
    ] {
        let mut command = served.home.brevet(["login", "--issuer", issuer, "--device-code"]);
        // A resolver that answers nothing says so before a connection has had its time.
        command.env("RES_OPTIONS", "timeout:1 attempts:1");
        let refused = process::run(command);
        assert_eq!(refused.code(), Some(3), "{refused:#?}");
        assert!(refused.stderr.starts_with(&format!("brevet: {issuer} cannot be reached: {words}")), "{refused:#?}");
    }
}

#[test]
fn a_session_whose_time_is_over_and_a_wrong_team_are_told_with_what_to_do() {
    let served = signed_in();
    let refused = served.brevet(None, &["token", "--team", "blue"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.stderr.contains("(team_not_found)\n  `brevet whoami` lists the teams you are in"), "{refused:#?}");
    let refused = served.brevet(None, &["token", "--audience", "https://elsewhere.example"]);
    assert!(refused.stderr.contains("`brevet whoami` lists the audiences of each team"), "{refused:#?}");
    let mut session = saved(&served);
    session["session_expires_at"] = "2020-01-01T00:00:00Z".into();
    fs::write(served.session_file(), session.to_string()).unwrap();
    let refused = served.brevet(None, &["token"]);
    assert_eq!(refused.code(), Some(1));
    let words = "ended at 2020-01-01T00:00:00Z: sign in again with `brevet login`\n";
    assert!(refused.stderr.ends_with(words), "our clock is right: {refused:#?}");
}
