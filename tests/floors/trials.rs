//! Each rule broken once on a tree of a few lines, and what looks like a breach but is none.

use super::house::{FENCES, ROOMS};
use super::rules::{self, told};
use super::source::Tree;

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::of(files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())))
}

/// Edges of one file in a house where every room exists.
fn edges(path: &str, text: &str) -> Vec<String> {
    let rooms = ROOMS.iter().map(|room| (format!("src/{}/mod.rs", room.name), String::new()));
    let more = [("src/domain/id.rs", "pub struct Id;"), ("src/crypto/verify.rs", ""), ("src/crypto/signer.rs", "")];
    let more = more.map(|(path, text)| (path.to_owned(), text.to_owned()));
    let own = (path.to_owned(), text.to_owned());
    let all: std::collections::BTreeMap<_, _> = rooms.chain(more).chain([own]).collect();
    told(rules::edges(&Tree::of(all)))
}

#[track_caller]
fn breaks(faults: &[String], wanted: &str) {
    assert!(faults.len() == 1 && faults[0].contains(wanted), "wanted one fault with {wanted:?}, got {faults:#?}");
}

#[track_caller]
fn holds(faults: &[String]) {
    assert!(faults.is_empty(), "wanted none, got {faults:#?}");
}

#[test]
fn an_upward_use_is_told_with_file_line_and_rule() {
    let faults = edges("src/domain/team.rs", "\nuse crate::store::Store;\n");
    assert_eq!(
        faults,
        ["src/domain/team.rs:2: domain::team -> store::Store (written `crate::store::Store`): \
          `domain` may see nothing else of this crate"]
    );
}

#[test]
fn every_way_to_write_a_path_is_seen() {
    for text in [
        "use crate::{domain::id::Id, http};",
        "use crate::http as h;",
        "use crate::http::*;",
        "use super::super::http::Router;",
        "fn f(_: crate::http::Router) {}",
        "fn f() -> u8 { crate::http::port() }",
        "impl crate::http::Route for u8 {}",
        "fn f() { println!(\"{}\", crate::http::port()); }",
        "fn f() { let _ = vec![vec![crate::http::port()]]; }",
        "macro_rules! m { () => { $crate::http::port() }; }",
        "macro_rules! m { () => { use crate::{domain::id, http::port}; }; }",
        "#[derive(crate::http::Route)] struct S;",
        "#[cfg_attr(unix, crate::http::route)] fn f() {}",
        "mod inner { use super::super::super::http; }",
        "#[cfg(test)] mod tests { use crate::http; }",
    ] {
        breaks(&edges("src/store/teams.rs", text), "`store` may see only domain");
    }
}

#[test]
fn a_name_imported_upstairs_is_followed_to_where_it_lives() {
    // `issuer` may see `store`, but not reach `config` through it.
    let faults = rules::edges(&tree(&[
        ("src/config/mod.rs", ""),
        ("src/store/mod.rs", "pub use crate::config::Settings;"),
        ("src/issuer/mint.rs", "use crate::store::Settings;"),
    ]));
    let faults = told(faults);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.starts_with("src/issuer/mint.rs:1: issuer::mint -> config::Settings")));
}

#[test]
fn siblings_see_each_other_only_where_the_table_says_so() {
    holds(&edges("src/aws/sts.rs", "use crate::fetch::Client; use crate::domain::id::Id;"));
    holds(&edges("src/client/token.rs", "use crate::{fetch, wire};"));
    holds(&edges("src/oidc/upstream.rs", "use crate::{fetch, crypto};"));
    breaks(&edges("src/store/keys.rs", "use crate::crypto::seal;"), "`store` may see only domain");
    breaks(&edges("src/wire/team.rs", "use crate::fetch;"), "`wire` may see only domain");
    breaks(&edges("src/aws/sts.rs", "use crate::client;"), "`aws` may see only domain, fetch");
}

#[test]
fn floor_two_is_blind_to_itself_and_to_settings() {
    for room in ["issuer", "worker", "sandbox"] {
        for other in ["issuer", "worker", "sandbox", "config", "http", "cli"] {
            if room != other {
                let faults = edges(&format!("src/{room}/x.rs"), &format!("use crate::{other};"));
                breaks(&faults, &format!("`{room}` may see only domain"));
            }
        }
    }
}

#[test]
fn the_worker_sees_the_verifying_half_of_crypto() {
    holds(&edges("src/worker/caller.rs", "use crate::crypto::verify::Verifier;"));
    breaks(&edges("src/worker/caller.rs", "use crate::crypto::signer::Signer;"), "crypto::verify, crypto::jwk");
}

#[test]
fn upper_floors_see_all_below_and_nothing_above() {
    holds(&edges("src/http/state.rs", "use crate::{issuer, worker, store, config, domain};"));
    holds(&edges("src/cli/serve.rs", "use crate::{http, issuer, config};"));
    holds(&edges("src/main.rs", "fn main() { brevet::cli::run(); }"));
    breaks(&edges("src/http/state.rs", "use crate::cli;"), "`http` may see only");
    breaks(&edges("src/main.rs", "fn main() { brevet::http::run(); }"), "`main` may see only cli");
}

#[test]
fn what_is_no_edge_is_not_told() {
    holds(&edges(
        "src/store/teams.rs",
        "// use crate::http;\n/// [`crate::http`]\nuse http::Uri; use super::Store; fn f() { let crate_http = \"crate::http\"; }",
    ));
}

#[test]
fn an_unknown_room_and_items_in_the_root_are_told() {
    breaks(&edges("src/helpers/mod.rs", ""), "`helpers` is no room of the house");
    breaks(&edges("src/http/state.rs", "use crate::VERSION;"), "the crate's root holds rooms");
}

#[test]
fn circles_are_found_between_files_and_between_folders() {
    let files = [
        ("src/store/mod.rs", "pub mod a; pub mod b; pub mod c; pub use c::Row;"),
        ("src/store/a.rs", "use super::b::B;"),
        ("src/store/b.rs", "use crate::store::Row;"),
        ("src/store/c.rs", "fn f() { super::a::go() }"),
    ];
    breaks(
        &told(rules::cycles(&tree(&files))),
        "a circle in store: a -> b (src/store/a.rs:1), b -> c (src/store/b.rs:1), c -> a (src/store/c.rs:1)",
    );
    let folders = [
        ("src/http/admin/teams.rs", "use crate::http::layer::limit::Limit;"),
        ("src/http/layer/limit.rs", ""),
        ("src/http/layer/caller.rs", "use crate::http::admin::users::User;"),
        ("src/http/admin/users.rs", ""),
        ("src/http/admin/mod.rs", ""),
        ("src/http/layer/mod.rs", ""),
    ];
    breaks(&told(rules::cycles(&tree(&folders))), "a circle in http: admin -> layer");
}

#[test]
fn a_parent_and_its_child_make_no_circle_nor_do_tests() {
    let files = [
        ("src/store/mod.rs", "pub mod a; mod b; pub struct Store; use a::A; impl Store { fn a(&self) -> A { a::A } }"),
        ("src/store/a.rs", "use super::Store;"),
        ("src/store/b.rs", "use super::a::A;"),
        ("src/store/a/more.rs", "use super::super::Store; use super::A;"),
    ];
    holds(&told(rules::cycles(&tree(&files))));
    let tests = [
        ("src/domain/id.rs", "#[cfg(test)] mod tests { use crate::domain::subject::Subject; use super::*; }"),
        ("src/domain/subject.rs", "use super::id::Id;"),
    ];
    holds(&told(rules::cycles(&tree(&tests))));
}

#[test]
fn each_fenced_crate_is_told_outside_its_room_and_let_be_inside() {
    for fence in FENCES {
        let text = format!("use {}::thing;", fence.outside);
        let at = |path: &str| told(rules::fences(&tree(&[(path, text.as_str())])));
        breaks(&at("src/limit/rate.rs"), &format!("src/limit/rate.rs:1: `{}` is named only in", fence.outside));
        for room in fence.only_in {
            holds(&at(&format!("src/{}.rs", room.replace("::", "/"))));
        }
    }
}

#[test]
fn a_fenced_crate_is_seen_however_it_is_named() {
    for text in [
        "use sqlx as db;",
        "use {std::fmt, sqlx::{Pool, Row}};",
        "extern crate sqlx;",
        "fn f() { ::sqlx::query(\"\"); }",
        "fn f() { println!(\"{}\", sqlx::VERSION); }",
        "#[derive(sqlx::FromRow)] struct S;",
        "#[sqlx::main] async fn f() {}",
        "struct S(Option<sqlx::PgPool>);",
    ] {
        breaks(&told(rules::fences(&tree(&[("src/limit/rate.rs", text)]))), "`sqlx` is named only in store");
    }
    let renamed = told(rules::fences(&tree(&[("src/limit/rate.rs", "use std as s;\nfn f() { s::env::var(\"X\"); }")])));
    breaks(&renamed, "src/limit/rate.rs:2: `std::env` is named only in config::env");
    holds(&told(rules::fences(&tree(&[
        ("src/limit/rate.rs", "mod sqlx { pub fn f() {} }\nfn f() { sqlx::f(); let e = env!(\"X\"); }"),
        ("src/limit/more.rs", "#[cfg(test)] mod tests { use axum::Router; }"),
    ]))));
}

#[test]
fn floor_zero_is_pure() {
    for text in ["use tokio::sync::Mutex;", "use std::fs;", "fn f(_: http::Uri) {}"] {
        breaks(&told(rules::fences(&tree(&[("src/domain/team.rs", text)]))), "in domain, which is pure");
        holds(&told(rules::fences(&tree(&[("src/limit/rate.rs", text)]))));
    }
}

#[test]
fn sizes_count_code_and_neither_comments_nor_tests() {
    let code = |lines: usize| "fn f() {}\n".repeat(lines);
    let sizes = |text: &str| {
        let mut files: Vec<_> = (0..10).map(|n| (format!("src/domain/f{n}.rs"), String::new())).collect();
        files.push(("src/domain/big.rs".to_owned(), text.to_owned()));
        told(rules::sizes(&Tree::of(files)))
    };
    breaks(&sizes(&code(501)), "src/domain/big.rs:1: 501 code lines; a file has at most 500");
    holds(&sizes(&code(500)));
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(300));
    holds(&sizes(&format!("{}{}\n{}", code(500), "\n// why\n".repeat(50), tests)));

    let two = [("src/domain/a.rs", code(301)), ("src/domain/b.rs", code(300)), ("src/domain/c.rs", code(1))];
    let two = Tree::of(two.map(|(path, text)| (path.to_owned(), text)));
    breaks(&told(rules::sizes(&two)), "1 of 3 files have more than 300 code lines, more than one in ten");

    let main = format!("fn main() {{}}\n{}", code(40));
    breaks(&told(rules::sizes(&tree(&[("src/main.rs", &main)]))), "41 code lines; a file has at most 40");
}

#[test]
fn a_file_of_tests_is_not_measured() {
    let long = "fn f() {}\n".repeat(600);
    let files = |parent: &str| told(rules::sizes(&tree(&[("src/iam/mod.rs", parent), ("src/iam/corpus.rs", &long)])));
    holds(&files("#[cfg(test)] mod corpus;"));
    assert!(!files("mod corpus;").is_empty());
}

#[test]
fn an_opening_says_three_things() {
    let at = |path: &str, text: &str| told(rules::openings(&tree(&[(path, text)])));
    breaks(&at("src/iam/mod.rs", "//! Policies.\n"), "opens with 1 lines of `//!`");
    breaks(&at("src/iam.rs", "use std::fmt;\n"), "opens with 0 lines");
    breaks(&at("src/http/admin/mod.rs", ""), "opens with 0 lines");
    breaks(&at("src/iam/mod.rs", "//! a\n//! b\n//! c\n"), "says what it `May import`");
    holds(&at("src/iam/mod.rs", "//! a\n//!\n//! May import: domain.\n"));
    holds(&at("src/http/admin/mod.rs", "//! a\n//! b\n//! c\n"));
    holds(&at("src/iam/document.rs", ""));
}

#[test]
fn a_domain_type_that_serializes_is_told() {
    let at = |path: &str, text: &str| told(rules::serialized(&tree(&[(path, text)])));
    let derived = "#[derive(Debug, Serialize)]\nstruct Team;";
    breaks(&at("src/domain/team.rs", derived), "src/domain/team.rs:1: `Team` derives Serialize");
    breaks(&at("src/domain/team.rs", "#[derive(serde::Serialize)] enum Team {}"), "`Team` derives");
    breaks(&at("src/domain/team.rs", "#[cfg_attr(unix, derive(Serialize))] struct Team;"), "`Team` derives");
    holds(&at("src/domain/team.rs", "#[derive(Debug, Deserialize)] struct Team;"));
    holds(&at("src/domain/claims.rs", derived));
    holds(&at("src/wire/team.rs", derived));
}

#[test]
fn a_second_spelling_of_the_grammar_is_told() {
    let at = |path: &str, text: &str| told(rules::grammar(&tree(&[(path, text)])));
    for text in [
        "fn f() -> &'static str { \"scoped_principal:x\" }",
        "fn f() -> String { format!(\"scoped_principal:{}\", 1) }",
        "const P: &str = r#\"scoped_principal:\"#;",
        "#[serde(rename = \"https://aws.amazon.com/tags\")] struct S;",
    ] {
        breaks(&at("src/iam/generate.rs", text), "src/iam/generate.rs:1: `");
        holds(&at("src/iam/generate.rs", &format!("#[cfg(test)] mod tests {{ {text} }}")));
    }
    holds(&at("src/iam/generate.rs", "/// As in `scoped_principal:T/user:U`.\nfn f() {}"));
    holds(&at("src/domain/subject.rs", "const P: &str = \"scoped_principal:\";"));
}

#[test]
fn a_path_of_one_machine_is_told() {
    let at = |text: &str| told(rules::machine_paths("docs/x.md", text));
    breaks(&at(concat!("a\nsee ..", "/shared/X.md")), "docs/x.md:2: names a folder that a clone does not have");
    breaks(&at(concat!("cd /wo", "rk/main")), "names a path of one machine");
    breaks(&at(concat!("(`/ro", "ot/.cargo/x`)")), "names a path of one machine");
    breaks(&at(concat!("\"/wo", "rk/main\"")), "names a path of one machine");
    holds(&at("https://example.com/work/a ~/work/x ./work/ /run/x network/work/ /home/ann/x"));
}
