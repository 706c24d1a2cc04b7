//! One browser's way through the sign-in pages: for whom it is, and how far it has come.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};

use super::authorization::Authorization;
use super::id::{DeviceGrantId, TeamUid, UpstreamUid};
use super::session::SignedIn;

/// How long a browser may take from the first page to the last, second factor at the provider included.
pub const SIGN_IN_LENGTH: Duration = Duration::minutes(10);

/// For whom somebody signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A device that showed a user code (RFC 8628).
    Device {
        /// Its grant.
        grant: DeviceGrantId,
        /// The team it asks for, where it said.
        team: Option<TeamUid>,
    },
    /// A program on the machine of the browser (RFC 8252).
    Terminal(Authorization),
}

impl Asker {
    /// The team it asks for, where it said.
    pub const fn team(&self) -> Option<&TeamUid> {
        match self {
            Self::Device { team, .. } => team.as_ref(),
            Self::Terminal(authorization) => authorization.team.as_ref(),
        }
    }
}

/// The way of one browser, known by the hash of its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// For whom.
    pub asker: Asker,
    /// The provider that the browser was last sent to.
    pub provider: Option<UpstreamUid>,
    /// Who they turned out to be. From then on the cookie is another, and nothing but the decision is left.
    pub signed_in: Option<SignedIn>,
    /// Where the browser was when it began.
    pub address: Option<IpAddr>,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it ends, decided or not.
    pub expires_at: OffsetDateTime,
}
