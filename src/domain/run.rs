//! Runs: one execution of an agent or of a person's tool. Its bearer can do less than who opened it, and never
//! outlives them.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::audience::Audience;
use super::credential::CredentialKind;
use super::entropy::Entropy;
use super::id::{CredentialId, RUN_ID_LEN, RunId, SessionId, TeamUid};
use super::lifetime::Lifetime;
use super::principal::Principal;
use super::role_arn::RoleArn;
use super::session::Authentication;
use super::session_tag::{TagKey, TagValue};
use super::settings::ProviderLayer;

/// Longest time from the opening of a run to its end.
pub const RUN_MAX: Duration = Duration::days(7);
/// Shortest: as long as the shortest token.
pub const RUN_MIN: Duration = Duration::minutes(1);
/// How long a run lasts whose opener names no end.
pub const RUN_DEFAULT: Duration = Duration::days(1);
/// Most tokens that a run may be opened for.
pub const TOKENS_MAX: u32 = 1_000_000_000;
/// Most labels of one run.
pub const LABELS_MAX: usize = 20;
/// Most characters of all labels of one run together, so that a token stays short enough for STS and for the headers
/// it travels in (threat 9).
pub const LABELS_LENGTH_MAX: usize = 2048;

/// What a run is allowed, as its opener said; it never changes. Whether the team still allows it is asked at every
/// request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTerms {
    /// For whom its bearer mints; the first is the default. Never empty.
    pub audiences: Vec<Audience>,
    /// The one role that its tokens for STS are bound to; that of the settings where absent.
    pub role: Option<RoleArn>,
    /// No token of the run lives longer.
    pub lifetime_cap: Option<Lifetime>,
    /// How many tokens its bearer gets in all; no limit where absent.
    pub tokens_max: Option<u32>,
    /// What its opener calls it; under the keys that the team lists they become session tags.
    pub labels: BTreeMap<TagKey, TagValue>,
    /// Its own layer of provider settings, without a role: [`RunTerms::role`] is that.
    pub layer: ProviderLayer,
}

impl RunTerms {
    /// The layer with the run's role in it, as the settings fold it.
    pub fn provider_layer(&self) -> ProviderLayer {
        ProviderLayer { role_arn: self.role.clone(), ..self.layer.clone() }
    }
}

/// By which credential a run was opened. The run lives only while that one's owner does: the session of a person's
/// access token, the key (or what an access token came from) of a service account, the platform key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opener {
    /// Its kind.
    pub kind: CredentialKind,
    /// Which.
    pub credential: CredentialId,
    /// The session behind a person's access token, which ends sooner than the session.
    pub session: Option<SessionId>,
    /// How that session was opened.
    pub by: Option<Authentication>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// In which team.
    pub team: TeamUid,
    /// Whose tokens its bearer mints.
    pub principal: Principal,
    /// By which credential it was opened.
    pub opener: Opener,
    /// What it is allowed.
    pub terms: RunTerms,
    /// How many tokens its bearer has had.
    pub tokens_issued: i64,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    pub ends_at: OffsetDateTime,
    /// Since when it is over before its time, if so.
    pub ended_at: Option<OffsetDateTime>,
}

/// What a run is, by itself: whether its opener and principal are alive is another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It goes on.
    Open,
    /// It was ended before its time.
    Ended,
    /// Its time is over.
    Expired,
}

impl RunState {
    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Expired => "expired",
        }
    }
}

impl Run {
    /// Its state at `now`.
    pub fn state(&self, now: OffsetDateTime) -> RunState {
        match self.ended_at {
            Some(_) => RunState::Ended,
            None if self.ends_at <= now => RunState::Expired,
            None => RunState::Open,
        }
    }
}

/// An end that is no run's, with the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 minute to 7 days after the opening")]
pub struct EndError;

/// Checks when a run opened at `now` shall end.
pub fn end(now: OffsetDateTime, asked: OffsetDateTime) -> Result<OffsetDateTime, EndError> {
    let lasts = asked - now;
    if (RUN_MIN..=RUN_MAX).contains(&lasts) { Ok(asked) } else { Err(EndError) }
}

/// A number of tokens that a run may be opened for.
pub fn tokens(asked: u32) -> Result<u32, &'static str> {
    if (1..=TOKENS_MAX).contains(&asked) { Ok(asked) } else { Err("must be 1 to 1000000000") }
}

/// Labels that are too many or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// More than [`LABELS_MAX`].
    #[error("must have at most 20 labels")]
    Count,
    /// Longer than [`LABELS_LENGTH_MAX`].
    #[error("must have at most 2048 characters in all keys and values together")]
    Length,
    /// One key twice; case does not count, as it does not to STS.
    #[error("must not have the same key twice, in whatever case")]
    Repeated,
}

/// Puts labels together; `TagKey` and `TagValue` have checked each by itself.
pub fn labels(said: impl IntoIterator<Item = (TagKey, TagValue)>) -> Result<BTreeMap<TagKey, TagValue>, LabelsError> {
    let mut labels = BTreeMap::new();
    let mut length = 0;
    for (key, value) in said {
        length += key.as_str().len() + value.as_str().len();
        if labels.insert(key, value).is_some() {
            return Err(LabelsError::Repeated);
        }
    }
    match (labels.len(), length) {
        (..=LABELS_MAX, ..=LABELS_LENGTH_MAX) => Ok(labels),
        (..=LABELS_MAX, _) => Err(LabelsError::Length),
        _ => Err(LabelsError::Count),
    }
}

/// A new id: 20 of 62 characters, each as likely as the others (119 bits).
pub fn new_id(entropy: &dyn Entropy) -> RunId {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(RUN_ID_LEN);
    let mut bytes = [0; 32];
    loop {
        entropy.fill(&mut bytes);
        // 248 is the largest multiple of 62 that a byte holds: without this bound the first eight would be likelier.
        for byte in bytes.into_iter().filter(|byte| *byte < 248) {
            text.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            if let (RUN_ID_LEN, Ok(id)) = (text.len(), RunId::parse(&text)) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;
    use std::collections::BTreeSet;
    use time::macros::datetime;

    #[test]
    fn ids_are_ours_and_differ() {
        let entropy = SeededEntropy::new(5);
        let ids: BTreeSet<_> = (0..1000).map(|_| new_id(&entropy)).collect();
        assert_eq!(ids.len(), 1000);
        let letters: BTreeSet<_> = ids.iter().flat_map(|id| id.as_str().bytes()).collect();
        assert_eq!(letters.len(), 62);
    }

    #[test]
    fn a_run_ends_within_seven_days() {
        let now = datetime!(2026-11-21 12:00 UTC);
        for (lasts, fits) in [(59, false), (60, true), (86_400 * 7, true), (86_400 * 7 + 1, false), (-60, false)] {
            assert_eq!(end(now, now + Duration::seconds(lasts)).is_ok(), fits, "{lasts}");
        }
        assert_eq!((tokens(0).is_ok(), tokens(1).is_ok(), tokens(TOKENS_MAX + 1).is_ok()), (false, true, false));
    }

    #[test]
    fn labels_have_bounds() {
        let label = |key: &str, value: &str| (TagKey::parse(key).unwrap(), TagValue::parse(value).unwrap());
        assert_eq!(labels([label("Project", "a"), label("project", "b")]), Err(LabelsError::Repeated));
        assert_eq!(labels((0..21).map(|n| label(&format!("k{n}"), ""))), Err(LabelsError::Count));
        assert_eq!(labels((0..9).map(|n| label(&format!("k{n}"), &"v".repeat(250)))), Err(LabelsError::Length));
        assert_eq!(labels([label("a", "1"), label("b", "2")]).map(|labels| labels.len()), Ok(2));
    }
}
