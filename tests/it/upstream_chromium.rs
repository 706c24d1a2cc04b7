//! Signing in at providers that nobody here wrote (node's oidc-provider), by way of a real browser.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::support::clients;
use crate::support::process::{Home, Running};
use crate::support::served::{Served, free_port};

/// It is a long walk on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);
const SECRET: &str = "a:secret/with%signs";

/// A company's provider, known to the issuer. It ends when the value is dropped.
struct Company {
    url: String,
    _running: Running,
    _home: Home,
}

impl Company {
    fn start(served: &Served, uid: &str, name: &str, more: &[&str]) -> Option<Self> {
        let port = free_port().to_string();
        let url = format!("http://127.0.0.1:{port}");
        let redirect = format!("{}/oauth2/callback/{uid}", served.url);
        let logout = format!("{}/oauth2/backchannel_logout", served.url);
        let flags = ["--port", &port, "--client-id", "brevet", "--secret", SECRET, "--redirect", &redirect];
        let client =
            clients::node("upstream_provider.mjs")?.args(flags).args(["--logout", &logout]).args(more.iter().copied());
        let (running, home) = client.start();
        running.wait_for("\"ok\":true");
        let known = ["--uid", uid, "--name", name, "--from", &url, "--client-id", "brevet", "--client-secret", SECRET];
        let tied = ["--email-domain", "acme.example"];
        served.admin(&[&["admin", "upstream-providers", "create"][..], &known, &tied].concat());
        Some(Self { url, _running: running, _home: home })
    }
}

#[test]
fn threat_38_people_of_a_company_come_in_at_its_provider_and_nobody_else_does() {
    let Some((client, chromium)) = clients::chromium("upstream_chromium.mjs") else { return };
    let served = Served::start();
    served.furnish();
    let Some(acme) = Company::start(&served, "acme", "Acme", &[]) else { return };
    let Some(globex) = Company::start(&served, "globex", "Globex", &[]) else { return };
    let Some(initech) = Company::start(&served, "initech", "Initech", &["--late"]) else { return };
    let accepted = ["--upstream-providers", "acme,globex,initech", "--join", "acme:domain=acme.example"];
    served.admin(&[&["admin", "policy", "set", "--team", "red"][..], &accepted].concat());
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    let mut flags =
        vec!["--issuer", &served.url, "--chromium", &chromium, "--acme", &acme.url, "--globex", &globex.url];
    flags.extend(["--initech", &initech.url, "--screenshots", screenshots.to_str().expect("a path")]);
    let answer = client.args(flags).run_within(PATIENCE).json();
    assert_eq!(answer["ok"], true, "{answer:#}");
    assert_eq!(answer["findings"], json!([]), "{:#}", answer["findings"]);

    // Somebody whom nobody here had heard of is taken in by the team, under a uid of ours.
    let people = &answer["people"];
    let question = people["question"].as_str().unwrap_or_default();
    assert!(question.contains("Person ada") && question.contains("by Acme"), "{question}");
    let user = people["tokens"]["user_uid"].as_str().unwrap_or_else(|| panic!("{people:#}"));
    assert_eq!(people["again"]["user_uid"], user, "the second device is the same person's");
    assert!(served.admin(&["admin", "members", "list", "--team", "red"]).contains(user));
    // That way never left for the provider, so nothing that comes from there is its answer.
    assert_eq!(people["replayed"], "This sign-in is over");
    // Signed out at the provider: neither session is refreshed, and none of its tokens is worth anything.
    assert_eq!(people["refreshed"], json!(["invalid_grant", "invalid_grant"]), "{people:#}");
    for tokens in [&people["tokens"], &people["again"]] {
        let access = tokens["access_token"].as_str().expect("a token");
        assert_eq!(served.brevet(Some(access), &["token"]).code(), Some(1));
    }

    let denied = &answer["denied"];
    assert!(denied["told"].as_str().is_some_and(|told| told.contains("You are not signed in")), "{denied:#}");
    assert_eq!((&denied["after"], &denied["device"]), (&json!("Sign in"), &json!("authorization_pending")));
    assert_eq!(denied["wrong"], json!(vec!["You are not signed in"; 4]));
    let stranger = answer["stranger"].as_str().unwrap_or_default();
    assert!(stranger.contains("Nobody has let you in here yet"), "{stranger}");

    // A code that was over when the browser brought it lets nobody in, and the same browser goes on another way.
    let late = &answer["late"];
    assert_eq!((&late["status"], &late["title"]), (&json!(403), &json!("You are not signed in")), "{late:#}");
    assert!(late["told"].as_str().is_some_and(|told| told.contains("has expired or was used before")), "{late:#}");
    assert_eq!((&late["after"], &late["tokens"]["user_uid"]), (&json!("Sign in"), &json!(user)), "{late:#}");
}
