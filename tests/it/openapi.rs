//! The OpenAPI document: it is what is committed, it is whole, and the error catalogue agrees with the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brevet::http::admin;
use brevet::http::error::Code;
use serde_json::Value;

use crate::support::house::{House, Listener, request};
use crate::support::variable;

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn in_docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

fn document() -> Value {
    serde_json::to_value(admin::document()).unwrap()
}

/// Every operation: path, method, and what is said of it.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operations.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
    }
    operations
}

/// `BREVET_TEST_UPDATE=1 cargo test --test it openapi` writes the file anew.
#[tokio::test]
async fn the_committed_document_is_what_is_served() {
    let house = House::new().await;
    let served = house.send(Listener::Admin, request("", "GET", "/openapi.json", None, &[])).await;
    assert_eq!(served.status, 200);
    let text = serde_json::to_string_pretty(&served.json()).unwrap() + "\n";
    if variable("BREVET_TEST_UPDATE").is_some() {
        std::fs::write(in_docs("openapi.json"), &text).unwrap();
    }
    let committed = std::fs::read_to_string(in_docs("openapi.json")).unwrap_or_default();
    assert!(committed == text, "docs/openapi.json is old: BREVET_TEST_UPDATE=1 cargo test --test it openapi");
}

#[test]
fn every_operation_says_who_may_what_it_answers_and_how_it_fails() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    let operations = operations();
    assert!(operations.len() > 50, "only {} operations", operations.len());
    for (path, method, operation) in operations {
        let place = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{place}: operationId twice");
        assert!(operation["summary"].is_string(), "{place}: no summary");
        assert!(operation["tags"].is_array(), "{place}: no tag");
        let open = path.contains("/.well-known/")
            || [
                "GET /openapi.json",
                "POST /v1/sessions",
                "POST /oauth2/device_authorization",
                "POST /oauth2/backchannel_logout",
            ]
            .contains(&place.as_str());
        let oauth = path.starts_with("/oauth2/");
        let security = operation["security"].as_array().cloned().unwrap_or_default();
        let named: Vec<_> = security.iter().filter_map(Value::as_object).flat_map(|one| one.keys()).collect();
        assert_eq!(named.is_empty(), open, "{place}: security {named:?}");
        assert!(named.iter().all(|name| schemes.contains_key(*name)), "{place}: unknown scheme {named:?}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(!answers.contains_key("default"), "{place}: an answer by default says nothing");
        assert!(answers.keys().any(|status| status.starts_with('2')), "{place}: no success");
        if path.starts_with("/v1/") {
            for status in ["500", "503"] {
                assert!(answers.contains_key(status), "{place}: no {status}");
            }
            for status in ["401", "403"] {
                assert!(open || answers.contains_key(status), "{place}: no {status}");
            }
        }
        for (status, answer) in answers {
            assert!(answer["description"].as_str().is_some_and(|words| !words.is_empty()), "{place} {status}");
            if status.starts_with(['4', '5']) {
                let (media, name) =
                    if oauth { ("application/json", "OAuthProblem") } else { ("application/problem+json", "Problem") };
                let schema = &answer["content"][media]["schema"]["$ref"];
                assert_eq!(*schema, format!("#/components/schemas/{name}"), "{place} {status}");
            }
        }
        for segment in path.split('/').filter(|segment| segment.starts_with('{')) {
            let name = segment.trim_matches(['{', '}']);
            let parameters = operation["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|one| one["name"] == name && one["in"] == "path"), "{place}: {name}");
        }
    }
}

/// Every schema that is referred to is there.
#[test]
fn no_reference_leads_nowhere() {
    let document = document();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

/// `docs/errors.md` has one row for each code, with its status and title, and no other.
#[test]
fn the_catalogue_of_errors_and_the_code_agree() {
    let text = std::fs::read_to_string(in_docs("errors.md")).unwrap();
    let (text, _) = text.split_once("\n# Reasons in the audit log\n").unwrap();
    let rows: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>())
        .collect();
    let said: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let known = Code::ALL.map(|code| (code.as_str().to_owned(), code.status().as_u16().to_string()));
    assert_eq!(said, BTreeSet::from(known));
    for row in rows {
        assert!(row[2].len() > 10 && row[3].len() > 10, "{}: meaning and remedy", row[0]);
    }
}
