//! A person's session: how it was opened, and how long that lasts.

use std::fmt;

use time::{Duration, OffsetDateTime};

use super::id::{CredentialId, UpstreamUid, UserUid};

/// How long a session lasts after the sign-in behind it, unless its provider says otherwise.
pub const SESSION_LENGTH: Duration = Duration::hours(12);
/// The longest that a provider's sessions may be set to last.
pub const SESSION_LENGTH_MAX: Duration = Duration::days(30);
/// A session that nobody refreshes for so long ends.
pub const SESSION_IDLE: Duration = Duration::days(7);

/// The one OAuth client by which people sign in: the command line, public (RFC 6749, section 2.1).
pub const CLI_CLIENT_ID: &str = "brevet-cli";

/// How a session was opened; teams say which they accept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionOrigin {
    /// With a one-time enrolment code (`TeamPolicy::enrolment_codes`).
    EnrolmentCode,
    /// At an upstream provider (`TeamPolicy::upstream_providers`).
    Upstream(UpstreamUid),
}

impl SessionOrigin {
    /// What an origin at a provider begins with, before the provider's uid.
    const UPSTREAM: &'static str = "upstream:";

    /// The exact inverse of its `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(Self::UPSTREAM) {
            Some(uid) => UpstreamUid::parse(uid).ok().map(Self::Upstream),
            None => (text == "enrolment_code").then_some(Self::EnrolmentCode),
        }
    }

    /// The provider, where there is one.
    pub const fn provider(&self) -> Option<&UpstreamUid> {
        match self {
            Self::EnrolmentCode => None,
            Self::Upstream(uid) => Some(uid),
        }
    }
}

/// The stable word: `enrolment_code` or `upstream:<uid>`.
impl fmt::Display for SessionOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnrolmentCode => f.write_str("enrolment_code"),
            Self::Upstream(uid) => write!(f, "{}{uid}", Self::UPSTREAM),
        }
    }
}

/// A person who has just proved who they are, in a browser or with a code: what a session is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub user: UserUid,
    /// How.
    pub origin: SessionOrigin,
    /// The enrolment code, where it was one: the session stays tied to it.
    pub code: Option<CredentialId>,
    /// The provider's name for the person, for logout there.
    pub subject: Option<String>,
    /// The provider's name for its session (`sid` of OpenID Connect Back-Channel Logout 1.0).
    pub sid: Option<String>,
    /// How the provider authenticated them (RFC 8176); empty where it did not say.
    pub amr: Vec<String>,
    /// When.
    pub at: OffsetDateTime,
    /// When every session of it ends, refreshed or not.
    pub ends_at: OffsetDateTime,
}

impl SignedIn {
    /// With an enrolment code, redeemed at `at`.
    pub fn by_code(user: UserUid, code: CredentialId, at: OffsetDateTime) -> Self {
        Self {
            user,
            origin: SessionOrigin::EnrolmentCode,
            code: Some(code),
            subject: None,
            sid: None,
            amr: Vec::new(),
            at,
            ends_at: at + SESSION_LENGTH,
        }
    }
}

/// What of the sign-in behind a session decides which tokens are minted in it, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// How; teams say which they accept.
    pub origin: SessionOrigin,
    /// How the provider authenticated the person (RFC 8176); empty where it did not say.
    pub amr: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_back_and_nothing_else_is_one() {
        let okta = SessionOrigin::Upstream(UpstreamUid::parse("okta-1").unwrap());
        for origin in [SessionOrigin::EnrolmentCode, okta] {
            assert_eq!(SessionOrigin::parse(&origin.to_string()), Some(origin));
        }
        for text in ["", "upstream", "upstream:", "upstream:a/b", "Enrolment_code", "enrolment_code "] {
            assert_eq!(SessionOrigin::parse(text), None, "{text}");
        }
    }
}
