//! The plan of the house as data: which floor a room is on, whom it may see, and which crates it fences in.

/// A top-level module of `src/` and what of this crate it may name.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) sees: Sees,
}

/// What a room may name outside itself.
pub(crate) enum Sees {
    /// These module paths, and what is below them.
    Only(&'static [&'static str]),
    /// Every room that stands earlier in the table.
    AllBelow,
}

/// In floor order: a room never sees one that stands after it.
pub(crate) const ROOMS: &[Room] = &[
    // Floor 0.
    Room { name: "domain", sees: Sees::Only(&[]) },
    // Floor 1. Siblings do not see each other, four pairs apart.
    Room { name: "config", sees: Sees::Only(&["domain"]) },
    Room { name: "crypto", sees: Sees::Only(&["domain"]) },
    Room { name: "fetch", sees: Sees::Only(&["domain"]) },
    Room { name: "iam", sees: Sees::Only(&["domain"]) },
    Room { name: "limit", sees: Sees::Only(&["domain"]) },
    Room { name: "store", sees: Sees::Only(&["domain", "limit"]) },
    Room { name: "wire", sees: Sees::Only(&["domain"]) },
    Room { name: "aws", sees: Sees::Only(&["domain", "fetch"]) },
    Room { name: "client", sees: Sees::Only(&["domain", "wire", "fetch"]) },
    Room { name: "oidc", sees: Sees::Only(&["domain", "fetch", "crypto"]) },
    // Floor 2. None sees another, nor `config`: they are handed typed values.
    Room { name: "issuer", sees: Sees::Only(&["domain", "crypto", "store", "iam", "oidc", "fetch", "limit"]) },
    Room { name: "sandbox", sees: Sees::Only(&["domain", "iam", "fetch"]) },
    Room {
        name: "worker",
        sees: Sees::Only(&["domain", "aws", "client", "wire", "iam", "limit", "crypto::verify", "crypto::jwk"]),
    },
    // Floor 3.
    Room { name: "http", sees: Sees::AllBelow },
    // Floor 4.
    Room { name: "cli", sees: Sees::AllBelow },
];

/// The name under which `src/main.rs` is judged: above every floor, it sees the composition root and nothing else.
pub(crate) const MAIN: Room = Room { name: "main", sees: Sees::Only(&["cli"]) };

/// A crate (or a module of the standard library) that shipped code may name in a few places only.
pub(crate) struct Fence {
    pub(crate) outside: &'static str,
    /// Module paths, or `main`.
    pub(crate) only_in: &'static [&'static str],
}

pub(crate) const FENCES: &[Fence] = &[
    Fence { outside: "sqlx", only_in: &["store"] },
    Fence { outside: "jsonwebtoken", only_in: &["crypto"] },
    Fence { outside: "rcgen", only_in: &["crypto"] },
    Fence { outside: "rsa", only_in: &["crypto"] },
    Fence { outside: "axum", only_in: &["http", "sandbox"] },
    Fence { outside: "askama", only_in: &["http::pages"] },
    Fence { outside: "openidconnect", only_in: &["oidc"] },
    Fence { outside: "reqwest", only_in: &["fetch"] },
    Fence { outside: "aws_sdk_sts", only_in: &["aws"] },
    Fence { outside: "keyring", only_in: &["client::os_keyring"] },
    Fence { outside: "utoipa", only_in: &["wire", "http"] },
    Fence { outside: "utoipa_axum", only_in: &["http"] },
    Fence { outside: "clap", only_in: &["cli", "main"] },
    Fence { outside: "clap_complete", only_in: &["cli", "main"] },
    Fence { outside: "thread_priority", only_in: &["issuer::signing_pool"] },
    Fence { outside: "std::env", only_in: &["config::env"] },
];

/// What floor 0 may not name, because it would do I/O or tie the meaning of words to a transport.
pub(crate) const IMPURE: &[&str] =
    &["tokio", "hyper", "hyper_util", "http", "tower", "tower_http", "std::fs", "std::process", "std::thread"];

/// The one file of `domain` whose types travel as they are.
pub(crate) const SERIALIZED_DOMAIN: &str = "domain::claims";

/// Words of the frozen identity grammar, and the modules that may spell them. A second place that builds them would
/// be a second grammar. The stand-in AWS reads them by itself, so as to share no fault with what it checks.
pub(crate) const GRAMMAR: &[(&str, &[&str])] =
    &[("scoped_principal:", &["domain::subject"]), ("https://aws.amazon.com/", &["domain::claims", "sandbox"])];

/// Code lines a file may have, tests and comments apart.
pub(crate) const LONGEST: usize = 500;
/// Nine files in ten stay within this many.
pub(crate) const LONG: usize = 300;
/// `src/main.rs` parses, runs and maps the outcome; it has no room for more.
pub(crate) const LONGEST_MAIN: usize = 40;
/// Lines of the `//!` comment that opens a `mod.rs`.
pub(crate) const OPENING: usize = 3;
