//! The `sub` of every token: `scoped_principal:<team-uid>/<actor-type>:<principal-uid>`.

use std::fmt;

use super::id::TeamUid;
use super::principal::{ActorType, Principal};

const SCHEME: &str = "scoped_principal:";

/// Who a token speaks for, in which team. [`fmt::Display`] is the one constructor of the text and
/// [`Subject::parse`] its exact inverse; there is no teamless form.
///
/// Customers pin this text in trust policies, so the grammar is frozen. Because no uid may contain `:`,
/// `/`, `*` or `?`, no subject of one team matches `scoped_principal:<other team>/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    team: TeamUid,
    principal: Principal,
}

/// A text that is no subject. It does not say why: a subject comes from a machine, not from a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be scoped_principal:<team-uid>/<user|service_account>:<uid>")]
pub struct SubjectError;

impl Subject {
    /// The subject of `principal` acting in `team`.
    pub const fn new(team: TeamUid, principal: Principal) -> Self {
        Self { team, principal }
    }

    /// Takes `text` apart; only what [`fmt::Display`] writes is accepted.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let rest = text.strip_prefix(SCHEME).ok_or(SubjectError)?;
        let (team, principal) = rest.split_once('/').ok_or(SubjectError)?;
        Ok(Self {
            team: TeamUid::parse(team).map_err(|_| SubjectError)?,
            principal: Principal::parse(principal).map_err(|_| SubjectError)?,
        })
    }

    /// The team.
    pub const fn team(&self) -> &TeamUid {
        &self.team
    }

    /// The person or agent.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The `StringLike` patterns of a trust policy that admit every principal of `team`: one for each actor type,
    /// so that a type added later is admitted nowhere by itself.
    pub fn team_patterns(team: &TeamUid) -> [String; ActorType::ALL.len()] {
        ActorType::ALL.map(|actor| Self::actor_pattern(team, actor))
    }

    /// The `StringLike` pattern that admits every principal of one actor type of `team`.
    pub fn actor_pattern(team: &TeamUid, actor: ActorType) -> String {
        format!("{SCHEME}{team}/{actor}:*")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.team, self.principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_uid() -> impl Strategy<Value = String> {
        "[A-Za-z0-9][A-Za-z0-9_-]{1,47}"
    }

    fn subject(team: &str, actor: ActorType, uid: &str) -> Subject {
        Subject::new(TeamUid::parse(team).unwrap(), Principal::new(actor, uid).unwrap())
    }

    fn any_actor() -> impl Strategy<Value = ActorType> {
        prop_oneof![Just(ActorType::User), Just(ActorType::ServiceAccount)]
    }

    /// IAM's `StringLike`, for one `*` at the end.
    fn matches(pattern: &str, text: &str) -> bool {
        text.starts_with(pattern.strip_suffix('*').unwrap())
    }

    proptest! {
        #[test]
        fn threat_10_parse_is_the_inverse_of_display(team in any_uid(), actor in any_actor(), uid in any_uid()) {
            let subject = subject(&team, actor, &uid);
            prop_assert_eq!(Subject::parse(&subject.to_string()), Ok(subject));
        }

        #[test]
        fn threat_10_whatever_parses_is_what_display_writes(text in "(scoped_principal:)?\\PC{0,80}") {
            if let Ok(subject) = Subject::parse(&text) {
                prop_assert_eq!(subject.to_string(), text);
            }
        }

        #[test]
        fn threat_10_no_subject_of_one_team_matches_another_teams_pattern(
            a in any_uid(), b in any_uid(), actor in any_actor(), uid in any_uid()
        ) {
            prop_assume!(a != b);
            let other = TeamUid::parse(&a).unwrap();
            let text = subject(&b, actor, &uid).to_string();
            let widest = format!("{SCHEME}{other}/*");
            prop_assert!(!matches(&widest, &text));
            for pattern in Subject::team_patterns(&other) {
                prop_assert!(!matches(&pattern, &text));
            }
        }

        #[test]
        fn threat_9_a_subject_stays_within_the_255_characters_of_sts(team in any_uid(), actor in any_actor(), uid in any_uid()) {
            prop_assert!((6..=255).contains(&subject(&team, actor, &uid).to_string().len()));
        }
    }

    #[test]
    fn near_misses_are_refused() {
        for text in [
            "",
            "scoped_principal:",
            "scoped_principal:user:ab",
            "scoped_principal:t1/user:",
            "scoped_principal:t1/user:a b",
            "scoped_principal:t1/user:ab/c",
            "scoped_principal:t1//user:ab",
            "scoped_principal:t1/root:ab",
            "scoped_principal:t1/user:ab\n",
            " scoped_principal:t1/user:ab",
            "Scoped_principal:t1/user:ab",
            "scoped_principal:t1/user%3Aab",
            "scoped_principal:t1/../user:ab",
        ] {
            assert_eq!(Subject::parse(text), Err(SubjectError), "{text:?}");
        }
    }
}
