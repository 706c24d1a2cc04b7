//! Identifiers: what a uid may look like, and one type per kind so that none is taken for another.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use uuid::Uuid;

/// Fewest characters of a [`Uid`].
pub const UID_MIN: usize = 2;
/// Most characters of a [`Uid`].
pub const UID_MAX: usize = 48;

/// A text that is no uid, with the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Shorter than [`UID_MIN`] or longer than [`UID_MAX`].
    #[error("must have 2 to 48 characters")]
    Length,
    /// The first character is not an ASCII letter or digit.
    #[error("must begin with an ASCII letter or digit")]
    First,
    /// A character outside `[A-Za-z0-9_-]`.
    #[error("may contain only ASCII letters, digits, '_' and '-'")]
    Character,
}

/// A kind of thing that has uids of its own; a type-level tag, never a value.
pub trait Kind {
    /// The word for the kind in messages and documents, such as `team`.
    const WORD: &'static str;
}

/// The tag of [`TeamUid`].
#[derive(Debug)]
pub enum Team {}
/// The tag of [`UserUid`].
#[derive(Debug)]
pub enum User {}
/// The tag of [`ServiceAccountUid`].
#[derive(Debug)]
pub enum ServiceAccount {}
/// The tag of [`UpstreamUid`].
#[derive(Debug)]
pub enum Upstream {}

impl Kind for Team {
    const WORD: &'static str = "team";
}
impl Kind for User {
    const WORD: &'static str = "user";
}
impl Kind for ServiceAccount {
    const WORD: &'static str = "service account";
}
impl Kind for Upstream {
    const WORD: &'static str = "upstream provider";
}

/// The stable public name of a team, person or service account: 2 to 48 characters of `[A-Za-z0-9_-]`,
/// the first alphanumeric, unique in its kind also without case, never reused.
///
/// No character of it means anything in a subject, a trust policy pattern or a session name, which is
/// why anything else is refused and nothing is ever escaped or trimmed.
pub struct Uid<K>(Box<str>, PhantomData<fn() -> K>);

/// Names a team.
pub type TeamUid = Uid<Team>;
/// Names a person.
pub type UserUid = Uid<User>;
/// Names an agent.
pub type ServiceAccountUid = Uid<ServiceAccount>;
/// Names an OIDC provider at which people sign in.
pub type UpstreamUid = Uid<Upstream>;

impl<K> Uid<K> {
    /// Takes `text` for a uid, unchanged, or says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, UidError> {
        let bytes = text.as_bytes();
        if !(UID_MIN..=UID_MAX).contains(&bytes.len()) {
            return Err(UidError::Length);
        }
        if !bytes[0].is_ascii_alphanumeric() {
            return Err(UidError::First);
        }
        if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            return Err(UidError::Character);
        }
        Ok(Self(text.into(), PhantomData))
    }

    /// A uid of our own making: a hyphenated UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid.hyphenated().to_string().into(), PhantomData)
    }

    /// The text, exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without case, by which uniqueness is judged.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl<K> Clone for Uid<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}
impl<K> PartialEq for Uid<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Uid<K> {}
impl<K> PartialOrd for Uid<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Uid<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Uid<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Display for Uid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl<K: Kind> fmt::Debug for Uid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", K::WORD, self.0)
    }
}

/// Characters of a [`RunId`].
pub const RUN_ID_LEN: usize = 20;

/// A run's id, of our own making: 20 characters of `[0-9A-Za-z]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Box<str>);

/// A text that is no run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 20 ASCII letters and digits")]
pub struct RunIdError;

impl RunId {
    /// Takes `text` for a run id, unchanged.
    pub fn parse(text: &str) -> Result<Self, RunIdError> {
        if text.len() == RUN_ID_LEN && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            Ok(Self(text.into()))
        } else {
            Err(RunIdError)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A UUIDv7 that names one thing of kind `K`: a credential, an audit row, an issuer, a minted token.
pub struct Handle<K>(Uuid, PhantomData<fn() -> K>);

/// The tag of [`CredentialId`].
#[derive(Debug)]
pub enum Credential {}
/// The tag of [`TokenId`].
#[derive(Debug)]
pub enum Token {}
/// The tag of [`IssuerId`].
#[derive(Debug)]
pub enum Issuer {}
/// The tag of [`SessionId`].
#[derive(Debug)]
pub enum Session {}
/// The tag of [`EventId`].
#[derive(Debug)]
pub enum Event {}
/// The tag of [`AdministratorId`].
#[derive(Debug)]
pub enum Administrator {}
/// The tag of [`ReplicaId`].
#[derive(Debug)]
pub enum Replica {}
/// The tag of [`PublicKeyId`].
#[derive(Debug)]
pub enum PublicKey {}
/// The tag of [`TrustRuleId`].
#[derive(Debug)]
pub enum TrustRule {}
/// The tag of [`DeviceGrantId`].
#[derive(Debug)]
pub enum DeviceGrant {}

/// Names a stored secret (a key, an access token, an enrolment code) without being one.
pub type CredentialId = Handle<Credential>;
/// The `jti` of a minted token.
pub type TokenId = Handle<Token>;
/// Names an issuer of this installation; keys and audit rows carry it.
pub type IssuerId = Handle<Issuer>;
/// Names a person's session.
pub type SessionId = Handle<Session>;
/// Names an audit row.
pub type EventId = Handle<Event>;
/// Names an administrator of the installation.
pub type AdministratorId = Handle<Administrator>;
/// Names one serving process, from its start to its end.
pub type ReplicaId = Handle<Replica>;
/// Names a public key, or a place of public keys, of a service account.
pub type PublicKeyId = Handle<PublicKey>;
/// Names a trust rule of a service account.
pub type TrustRuleId = Handle<TrustRule>;
/// Names a device that waits for a person's approval.
pub type DeviceGrantId = Handle<DeviceGrant>;

impl<K> Handle<K> {
    /// Wraps a UUID made at the edge.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// Parses a hyphenated lower-case UUID; no other spelling names anything.
    pub fn parse(text: &str) -> Option<Self> {
        let uuid = Uuid::try_parse(text).ok()?;
        (uuid.hyphenated().to_string() == text).then_some(Self::new(uuid))
    }

    /// The UUID.
    pub const fn uuid(&self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Handle<K> {}
impl<K> PartialEq for Handle<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Handle<K> {}
impl<K> PartialOrd for Handle<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Handle<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Handle<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Display for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}
impl<K> fmt::Debug for Handle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_rule_has_its_own_refusal() {
        for (text, error) in [
            ("", UidError::Length),
            ("a", UidError::Length),
            (&"a".repeat(49) as &str, UidError::Length),
            ("-a", UidError::First),
            ("_a", UidError::First),
            ("a:", UidError::Character),
            ("a/b", UidError::Character),
            ("a b", UidError::Character),
            ("ab ", UidError::Character),
            ("a*", UidError::Character),
            ("a?", UidError::Character),
            ("a%3A", UidError::Character),
            ("aé", UidError::Character),
            ("a\0", UidError::Character),
        ] {
            assert_eq!(TeamUid::parse(text).map(|u| u.to_string()), Err(error), "{text:?}");
        }
        for text in ["ab", "0-", "A_b-C", &"z".repeat(48)] {
            assert_eq!(TeamUid::parse(text).map(|u| u.to_string()).as_deref(), Ok(text));
        }
    }

    proptest! {
        #[test]
        fn a_uid_is_kept_or_refused_never_changed(text in "\\PC{0,60}") {
            if let Ok(uid) = UserUid::parse(&text) {
                prop_assert_eq!(uid.as_str(), &text);
            }
        }
    }

    #[test]
    fn run_ids_and_handles_have_one_spelling() {
        assert!(RunId::parse("0123456789abcdefABCD").is_ok());
        for bad in ["", "0123456789abcdefABC", "0123456789abcdefABCDE", "0123456789abcdefAB-D"] {
            assert_eq!(RunId::parse(bad), Err(RunIdError), "{bad:?}");
        }
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(TokenId::parse(text).map(|t| t.to_string()).as_deref(), Some(text));
        for bad in [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), format!("urn:uuid:{text}")] {
            assert_eq!(TokenId::parse(&bad), None, "{bad:?}");
        }
    }
}
