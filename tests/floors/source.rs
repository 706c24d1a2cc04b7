//! The tree under judgement: its files, the modules they are, and where a path written in one of them leads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::paths::{self, Found, Mention};

/// One `.rs` file below `src/`.
pub(crate) struct SourceFile {
    /// Relative to the repository, as in `src/domain/id.rs`.
    pub(crate) path: String,
    /// `["domain", "id"]`; empty for `lib.rs`, `["main"]` for `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
    pub(crate) found: Found,
}

impl SourceFile {
    fn parse(path: String, text: String) -> Self {
        let module = module_of(&path);
        let file = syn::parse_file(&text).unwrap_or_else(|fault| panic!("{path}: not Rust: {fault}"));
        let found = paths::collect(&module, &file);
        Self { path, module, text, found }
    }

    /// Lines that are neither blank, nor only a comment, nor in a `#[cfg(test)]` item.
    pub(crate) fn code_lines(&self) -> usize {
        let in_test = |line| self.found.test_lines.iter().any(|&(first, last)| (first..=last).contains(&line));
        self.text
            .lines()
            .zip(1..)
            .filter(|(text, line)| {
                let text = text.trim_start();
                !text.is_empty() && !text.starts_with("//") && !in_test(*line)
            })
            .count()
    }
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Inside this crate: the full path, with imports on the way followed.
    Inside(Vec<String>),
    /// A crate of its own, the standard library, or a local name.
    Outside(Vec<String>),
}

/// All files, and the modules they make.
pub(crate) struct Tree {
    pub(crate) files: Vec<SourceFile>,
    modules: BTreeSet<Vec<String>>,
    /// What each module imports under which name.
    imports: BTreeMap<(Vec<String>, String), Mention>,
    test_files: BTreeSet<Vec<String>>,
}

impl Tree {
    /// Reads `src/` below the repository's root.
    pub(crate) fn read(root: &Path) -> Self {
        let mut texts = Vec::new();
        gather(root, &root.join("src"), &mut texts);
        Self::of(texts)
    }

    /// A tree of given texts, each with its path from the repository's root.
    pub(crate) fn of(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut files: Vec<_> = texts.into_iter().map(|(path, text)| SourceFile::parse(path, text)).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut modules = BTreeSet::new();
        let mut imports = BTreeMap::new();
        let mut test_files = BTreeSet::new();
        for file in &files {
            modules.insert(file.module.clone());
            modules.extend(file.found.inline.iter().cloned());
            test_files.extend(file.found.test_files.iter().cloned());
            for mention in &file.found.mentions {
                if let Some(name) = &mention.brings {
                    imports.insert((mention.module.clone(), name.clone()), mention.clone());
                }
            }
        }
        Self { files, modules, imports, test_files }
    }

    /// Whether the file is compiled for tests only.
    pub(crate) fn is_test_file(&self, file: &SourceFile) -> bool {
        (0..=file.module.len()).any(|length| self.test_files.contains(&file.module[..length]))
    }

    /// Whether such a module exists, in a file or inline.
    pub(crate) fn has_module(&self, module: &[String]) -> bool {
        self.modules.contains(module)
    }

    /// Follows a path to where it leads.
    pub(crate) fn target(&self, mention: &Mention) -> Target {
        self.follow(&mention.module, &mention.segments, 0)
    }

    fn follow(&self, module: &[String], segments: &[String], depth: usize) -> Target {
        let mut at = module.to_vec();
        let mut rest = segments;
        let in_main = module.first().is_some_and(|room| room == "main");
        match rest.first().map(String::as_str) {
            Some("crate") => {
                at.truncate(usize::from(in_main));
                rest = &rest[1..];
            }
            Some("brevet") if in_main => {
                at.clear();
                rest = &rest[1..];
            }
            Some("self" | "super") => {
                while let Some(word @ ("self" | "super")) = rest.first().map(String::as_str) {
                    if word == "super" {
                        at.pop();
                    }
                    rest = &rest[1..];
                }
            }
            Some(head) => {
                let mut child = at.clone();
                child.push(head.to_owned());
                let imported = self.imports.contains_key(&(at.clone(), head.to_owned()));
                // An import of `a` under the name `a` would lead to itself for ever.
                let itself = segments.len() == 1 && depth > 0;
                if !self.has_module(&child) && (!imported || itself) {
                    return Target::Outside(rest.to_vec());
                }
            }
            None => {}
        }
        while let Some((head, tail)) = rest.split_first() {
            let mut child = at.clone();
            child.push(head.clone());
            if self.has_module(&child) {
                at = child;
                rest = tail;
                continue;
            }
            if let Some(import) = self.imports.get(&(at.clone(), head.clone())).filter(|_| depth < 16) {
                let mut onward = import.segments.clone();
                if import.module == module && onward == segments {
                    return Target::Outside(segments.to_vec());
                }
                onward.extend_from_slice(tail);
                return self.follow(&import.module, &onward, depth + 1);
            }
            break;
        }
        at.extend_from_slice(rest);
        Target::Inside(at)
    }
}

/// `src/domain/id.rs` is `domain::id`, `src/domain/mod.rs` is `domain`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

fn gather(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            gather(root, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            texts.push((name, fs::read_to_string(&path).expect("source is UTF-8")));
        }
    }
}
