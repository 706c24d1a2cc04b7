//! README, docs and the other papers, held to what exists: every command line in a fenced shell block names a command
//! and flags that its `--help` has, every `BREVET_…` variable is one that `brevet help environment` lists, and every
//! relative link leads to a file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::process::{self, Home};

/// A line of a paper.
struct Line {
    paper: String,
    number: usize,
    text: String,
}

impl Line {
    fn told(&self, fault: &str) -> String {
        format!("{}:{}: {fault}: {}", self.paper, self.number, self.text)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file at the top and below `docs/`, with its text.
fn papers() -> Vec<(String, String)> {
    fn gather(folder: &Path, deep: bool, papers: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && deep {
                gather(&path, deep, papers);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                papers.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    gather(root(), false, &mut paths);
    gather(&root().join("docs"), true, &mut paths);
    gather(&root().join("deploy"), true, &mut paths);
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("papers are UTF-8"))
    };
    paths.into_iter().map(named).collect()
}

/// The command lines of fenced shell blocks, continuation lines joined, prompts taken off. In a `console` block only
/// lines with a prompt are commands, the others are what they print.
fn command_lines(paper: &str, text: &str) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    let (mut block, mut continues) = (None, false);
    for (text, number) in text.lines().zip(1..) {
        let trimmed = text.trim();
        if let Some(info) = trimmed.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(info.trim().to_owned()) };
            continues = false;
            continue;
        }
        let shell = match block.as_deref() {
            Some("console") => continues || trimmed.starts_with("$ "),
            Some("sh" | "bash" | "shell") => true,
            _ => false,
        };
        if !shell || trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let bare = trimmed.strip_prefix("$ ").unwrap_or(trimmed);
        let part = bare.strip_suffix('\\').unwrap_or(bare);
        match found.last_mut().filter(|_| continues) {
            Some(line) => line.text.push_str(part),
            None => found.push(Line { paper: paper.to_owned(), number, text: part.to_owned() }),
        }
        continues = bare.ends_with('\\');
    }
    found
}

/// Splits a line into its simple commands, each a list of words without quotes and without leading assignments.
/// What stands in `$(…)` counts as a command too.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    // A substitution inside quotes begins without quotes and returns into them.
    let (mut word, mut quote, mut outer) = (String::new(), None, Vec::new());
    let mut end = |word: &mut String, split: bool| {
        if !word.is_empty() {
            commands.last_mut().expect("one at least").push(std::mem::take(word));
        }
        if split {
            commands.push(Vec::new());
        }
    };
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('$', None | Some('"')) if characters.peek() == Some(&'(') => {
                characters.next();
                end(&mut word, true);
                outer.push(quote.take());
            }
            (')', None) if !outer.is_empty() => {
                end(&mut word, true);
                quote = outer.pop().flatten();
            }
            ('\'' | '"', None) => quote = Some(character),
            (mark, Some(open)) if mark == open => quote = None,
            ('#', None) if word.is_empty() => break,
            (' ', None) => end(&mut word, false),
            ('|' | '&' | ';' | '(' | ')' | '>' | '<', None) => end(&mut word, true),
            _ => word.push(character),
        }
    }
    end(&mut word, false);
    let is_assignment = |word: &String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    for command in &mut commands {
        let assignments = command.iter().take_while(|word| is_assignment(word)).count();
        command.drain(..assignments);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The arguments that a command gives to our binary, if it runs it.
fn given_to_brevet(command: &[String]) -> Option<&[String]> {
    match command.first()?.as_str() {
        "brevet" => Some(&command[1..]),
        // README's alias for the administrator's key.
        "as_admin" => given_to_brevet(&command[1..]),
        path if path.ends_with("/brevet") => Some(&command[1..]),
        "cargo" if command.get(1)? == "run" => {
            let dashes = command.iter().position(|word| word == "--")?;
            Some(&command[dashes + 1..])
        }
        _ => None,
    }
}

/// What `--help` says of each command: asked once.
struct Help<F: Fn(&[String]) -> Option<String>> {
    ask: F,
    known: RefCell<BTreeMap<Vec<String>, Option<String>>>,
}

impl<F: Fn(&[String]) -> Option<String>> Help<F> {
    fn new(ask: F) -> Self {
        Self { ask, known: RefCell::default() }
    }

    fn of(&self, path: &[String]) -> Option<String> {
        self.known.borrow_mut().entry(path.to_vec()).or_insert_with(|| (self.ask)(path)).clone()
    }

    /// What is wrong with these arguments, judged by help alone.
    fn fault(&self, arguments: &[String]) -> Option<String> {
        if arguments.first().is_some_and(|word| word == "help") {
            // A page of its own, such as `brevet help environment`, and not a command that has help.
            return self.of(arguments).is_none().then(|| format!("no page `{}`", arguments.join(" ")));
        }
        let mut path = Vec::new();
        let Some(mut help) = self.of(&path) else { return Some("there is no help at all".to_owned()) };
        let mut rest = arguments;
        while let Some((word, others)) = rest.split_first() {
            if word.starts_with('-') || !has_commands(&help) {
                break;
            }
            path.push(word.clone());
            match self.of(&path) {
                Some(next) if has_command(&help, word) => help = next,
                _ => return Some(format!("no command `{}`", path.join(" "))),
            }
            rest = others;
        }
        let flags = rest.iter().take_while(|word| *word != "--").filter(|word| word.starts_with("--"));
        let names = flags.map(|flag| flag.split('=').next().unwrap_or(flag));
        let unknown = names.into_iter().find(|name| !has_word(&help, name))?;
        Some(format!("`{}` has no flag {unknown}", path.join(" ")))
    }
}

/// The part of a help text that lists commands, as clap writes it.
fn commands_of(help: &str) -> impl Iterator<Item = &str> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let section = section.take_while(|line| line.is_empty() || line.starts_with(' '));
    section
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
}

fn has_commands(help: &str) -> bool {
    commands_of(help).next().is_some()
}

fn has_command(help: &str, word: &str) -> bool {
    commands_of(help).any(|command| command == word)
}

fn has_word(help: &str, wanted: &str) -> bool {
    help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).any(|word| word == wanted)
}

/// Commands of ours whose arguments do not stand in their help, and scripts that do not exist.
fn command_faults<F: Fn(&[String]) -> Option<String>>(lines: &[Line], help: &Help<F>) -> Vec<String> {
    let mut faults = Vec::new();
    for line in lines {
        for command in simple_commands(&line.text) {
            if let Some(arguments) = given_to_brevet(&command) {
                faults.extend(help.fault(arguments).map(|fault| line.told(&fault)));
            }
            let program = command[0].strip_prefix("./").unwrap_or(&command[0]);
            if (program.starts_with("scripts/") || program.starts_with(".ci/")) && !root().join(program).is_file() {
                faults.push(line.told("no such script"));
            }
            if let Some(name) = command.iter().skip_while(|word| *word != "--test").nth(1)
                && !root().join(format!("tests/{name}.rs")).is_file()
                && !root().join(format!("tests/{name}/main.rs")).is_file()
            {
                faults.push(line.told("no such test"));
            }
        }
    }
    faults
}

/// Targets of relative links, with their line.
fn links<'a>(paper: &str, text: &'a str) -> Vec<(Line, &'a str)> {
    let mut found = Vec::new();
    for (text, number) in text.lines().zip(1..) {
        for (_, rest) in text.match_indices("](").map(|(at, open)| text.split_at(at + open.len())) {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere {
                found.push((Line { paper: paper.to_owned(), number, text: text.to_owned() }, target));
            }
        }
    }
    found
}

fn help_of_the_binary() -> Help<impl Fn(&[String]) -> Option<String>> {
    Help::new(|path: &[String]| {
        let home = Home::new();
        let page = path.first().is_some_and(|word| word == "help");
        let arguments = path.iter().map(String::as_str).chain((!page).then_some("--help"));
        let ended = process::run(home.brevet(arguments));
        (ended.code() == Some(0)).then_some(ended.stdout)
    })
}

#[test]
fn every_command_line_in_the_papers_exists() {
    let lines: Vec<_> = papers().iter().flat_map(|(paper, text)| command_lines(paper, text)).collect();
    let faults = command_faults(&lines, &help_of_the_binary());
    assert!(faults.is_empty(), "{} of {} lines:\n{}", faults.len(), lines.len(), faults.join("\n"));
}

#[test]
fn every_relative_link_in_the_papers_leads_somewhere() {
    let mut faults = Vec::new();
    for (paper, text) in papers() {
        let folder = root().join(&paper).parent().expect("a folder").to_owned();
        let dead = links(&paper, &text).into_iter().filter(|(_, target)| !folder.join(target).exists());
        faults.extend(dead.map(|(line, target)| line.told(&format!("no such file as {target}"))));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Variables of the tests and of scripts are told where they are read, not by the binary.
#[test]
fn every_variable_in_the_papers_is_one_that_is_read() {
    let list = process::run(Home::new().brevet(["help", "environment"])).stdout;
    let ours = ["BREVET_TEST_", "BREVET_STS_VECTORS", "BREVET_DRILL_", "BREVET_BENCH_"];
    let mut faults = Vec::new();
    for (paper, text) in papers() {
        for (text, number) in text.lines().zip(1..) {
            let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            for name in words.filter(|word| word.starts_with("BREVET_")) {
                // `BREVET_TLS_` stands for a family, as in `BREVET_TLS_*`.
                let listed = if name.ends_with('_') { list.contains(name) } else { has_word(&list, name) };
                if !listed && !ours.iter().any(|own| name.starts_with(own)) {
                    let line = Line { paper: paper.clone(), number, text: text.to_owned() };
                    faults.push(line.told(&format!("`brevet help environment` does not list {name}")));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

mod trials {
    use super::*;

    const TOP: &str = "Words\n\nUsage: brevet [COMMAND]\n\nCommands:\n  admin  Manage\n           more words\n  token  Mint\n\nOptions:\n  -h, --help\n";
    const ADMIN: &str = "Commands:\n  team  Teams\n";
    const TOKEN: &str = "Options:\n      --audience <A>  [env: X]\n      --json\n";

    fn faults(paper: &str) -> Vec<String> {
        let help = Help::new(|path: &[String]| {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            match path[..] {
                [] => Some(TOP.to_owned()),
                ["admin"] => Some(ADMIN.to_owned()),
                ["help", "environment"] => Some("BREVET_LOG".to_owned()),
                ["token"] | ["admin", "team"] => Some(TOKEN.to_owned()),
                _ => None,
            }
        });
        command_faults(&command_lines("x.md", paper), &help)
    }

    #[test]
    fn command_lines_that_exist_are_let_be() {
        for good in [
            "```sh\nbrevet token --audience a --json\nbrevet admin team x # a comment --with-flags\n```",
            "```console\n$ cargo run --release -- token \\\n    --audience=a\nbrevet prints --nonsense\n```",
            "```sh\nBREVET_TOKEN=\"$(brevet token --json)\" aws sts get-caller-identity --no-flag-of-ours\n```",
            "```sh\nbrevet help environment\n```",
            "```json\nbrevet nonsense\n```\nbrevet nonsense\n",
            "```sh\ncargo test --test it x\nscripts/test --no-postgres && ./scripts/test\n```",
        ] {
            assert_eq!(faults(good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn command_lines_that_do_not_exist_are_told() {
        for (bad, fault) in [
            ("a\n```sh\nbrevet mint\n```", "x.md:3: no command `mint`: brevet mint"),
            ("```sh\nbrevet admin teams\n```", "no command `admin teams`"),
            ("```sh\nbrevet token --aud x\n```", "`token` has no flag --aud"),
            ("```console\n$ brevet token \\\n  --format jwt\n```", "x.md:2: `token` has no flag --format"),
            ("```sh\necho \"$(brevet nonsense)\" | cat\n```", "no command `nonsense`"),
            ("```sh\ntrue && X=1 target/debug/brevet nonsense\n```", "no command `nonsense`"),
            ("```sh\nbrevet help nonsense\n```", "no page `help nonsense`"),
            ("```sh\ncargo run -- nonsense\n```", "no command `nonsense`"),
            ("```sh\nscripts/nonsense\n```", "no such script"),
            ("```sh\ncargo test --test nonsense\n```", "no such test"),
        ] {
            let told = faults(bad);
            assert!(told.len() == 1 && told[0].contains(fault), "{bad}: {told:?}");
        }
    }

    #[test]
    fn links_elsewhere_are_not_files() {
        let text = "[a](b.md#c) [d](https://e/f) ![g](h.png) [i](#j)";
        let targets: Vec<_> = links("x.md", text).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["b.md", "h.png"]);
    }
}
