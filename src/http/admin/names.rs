//! What stands in a path: text that is no name of its kind names nothing, so it is 404.

use crate::domain::id::{Handle, Kind, Uid};
use crate::http::error::{Code, ProblemAnswer};

/// A uid of kind `K`.
pub(super) fn uid<K: Kind>(text: &str) -> Result<Uid<K>, ProblemAnswer> {
    Uid::parse(text).map_err(|_| unknown(K::WORD))
}

/// The id of a `word`.
pub(super) fn handle<K>(text: &str, word: &'static str) -> Result<Handle<K>, ProblemAnswer> {
    Handle::parse(text).ok_or_else(|| unknown(word))
}

fn unknown(word: &'static str) -> ProblemAnswer {
    ProblemAnswer::new(Code::NotFound, format!("no such {word}"))
}
