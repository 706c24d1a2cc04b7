//! Principals: a person (`user`) or an agent (`service_account`), the closed set of actor types.

use std::fmt;

use super::id::{ServiceAccountUid, UidError, UserUid};

/// The closed set of actor types. A new one would silently match every `team/*` trust policy, so it
/// needs a major version (the grammar is frozen).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorType {
    /// A person.
    User,
    /// An agent; it belongs to one team for ever.
    ServiceAccount,
}

impl ActorType {
    /// Every actor type there is.
    pub const ALL: [Self; 2] = [Self::User, Self::ServiceAccount];

    /// The word in subjects, claims and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
        }
    }

    /// The letter in session names and source identities.
    pub const fn letter(self) -> char {
        match self {
            Self::User => 'u',
            Self::ServiceAccount => 's',
        }
    }

    /// The exact inverse of [`ActorType::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|actor| actor.as_str() == text)
    }
}

impl fmt::Display for ActorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom a token speaks for, within a team.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A person.
    User(UserUid),
    /// An agent.
    ServiceAccount(ServiceAccountUid),
}

/// A text that names no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// Not `user:<uid>` or `service_account:<uid>`.
    #[error("must be user:<uid> or service_account:<uid>")]
    Form,
    /// The part behind the colon is no uid.
    #[error("uid {0}")]
    Uid(#[from] UidError),
}

impl Principal {
    /// Puts the two parts together.
    pub fn new(actor: ActorType, uid: &str) -> Result<Self, UidError> {
        Ok(match actor {
            ActorType::User => Self::User(UserUid::parse(uid)?),
            ActorType::ServiceAccount => Self::ServiceAccount(ServiceAccountUid::parse(uid)?),
        })
    }

    /// Parses `user:<uid>` or `service_account:<uid>`, the exact inverse of `Display`.
    pub fn parse(text: &str) -> Result<Self, PrincipalError> {
        let (actor, uid) = text.split_once(':').ok_or(PrincipalError::Form)?;
        let actor = ActorType::parse(actor).ok_or(PrincipalError::Form)?;
        Ok(Self::new(actor, uid)?)
    }

    /// Person or agent.
    pub const fn actor_type(&self) -> ActorType {
        match self {
            Self::User(_) => ActorType::User,
            Self::ServiceAccount(_) => ActorType::ServiceAccount,
        }
    }

    /// The person, where it is one.
    pub const fn user(&self) -> Option<&UserUid> {
        match self {
            Self::User(uid) => Some(uid),
            Self::ServiceAccount(_) => None,
        }
    }

    /// The agent, where it is one.
    pub const fn service_account(&self) -> Option<&ServiceAccountUid> {
        match self {
            Self::User(_) => None,
            Self::ServiceAccount(uid) => Some(uid),
        }
    }

    /// The uid's text, whichever kind it is of.
    pub fn uid(&self) -> &str {
        match self {
            Self::User(uid) => uid.as_str(),
            Self::ServiceAccount(uid) => uid.as_str(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor_type(), self.uid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_13_the_set_of_actor_types_is_closed() {
        // A longer list needs a major version and a migration note: every `team/*` policy admits it.
        assert_eq!(ActorType::ALL.map(ActorType::as_str), ["user", "service_account"]);
    }

    #[test]
    fn only_the_exact_form_names_a_principal() {
        assert_eq!(Principal::parse("user:ab").map(|p| p.to_string()).as_deref(), Ok("user:ab"));
        assert_eq!(Principal::parse("service_account:ab").map(|p| p.uid().to_owned()).as_deref(), Ok("ab"));
        for text in ["", "user", "user/ab", "User:ab", " user:ab", "robot:ab"] {
            assert_eq!(Principal::parse(text), Err(PrincipalError::Form), "{text:?}");
        }
        assert_eq!(Principal::parse("user:a:b"), Err(PrincipalError::Uid(UidError::Character)));
    }
}
