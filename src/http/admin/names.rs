//! What stands in a path: text that is no name of its kind names nothing, so it is 404. And the teams that a key lists.

use crate::domain::id::{Handle, Kind, TeamUid, Uid};
use crate::http::error::{Code, ProblemAnswer};
use crate::http::resource::fields::Fields;

/// Most teams that one key lists.
const TEAMS_MAX: usize = 1000;

/// A uid of kind `K`.
pub(super) fn uid<K: Kind>(text: &str) -> Result<Uid<K>, ProblemAnswer> {
    Uid::parse(text).map_err(|_| unknown(K::WORD))
}

/// The id of a `word`.
pub(super) fn handle<K>(text: &str, word: &'static str) -> Result<Handle<K>, ProblemAnswer> {
    Handle::parse(text).ok_or_else(|| unknown(word))
}

/// The member `teams` of a key: in the order of their uids, each once.
pub(super) fn teams(fields: &mut Fields, list: Vec<String>) -> Option<Vec<TeamUid>> {
    let mut teams = fields.list("teams", TEAMS_MAX, list, |fields, at, uid| fields.parse(at, TeamUid::parse(&uid)))?;
    teams.sort_unstable();
    teams.dedup();
    Some(teams)
}

fn unknown(word: &'static str) -> ProblemAnswer {
    ProblemAnswer::new(Code::NotFound, format!("no such {word}"))
}
