//! The wall between the floors: in one package nothing else keeps a lower room from naming a higher one.
//!
//! Reads every file below `src/` with `syn` and fails on a forbidden edge, a circle, a crate outside its room, an
//! oversized file, an unexplained room, a domain type that serializes itself, a second spelling of the identity grammar,
//! and paths of somebody's machine.
//! `floors/house.rs` is the plan as data; `floors/trials.rs` breaks each rule on a small tree, so that the wall is
//! known to stand. Run alone: `cargo test --test floors`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that reads the repository")]

#[path = "floors/house.rs"]
mod house;
#[path = "floors/paths.rs"]
mod paths;
#[path = "floors/rules.rs"]
mod rules;
#[path = "floors/source.rs"]
mod source;
#[path = "floors/trials.rs"]
mod trials;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use rules::Fault;
use source::{Target, Tree};

static ROOT: &str = env!("CARGO_MANIFEST_DIR");
static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::read(Path::new(ROOT)));

#[track_caller]
fn none(faults: Vec<Fault>) {
    let faults = rules::told(faults);
    assert!(
        faults.is_empty(),
        "{} faults:
  {}",
        faults.len(),
        faults.join(
            "
  "
        )
    );
}

#[test]
fn rooms_import_downward() {
    none(rules::edges(&TREE));
}

#[test]
fn rooms_have_no_circle() {
    none(rules::cycles(&TREE));
}

#[test]
fn crates_stay_in_their_room() {
    none(rules::fences(&TREE));
}

#[test]
fn files_have_one_subject() {
    let counted = rules::counted(&TREE);
    let (longest, most) = counted.last().expect("there are files");
    let median = counted[counted.len() / 2].1;
    println!("{} files, median {median} code lines, longest {} with {most}", counted.len(), longest.path);
    none(rules::sizes(&TREE));
}

#[test]
fn rooms_say_what_they_own() {
    none(rules::openings(&TREE));
}

#[test]
fn domain_types_do_not_serialize() {
    none(rules::serialized(&TREE));
}

#[test]
fn the_identity_grammar_is_spelled_once() {
    none(rules::grammar(&TREE));
}

#[test]
fn no_file_names_a_machine() {
    let mut faults = Vec::new();
    visit(Path::new(ROOT), &mut |path, text| faults.extend(rules::machine_paths(path, text)));
    none(faults);
}

/// Guards the guards: a reader that finds nothing finds no faults either.
#[test]
fn the_tree_has_been_read() {
    let module = |name: &str| TREE.files.iter().find(|file| file.path == name).expect("a file that will stay");
    let subject = module("src/domain/subject.rs");
    assert!(TREE.files.len() > 20, "only {} files below src/", TREE.files.len());
    assert!(subject.code_lines() > 20);
    assert!(
        subject.found.mentions.iter().any(|mention| {
            matches!(TREE.target(mention), Target::Inside(path) if path[..2] == ["domain", "principal"])
        }),
        "subject.rs is made of a principal, yet no such edge was found"
    );
    for room in house::ROOMS.iter().filter(|room| room.name != "oidc") {
        assert!(TREE.has_module(&[room.name.to_owned()]), "{} stands in the table and not in src/", room.name);
    }
}

/// Every text file that a clone would hold, with its path from the root.
fn visit(folder: &Path, see: &mut impl FnMut(&str, &str)) {
    for entry in fs::read_dir(folder).expect("the repository can be listed") {
        let path = entry.expect("the repository can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !matches!(&*name, ".git" | "target" | "node_modules" | "__pycache__") {
                visit(&path, see);
            }
        } else if name != ".git"
            && let Ok(text) = fs::read_to_string(&path)
        {
            see(&path.strip_prefix(ROOT).expect("below the root").to_string_lossy(), &text);
        }
    }
}
