//! `docs/api.md`: every line is run against the real router, in its order, and every answer is the one written there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde_json::Value;
use time::Duration;

use crate::openapi::operations;
use crate::support::app::ISSUER;
use crate::support::house::{Answer, House, Listener};
use crate::support::variable;

/// One command: where it goes, and what it carries.
struct Command {
    method: String,
    listener: Listener,
    path: String,
    request: Request<Body>,
}

/// Takes a line apart as a shell and curl would; only what the page uses.
fn command(line: &str, variables: &BTreeMap<String, String>) -> Command {
    let mut words = words(line, variables).into_iter();
    assert_eq!(words.next().as_deref(), Some("curl"), "{line}");
    let (mut method, mut headers, mut body, mut form, mut url) = (None, Vec::new(), None, Vec::new(), String::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} without a value in {line}"));
        match word.as_str() {
            "-X" => method = Some(value()),
            "-H" => headers.push(value()),
            "--json" => body = Some(value()),
            "-u" => headers.push(format!("Authorization: Basic {}", STANDARD.encode(value()))),
            "-d" => form.push(value()),
            _ => url = word,
        }
    }
    let is_form = !form.is_empty();
    if is_form {
        body = Some(form.join("&"));
    }
    let (listener, path) = match url.strip_prefix("ADMIN/") {
        Some(path) => (Listener::Admin, path),
        None => (Listener::Public, url.strip_prefix("ISSUER/").unwrap_or_else(|| panic!("{url} in {line}"))),
    };
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let mut request = Request::builder().method(method.as_str()).uri(format!("/brevet/{path}"));
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    if body.is_some() {
        let media_type = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        request = request.header("content-type", media_type);
    }
    let path = format!("/{}", path.split('?').next().unwrap());
    let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
    Command { method, listener, path, request }
}

fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => (quote, any) = (Some(c), true),
            ('\\', None) => word.extend(rest.next()),
            (' ', None) => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            ('$', None | Some('"')) => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_uppercase() || *c == '_') {
                    name.push(c);
                }
                word += variables.get(&name).unwrap_or_else(|| panic!("${name} in {line}"));
            }
            (c, _) => word.push(c),
        }
    }
    words.push(word);
    words
}

/// The answer as the page shows it: secrets, signatures and long values cut.
fn shown(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in ["location", "etag"] {
        if !answer.header(name).is_empty() {
            writeln!(text, "{name}: {}", answer.header(name)).unwrap();
        }
    }
    if answer.header("content-type") == "application/x-ndjson" {
        for line in answer.text.lines() {
            let mut row: Value = serde_json::from_str(line).unwrap();
            cut(&mut row);
            write!(text, "\n{row}").unwrap();
        }
        text += "\n";
    } else if !answer.text.is_empty() {
        let mut body = answer.json();
        cut(&mut body);
        write!(text, "\n{}\n", serde_json::to_string_pretty(&body).unwrap()).unwrap();
    }
    text
}

fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("bvt_") => *text = format!("{}…", &text[..10]),
        Value::String(text) if text.starts_with("eyJ") => "eyJ…".clone_into(text),
        Value::String(text) if text.len() > 200 => *text = format!("{}…", &text[..20]),
        Value::Object(members) if members.contains_key("openapi") => {
            members.retain(|name, _| name == "openapi" || name == "info");
        }
        Value::Object(members) => members.values_mut().for_each(cut),
        Value::Array(items) => items.iter_mut().for_each(cut),
        _ => {}
    }
}

/// The keys of a private issuer are new at every run.
fn blur(answer: &mut Answer) {
    let mut body = answer.json();
    for key in body["keys"].as_array_mut().unwrap() {
        (key["kid"], key["n"]) = ("…".into(), "…".into());
    }
    answer.text = body.to_string();
    answer.headers.remove("etag");
}

/// `BREVET_TEST_UPDATE=1 cargo test --test it api_docs` writes the answers anew.
#[tokio::test]
async fn every_line_of_the_page_answers_as_it_says() {
    let house = House::new().await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut variables: BTreeMap<_, _> = [("ADMIN", "ADMIN"), ("ISSUER", "ISSUER"), ("ADMIN_KEY", house.first.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let (mut written, mut rest, mut asked) = (String::new(), page.as_str(), Vec::new());
    while let Some(at) = rest.find("```sh\n") {
        let (before, block) = rest.split_at(at);
        let (line, after) = block["```sh\n".len()..].split_once("\n```\n\n```http\n").expect("an answer follows");
        let (_, after) = after.split_once("```").expect("the answer ends");
        let command = command(line, &variables);
        let own_keys = command.path.starts_with("/t/") && command.path.ends_with("/jwks.json");
        asked.push((command.method, command.path));
        let mut answer = house.send(command.listener, command.request).await;
        if own_keys {
            blur(&mut answer);
        }
        assert!(answer.status.is_success(), "{line}: {}", answer.short());
        if let Some(names) = before.lines().last().and_then(|line| line.strip_prefix("<!-- ")?.strip_suffix(" -->")) {
            for (name, pointer) in names.split(' ').map(|pair| pair.split_once('=').unwrap()) {
                let value =
                    answer.json().pointer(&pointer.replace('.', "/")).and_then(|v| Some(v.as_str()?.to_owned()));
                variables.insert(name.to_owned(), value.unwrap_or_else(|| panic!("{pointer} in {}", answer.text)));
            }
        }
        write!(written, "{before}```sh\n{line}\n```\n\n```http\n{}```", shown(&answer)).unwrap();
        house.clock.advance(Duration::SECOND);
        rest = after;
    }
    written += rest;
    if variable("BREVET_TEST_UPDATE").is_some() {
        std::fs::write(&file, &written).unwrap();
    } else {
        assert!(written == page, "docs/api.md is old: BREVET_TEST_UPDATE=1 cargo test --test it api_docs");
    }
    for secret in variables.values().filter(|value| value.starts_with("bvt_")) {
        assert!(!written.contains(&secret[12..40]), "a secret is on the page");
    }
    // Every operation stands on the page.
    let documented: BTreeSet<_> = operations().into_iter().map(|(path, method, _)| (method, path)).collect();
    // But those that no reader can send: a logout token is signed by a provider (docs/sign-in-providers.md).
    let theirs = |(method, path): &(String, String)| method == "POST" && path == "/oauth2/backchannel_logout";
    for (method, path) in documented.into_iter().filter(|operation| !theirs(operation)) {
        let fits = |asked: &(String, String)| asked.0 == method && same_shape(&asked.1, &path);
        assert!(asked.iter().any(fits), "{method} {path} is not in docs/api.md");
    }
    assert!(ISSUER.ends_with("/brevet"), "the path every line is sent to");
}

fn same_shape(path: &str, pattern: &str) -> bool {
    let (path, pattern): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
    path.len() == pattern.len() && path.iter().zip(&pattern).all(|(one, other)| other.starts_with('{') || one == other)
}
