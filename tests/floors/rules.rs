//! The rules, each a function from the tree to its faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::house::{
    FENCES, GRAMMAR, IMPURE, LONG, LONGEST, LONGEST_MAIN, MAIN, OPENING, ROOMS, Room, SERIALIZED_DOMAIN, Sees,
};
use super::source::{SourceFile, Target, Tree};

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    file: String,
    line: usize,
    message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl Fault {
    pub(crate) fn new(file: &str, line: usize, message: String) -> Self {
        Self { file: file.to_owned(), line, message }
    }
}

/// The faults as a reader sees them, in order and each once.
pub(crate) fn told(mut faults: Vec<Fault>) -> Vec<String> {
    faults.sort();
    faults.dedup();
    faults.iter().map(ToString::to_string).collect()
}

/// A room names only rooms that the table lets it see. Test modules are held to it too: a room whose tests need
/// the floor above cannot be understood without it.
pub(crate) fn edges(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        // `lib.rs` only says which rooms there are.
        let Some(name) = file.module.first() else { continue };
        let Some(room) = room(name) else {
            faults.push(Fault::new(
                &file.path,
                1,
                format!("`{name}` is no room of the house; the table is tests/floors/house.rs"),
            ));
            continue;
        };
        for mention in &file.found.mentions {
            let Target::Inside(target) = tree.target(mention) else { continue };
            let fault = |message| Fault::new(&file.path, mention.line, message);
            match target.first() {
                Some(other) if other == name => {}
                Some(other) if self::room(other).is_none() => faults.push(fault(format!(
                    "{} -> crate::{}: the crate's root holds rooms and nothing else",
                    file.module.join("::"),
                    target.join("::"),
                ))),
                Some(_) if !may_see(room, &target) => faults.push(fault(format!(
                    "{} -> {} (written `{}`): `{name}` may see {}",
                    file.module.join("::"),
                    target.join("::"),
                    mention.segments.join("::"),
                    sight(room),
                ))),
                Some(_) | None => {}
            }
        }
    }
    faults
}

fn room(name: &str) -> Option<&'static Room> {
    if name == MAIN.name { Some(&MAIN) } else { ROOMS.iter().find(|room| room.name == name) }
}

fn may_see(room: &Room, target: &[String]) -> bool {
    match room.sees {
        Sees::Only(paths) => paths.iter().any(|path| is_below(target, path)),
        Sees::AllBelow => below(room).any(|lower| target[0] == lower.name),
    }
}

fn below(room: &Room) -> impl Iterator<Item = &'static Room> {
    ROOMS.iter().take_while(move |other| other.name != room.name)
}

fn sight(room: &Room) -> String {
    match room.sees {
        Sees::Only([]) => "nothing else of this crate".to_owned(),
        Sees::Only(paths) => format!("only {}", paths.join(", ")),
        Sees::AllBelow => format!("only {}", below(room).map(|room| room.name).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether `path` is `outer` or inside it.
fn is_below(path: &[String], outer: &str) -> bool {
    let mut outer = outer.split("::");
    let mut path = path.iter();
    outer.all(|word| path.next().is_some_and(|segment| segment == word))
}

/// A fenced crate is named only in its room, and floor 0 names nothing that does I/O. Tests apart: a stub server in
/// a test module teaches the shipped code nothing.
pub(crate) fn fences(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| !tree.is_test_file(file)) {
        for mention in file.found.mentions.iter().filter(|mention| !mention.in_test) {
            let Target::Outside(target) = tree.target(mention) else { continue };
            let inside = |outer: &&str| is_below(&file.module, outer);
            for fence in FENCES.iter().filter(|fence| is_below(&target, fence.outside)) {
                if !fence.only_in.iter().any(inside) {
                    faults.push(Fault::new(
                        &file.path,
                        mention.line,
                        format!("`{}` is named only in {}", fence.outside, fence.only_in.join(" and ")),
                    ));
                }
            }
            for impure in IMPURE.iter().filter(|impure| inside(&"domain") && is_below(&target, impure)) {
                faults.push(Fault::new(
                    &file.path,
                    mention.line,
                    format!("`{impure}` in domain, which is pure: no I/O, no transport"),
                ));
            }
        }
    }
    faults
}

/// Children of one module never depend on each other in a circle, counting all that is below each.
///
/// A parent and its children are one thing to the reader, so what a `mod.rs` says of its own children is no edge;
/// names that it re-exports are followed to where they are defined.
pub(crate) fn cycles(tree: &Tree) -> Vec<Fault> {
    /// From child to child of one module, with the first place that says so.
    type Edges<'a> = BTreeMap<String, BTreeMap<String, (&'a str, usize)>>;
    let mut levels: BTreeMap<Vec<String>, Edges<'_>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| !tree.is_test_file(file)) {
        for mention in file.found.mentions.iter().filter(|mention| !mention.in_test) {
            let Target::Inside(target) = tree.target(mention) else { continue };
            let shared = file.module.iter().zip(&target).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (file.module.get(shared), target.get(shared)) else { continue };
            let mut child = file.module[..shared].to_vec();
            child.push(to.clone());
            if tree.has_module(&child) {
                levels
                    .entry(file.module[..shared].to_vec())
                    .or_default()
                    .entry(from.clone())
                    .or_default()
                    .entry(to.clone())
                    .or_insert((&file.path, mention.line));
            }
        }
    }
    let mut faults = Vec::new();
    for (module, edges) in &levels {
        let mut told = BTreeSet::new();
        for start in edges.keys() {
            let Some(circle) = circle(start, |from| edges.get(from).into_iter().flat_map(BTreeMap::keys)) else {
                continue;
            };
            if told.contains(start) {
                continue;
            }
            told.extend(circle.iter().cloned());
            let steps: Vec<_> = circle.iter().zip(circle.iter().cycle().skip(1)).collect();
            let places: Vec<_> = steps
                .iter()
                .map(|(from, to)| {
                    let (path, line) = edges[*from][*to];
                    format!("{from} -> {to} ({path}:{line})")
                })
                .collect();
            let (path, line) = edges[steps[0].0][steps[0].1];
            let room = if module.is_empty() { "the crate".to_owned() } else { module.join("::") };
            faults.push(Fault::new(path, line, format!("a circle in {room}: {}", places.join(", "))));
        }
    }
    faults
}

/// The shortest way from `start` back to itself, without the return.
fn circle<'a, N: Iterator<Item = &'a String>>(start: &str, next: impl Fn(&str) -> N) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for to in next(way.last()?) {
            if to == start {
                return Some(way);
            }
            if seen.insert(to.clone()) {
                ways.push_back(way.iter().cloned().chain([to.clone()]).collect());
            }
        }
    }
    None
}

/// No file over [`LONGEST`] code lines, nine in ten within [`LONG`], `main.rs` within [`LONGEST_MAIN`].
pub(crate) fn sizes(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut long = Vec::new();
    let counted = counted(tree);
    for &(file, lines) in &counted {
        let most = if file.module == ["main"] { LONGEST_MAIN } else { LONGEST };
        if lines > most {
            faults.push(Fault::new(&file.path, 1, format!("{lines} code lines; a file has at most {most}")));
        }
        if lines > LONG {
            long.push(format!("{} ({lines})", file.path));
        }
    }
    if long.len() * 10 > counted.len() {
        faults.push(Fault::new(
            "src",
            1,
            format!(
                "{} of {} files have more than {LONG} code lines, more than one in ten: {}",
                long.len(),
                counted.len(),
                long.join(", "),
            ),
        ));
    }
    faults
}

/// Shipped files with their code lines, shortest first.
pub(crate) fn counted(tree: &Tree) -> Vec<(&SourceFile, usize)> {
    let shipped = tree.files.iter().filter(|file| !tree.is_test_file(file));
    let mut counted: Vec<_> = shipped.map(|file| (file, file.code_lines())).collect();
    counted.sort_by_key(|&(_, lines)| lines);
    counted
}

/// Every `mod.rs` opens with what it owns and does not own; a room's also with what it may import.
pub(crate) fn openings(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in &tree.files {
        let is_room = file.module.len() == 1 && file.module != ["main"];
        if !is_room && !file.path.ends_with("/mod.rs") {
            continue;
        }
        let opening: Vec<_> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if opening.len() < OPENING {
            faults.push(Fault::new(
                &file.path,
                1,
                format!(
                    "opens with {} lines of `//!`; at least {OPENING} say what it owns, does not own and may import",
                    opening.len()
                ),
            ));
        } else if is_room && !opening.iter().any(|line| line.to_lowercase().contains("may import")) {
            faults.push(Fault::new(&file.path, 1, "a room's opening says what it `May import`".to_owned()));
        }
    }
    faults
}

/// Domain types travel through `wire` or `store`, where their shape is decided; claims are a wire format themselves.
pub(crate) fn serialized(tree: &Tree) -> Vec<Fault> {
    let domain = tree.files.iter().filter(|file| file.module.first().is_some_and(|room| room == "domain"));
    domain
        .filter(|file| !is_below(&file.module, SERIALIZED_DOMAIN))
        .flat_map(|file| {
            file.found.serialized.iter().map(|found| {
                Fault::new(
                    &file.path,
                    found.line,
                    format!("`{}` derives Serialize; in domain only {SERIALIZED_DOMAIN} does", found.name),
                )
            })
        })
        .collect()
}

/// The identity grammar is spelled in one place.
pub(crate) fn grammar(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| !tree.is_test_file(file)) {
        for literal in &file.found.literals {
            for (word, only_in) in GRAMMAR.iter().filter(|(word, _)| literal.text.contains(word)) {
                if !only_in.iter().any(|outer| is_below(&file.module, outer)) {
                    let message = format!("`{word}` is spelled only in {}", only_in.join(" and "));
                    faults.push(Fault::new(&file.path, literal.line, message));
                }
            }
        }
    }
    faults
}

/// Files of the repository name no path of the machine they were written on, nor a folder beside the repository.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<Fault> {
    // Spelled in pieces, so that this file passes its own rule.
    let beside = concat!("..", "/shared");
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut faults = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        // `example.com/work/` or `$x/work/` is no path from the root of a machine.
        let from_root = |place: usize| {
            line[..place].chars().next_back().is_none_or(|before| {
                !before.is_alphanumeric() && !matches!(before, '.' | '-' | '_' | '~' | '}' | '>' | '*' | '/')
            })
        };
        for machine in places {
            if line.match_indices(machine).any(|(place, _)| from_root(place)) {
                faults.push(Fault::new(path, number, format!("names a path of one machine: `{machine}`")));
            }
        }
        if line.contains(beside) {
            faults.push(Fault::new(path, number, "names a folder that a clone does not have".to_owned()));
        }
    }
    faults
}
