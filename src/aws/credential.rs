//! Temporary AWS credentials, and whose they are.

use std::fmt;

use time::OffsetDateTime;

use crate::domain::secret::Secret;
use crate::domain::subject::Subject;

/// What STS answers: a key pair and session token that end at [`TemporaryCredentials::expires_at`].
#[derive(Clone)]
pub struct TemporaryCredentials {
    /// `ASIA…`; it stands in CloudTrail and is no secret.
    pub access_key_id: Box<str>,
    /// The signing secret.
    pub secret_access_key: Secret,
    /// Sent and signed with every request.
    pub session_token: Secret,
    /// When AWS stops taking them.
    pub expires_at: OffsetDateTime,
}

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemporaryCredentials({} until {})", self.access_key_id, self.expires_at)
    }
}

/// Under whose token a session was opened, byte for byte as the issuer signed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The `iss`.
    pub issuer: Box<str>,
    /// The `sub`.
    pub subject: Subject,
}

/// Credentials together with the principal they were made for. There is no way to the credentials but through
/// [`OwnedCredentials::of`], so that whoever signs has named whom it signs for (threat 25).
#[derive(Debug)]
pub struct OwnedCredentials {
    owner: Owner,
    credentials: TemporaryCredentials,
}

/// Credentials were asked for in another principal's name than they were made for. It cannot happen while the
/// cache key is whole; if it does, nothing is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cached credentials belong to another principal")]
pub struct ForeignCredentials;

impl OwnedCredentials {
    /// Ties `credentials` to `owner`, as told by the answer of who opened the session, not by a cache key.
    pub const fn new(owner: Owner, credentials: TemporaryCredentials) -> Self {
        Self { owner, credentials }
    }

    /// The credentials, if they are `owner`'s.
    pub fn of(&self, owner: &Owner) -> Result<&TemporaryCredentials, ForeignCredentials> {
        if self.owner == *owner { Ok(&self.credentials) } else { Err(ForeignCredentials) }
    }

    /// When AWS stops taking them.
    pub const fn expires_at(&self) -> OffsetDateTime {
        self.credentials.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(issuer: &str, subject: &str) -> Owner {
        Owner { issuer: issuer.into(), subject: Subject::parse(subject).unwrap() }
    }

    fn credentials() -> TemporaryCredentials {
        TemporaryCredentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: Secret::new("canary-secret".into()),
            session_token: Secret::new("canary-token".into()),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn threat_31_debugging_credentials_shows_no_secret() {
        let owned = OwnedCredentials::new(owner("https://a", "scoped_principal:t1/user:aa"), credentials());
        let shown = format!("{:?} {owned:?}", credentials());
        assert!(shown.contains("ASIAEXAMPLE") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn threat_25_only_their_owner_gets_at_the_credentials() {
        let own = owner("https://a", "scoped_principal:t1/user:aa");
        let owned = OwnedCredentials::new(own.clone(), credentials());
        assert!(owned.of(&own).is_ok());
        for (issuer, subject) in [
            ("https://b", "scoped_principal:t1/user:aa"),
            ("https://a", "scoped_principal:t2/user:aa"),
            ("https://a", "scoped_principal:t1/user:ab"),
            ("https://a", "scoped_principal:t1/service_account:aa"),
        ] {
            assert_eq!(owned.of(&owner(issuer, subject)).map(|_| ()), Err(ForeignCredentials));
        }
    }
}
