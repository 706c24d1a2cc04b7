//! Set-up that integration tests share: databases, the real binary, foreign clients.
//!
//! What a test needs beside cargo is started or installed by `scripts/test`, which says so in `BREVET_TEST_…`
//! variables. Without them such a test says `skipped: NAME needs …` on standard error, past the harness's capture,
//! and returns; `scripts/test` makes the lack a failure.

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod caller;
pub(crate) mod chaos;
pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod documents;
pub(crate) mod drilled;
pub(crate) mod entropy;
pub(crate) mod foreign_issuer;
pub(crate) mod house;
pub(crate) mod leash;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod minters;
pub(crate) mod pair;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod replicas;
pub(crate) mod served;
pub(crate) mod stand_in;
pub(crate) mod surfer;
pub(crate) mod token_keys;
pub(crate) mod watchers;
pub(crate) mod worker_house;

use std::ffi::OsString;
use std::io::Write;

/// A variable of `scripts/test`, empty ones apart.
#[expect(clippy::disallowed_methods, reason = "how scripts/test tells a test what it has started")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Says that the running test is skipped for want of `what`; fails it where `required` is set.
fn unmet(what: &str, required: &str) {
    assert!(variable(required).is_none(), "{what} is missing, and {required} is set");
    skipped(&format!("{what}: scripts/test brings it"));
}

/// Says that the running test is skipped for want of what nobody can bring.
fn skipped(what: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a-test");
    // Not `eprintln!`: the harness would swallow it, and the test would look as if it had run.
    writeln!(std::io::stderr(), "skipped: {name} needs {what}").expect("stderr is open");
}
