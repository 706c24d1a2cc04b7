//! The reasons that audit rows and `brevet_refusals_total` may have, and `docs/errors.md`, which explains them.
//!
//! They stand in the code as words, each where it is decided on. So the files that may hold one are listed here, and
//! every word of theirs that could be one is one, but for those that are listed too.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brevet::store::{DeadReason, OpenError};

/// Where reasons stand, and which words of that shape there are none.
const PLACES: [(&str, &[&str]); 12] = [
    ("issuer/sign_in", &["access_denied", "authorization_code", "authorization_request", "brevet_refusals_total"]),
    ("issuer/oauth/refusals.rs", &[]),
    ("issuer/oauth/client.rs", &["client_secret_basic", "client_secret_post", "private_key_jwt"]),
    ("issuer/oauth/assertion.rs", &["private_key_jwt"]),
    ("issuer/refusals.rs", &[]),
    ("issuer/callers.rs", &["brevet_refusals_total"]),
    ("issuer/admin/capability.rs", &[]),
    ("issuer/release.rs", &["brevet_tokens_total"]),
    ("domain/policy.rs", &[]),
    ("crypto/foreign_token.rs", &[]),
    ("crypto/client_assertion.rs", &[]),
    ("store/asker.rs", &["administrator_id", "team_enabled", "user_uid"]),
];
/// Files that pass on a reason which another decides on, and the one that sums up.
const PASS_ON: [&str; 6] = [
    "issuer/oauth/token_exchange.rs",
    "issuer/exchange.rs",
    "issuer/runs.rs",
    "issuer/mint.rs",
    "http/issuer/exchange.rs",
    "store/audit_counted.rs",
];

fn files(below: &Path, into: &mut Vec<PathBuf>) {
    if below.is_file() {
        return into.push(below.to_owned());
    }
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|ext| ext == "rs") {
            files(&path, into);
        }
    }
}

/// What of a file is compiled into the product, without comments.
fn product(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Literals such as `"rate_limited"`: two words at least.
fn literals(text: &str) -> impl Iterator<Item = String> {
    let is_word = |text: &&str| {
        text.contains('_')
            && text.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
    };
    text.split('"').skip(1).step_by(2).filter(is_word).map(str::to_owned)
}

#[test]
fn every_reason_of_the_audit_log_is_explained_and_nothing_else() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut said: BTreeSet<String> = DeadReason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    let opened = [OpenError::UserDead, OpenError::ProviderDead, OpenError::Withdrawn, OpenError::Over];
    said.extend(opened.iter().filter_map(OpenError::reason).map(str::to_owned));
    said.insert("other".to_owned());
    for (place, others) in PLACES {
        let mut here = Vec::new();
        files(&source.join(place), &mut here);
        let words: Vec<_> = here.iter().flat_map(|file| literals(&product(file)).collect::<Vec<_>>()).collect();
        for other in others {
            assert!(words.iter().any(|word| word == other), "{place} has no {other} any more");
        }
        said.extend(words.into_iter().filter(|word| !others.contains(&word.as_str())));
    }

    let text = std::fs::read_to_string(source.with_file_name("docs").join("errors.md")).unwrap();
    let (codes, reasons) = text.split_once("\n# Reasons in the audit log\n").unwrap();
    let rows = |text: &str| {
        let cells = text.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
        let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
        words.collect::<Vec<_>>()
    };
    let (codes, listed) = (rows(codes), rows(reasons));
    let explained: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(explained.len(), listed.len(), "one stands there twice");
    let missing: Vec<_> = said.iter().filter(|word| !explained.contains(*word) && !codes.contains(word)).collect();
    assert!(missing.is_empty(), "docs/errors.md says nothing of {missing:?}");
    let stale: Vec<_> = explained.iter().filter(|word| !said.contains(*word)).collect();
    assert!(stale.is_empty(), "docs/errors.md explains what nothing says: {stale:?}");
}

#[test]
fn no_other_file_decides_on_a_reason() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let tells =
        |text: &str| text.contains(".reason = ") || text.contains("reason: Some(") || text.contains("count_sign_in(");
    for file in all {
        let place = file.strip_prefix(&source).unwrap().to_str().unwrap().to_owned();
        let known = PLACES.iter().any(|(known, _)| place.starts_with(known)) || PASS_ON.contains(&place.as_str());
        assert!(known || !tells(&product(&file)), "{place} tells a reason: list it here");
    }
}
