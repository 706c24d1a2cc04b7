//! Every path a file names: `use` trees, types, expressions, attributes, and what can be read in the tokens of
//! macros, each with its line, the module it stands in, and whether it is test code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A path as written, before anything is resolved.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    /// The module the path stands in, inline modules included.
    pub(crate) module: Vec<String>,
    pub(crate) segments: Vec<String>,
    pub(crate) in_test: bool,
    /// The name a `use` brings into `module`, where it brings one.
    pub(crate) brings: Option<String>,
}

/// A type that derives `Serialize`.
#[derive(Debug, Clone)]
pub(crate) struct SerializedType {
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// A string literal of shipped code; doc comments apart.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// What one file says.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) mentions: Vec<Mention>,
    pub(crate) serialized: Vec<SerializedType>,
    pub(crate) literals: Vec<Literal>,
    /// First and last line of each `#[cfg(test)]` item at the top of the file.
    pub(crate) test_lines: Vec<(usize, usize)>,
    /// Modules that live in another file and are compiled for tests only.
    pub(crate) test_files: Vec<Vec<String>>,
    /// Inline modules.
    pub(crate) inline: Vec<Vec<String>>,
}

/// Reads one parsed file that is `module`.
pub(crate) fn collect(module: &[String], file: &syn::File) -> Found {
    let mut reader = Reader { module: module.to_vec(), tests: 0, found: Found::default() };
    for item in &file.items {
        if is_test_only(attributes(item)) {
            let span = item.span();
            reader.found.test_lines.push((span.start().line, span.end().line));
        }
    }
    reader.visit_file(file);
    reader.found
}

struct Reader {
    module: Vec<String>,
    tests: usize,
    found: Found,
}

impl Reader {
    fn mention(&mut self, line: usize, segments: Vec<String>, brings: Option<String>) {
        let module = self.module.clone();
        self.found.mentions.push(Mention { line, module, segments, in_test: self.tests > 0, brings });
    }

    fn literal(&mut self, line: usize, text: String) {
        if self.tests == 0 {
            self.found.literals.push(Literal { line, text });
        }
    }

    fn use_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let line = tree.span().start().line;
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `a::{self}` names `a`; a leading `self` is a path of its own.
            if name != "self" || before.is_empty() {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => {
                let path = with(&name.ident);
                let brings = path.last().cloned();
                self.mention(line, path, brings);
            }
            syn::UseTree::Rename(name) => {
                let path = with(&name.ident);
                self.mention(line, path, Some(name.rename.to_string()));
            }
            syn::UseTree::Glob(_) => self.mention(line, before.to_vec(), None),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(before, tree)),
        }
    }

    /// Paths in a token stream; `before` is the path a brace group continues, as in `crate::a::{b, c}`.
    fn tokens(&mut self, before: &[String], stream: TokenStream) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let is_colons = |at: usize| {
            let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
            colon(tokens.get(at)) && colon(tokens.get(at + 1))
        };
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match token {
                TokenTree::Group(group) => self.tokens(&[], group.stream()),
                TokenTree::Ident(head) => {
                    let mut segments = before.to_vec();
                    segments.push(head.to_string());
                    while is_colons(at + 1) {
                        match tokens.get(at + 3) {
                            Some(TokenTree::Ident(next)) => segments.push(next.to_string()),
                            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                                self.tokens(&segments, group.stream());
                                at += 3;
                                break;
                            }
                            _ => break,
                        }
                        at += 3;
                    }
                    if segments.len() > 1 {
                        self.mention(head.span().start().line, segments, None);
                    }
                }
                TokenTree::Literal(literal) => self.literal(literal.span().start().line, literal.to_string()),
                TokenTree::Punct(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let test_only = is_test_only(attributes(item));
        self.tests += usize::from(test_only);
        visit::visit_item(self, item);
        self.tests -= usize::from(test_only);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if item.content.is_some() {
            self.found.inline.push(self.module.clone());
        } else if self.tests > 0 {
            self.found.test_files.push(self.module.clone());
        }
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let brings = item.rename.as_ref().map(|(_, name)| name.to_string());
        self.mention(item.span().start().line, vec![item.ident.to_string()], brings);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single segment is a local name; if it was imported, its `use` has been seen.
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.mention(path.span().start().line, segments, None);
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {
        // `pub(in crate::a)` names who may look in, not what is looked at.
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(&[], mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.literal(literal.span().start().line, literal.value());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(&[], list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.derives(&item.attrs, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.derives(&item.attrs, &item.ident);
        visit::visit_item_enum(self, item);
    }
}

impl Reader {
    fn derives(&mut self, attributes: &[syn::Attribute], name: &syn::Ident) {
        for attribute in attributes {
            let syn::Meta::List(list) = &attribute.meta else { continue };
            // `cfg_attr(…, derive(Serialize))` is one too.
            let is_derive = list.path.is_ident("derive") || names(&list.tokens, "derive");
            if is_derive && names(&list.tokens, "Serialize") && self.tests == 0 {
                let line = attribute.span().start().line;
                self.found.serialized.push(SerializedType { line, name: name.to_string() });
            }
        }
    }
}

/// Whether the stream holds this identifier at any depth.
fn names(stream: &TokenStream, wanted: &str) -> bool {
    stream.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == wanted,
        TokenTree::Group(group) => names(&group.stream(), wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// `#[cfg(test)]`, also inside `all(…)`; `not(test)` is shipped code.
fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => {
            list.path.is_ident("cfg")
                && names(&list.tokens, "test")
                && !names(&list.tokens, "not")
                && !names(&list.tokens, "any")
        }
        syn::Meta::NameValue(_) => false,
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
