//! Role session names and source identities, derived from the principal and the run.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::id::RunId;
use super::principal::Principal;

/// Most characters of a session name and of a source identity (STS).
pub const SESSION_NAME_MAX: usize = 64;
const HASH_LEN: usize = 13;

/// `<u|s>.<principal-uid>.<run-id>`, or `<u|s>.<principal-uid>` without a run. Where that passes 64
/// characters: `<u|s>.<principal-uid>=` and the first 13 base64url characters of the SHA-256 of the full
/// text. The principal always stands whole, and `=` occurs in no uncut name, so names never collide.
///
/// A session name is a label, not proof: whoever calls STS chooses it. Proof are `sub`, signed tags and
/// the source identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionName(Box<str>);

impl SessionName {
    /// The name of a session of `principal`, in `run` where there is one.
    pub fn new(principal: &Principal, run: Option<&RunId>) -> Self {
        let who = SourceIdentity::new(principal);
        let Some(run) = run else { return Self(who.0) };
        let full = format!("{who}.{run}");
        if full.len() <= SESSION_NAME_MAX {
            return Self(full.into());
        }
        let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, full.as_bytes()));
        Self(format!("{who}={}", &hash[..HASH_LEN]).into())
    }

    /// The text: 4 to 64 characters of `[A-Za-z0-9_.=-]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<u|s>.<principal-uid>`: who is behind a session, kept by STS across role chaining.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity(Box<str>);

impl SourceIdentity {
    /// The source identity of `principal`.
    pub fn new(principal: &Principal) -> Self {
        Self(format!("{}.{}", principal.actor_type().letter(), principal.uid()).into())
    }

    /// The text: 4 to 50 characters of `[A-Za-z0-9_.-]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::principal::ActorType;
    use proptest::prelude::*;

    fn any_principal() -> impl Strategy<Value = Principal> {
        (any::<bool>(), "[A-Za-z0-9][A-Za-z0-9_-]{1,47}").prop_map(|(person, uid)| {
            Principal::new(if person { ActorType::User } else { ActorType::ServiceAccount }, &uid).unwrap()
        })
    }

    fn any_run() -> impl Strategy<Value = Option<RunId>> {
        proptest::option::of("[0-9A-Za-z]{20}".prop_map(|text| RunId::parse(&text).unwrap()))
    }

    proptest! {
        #[test]
        fn threat_27_distinct_sessions_have_distinct_legal_names(
            a in (any_principal(), any_run()), b in (any_principal(), any_run())
        ) {
            let name = |x: &(Principal, Option<RunId>)| SessionName::new(&x.0, x.1.as_ref());
            prop_assert_eq!(a == b, name(&a) == name(&b));
            let text = name(&a).to_string();
            prop_assert!((2..=SESSION_NAME_MAX).contains(&text.len()));
            prop_assert!(text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_+=,.@-".contains(&c)));
            prop_assert!(text.starts_with(SourceIdentity::new(&a.0).as_str()));
        }
    }

    #[test]
    fn threat_27_two_runs_of_one_long_uid_do_not_meet_in_the_cut() {
        let who = Principal::new(ActorType::ServiceAccount, &"a".repeat(48)).unwrap();
        let run = |c: &str| RunId::parse(&c.repeat(20)).unwrap();
        let (x, y) = (SessionName::new(&who, Some(&run("x"))), SessionName::new(&who, Some(&run("y"))));
        assert_ne!(x, y);
        assert_eq!(x.as_str().len(), 64);
        assert_eq!(x.as_str().find('='), Some(50));
    }
}
