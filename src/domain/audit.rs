//! Audit rows: what happened, who did it, what was decided and why.

use std::fmt;
use std::net::IpAddr;

use time::OffsetDateTime;

use super::credential::CredentialKind;
use super::id::{CredentialId, EventId, IssuerId, TeamUid};
use super::principal::Principal;

/// What was attempted; a closed list. The text is stable and public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A principal's own credential asked for a token.
    TokenMint,
    /// A worker presented a caller's token.
    TokenExchange,
    /// A released token could not be signed: it never left.
    TokenSignature,
    /// A session was opened, or asked for: with a code, a device or a browser.
    SessionOpen,
    /// A refresh token was shown.
    SessionRefresh,
    /// A session was ended.
    SessionEnd,
    /// Somebody proved who they are in a browser, or tried to.
    SignIn,
    /// A person let a device in.
    DeviceApprove,
    /// A person denied a device.
    DeviceDeny,
    /// A person came into a team by signing in.
    MemberJoin,
    /// A provider ended sessions that began there, or tried to.
    UpstreamLogout,
    /// A credential that is not known, expired or revoked was presented.
    Authenticate,
    /// Something was made through the admin API; `target` says what.
    AdminCreate,
    /// Something was changed through the admin API.
    AdminUpdate,
    /// Something was deleted or revoked through the admin API.
    AdminDelete,
    /// The first administrator key was made.
    Bootstrap,
    /// A signing key was made.
    SigningKeyCreate,
    /// A key that was there before was made an issuer's first.
    SigningKeyImport,
    /// A signing key was sealed anew with another key-encryption key.
    SigningKeyReseal,
    /// The instant was set from which a standby signs.
    SigningKeyHandOver,
    /// A planned hand-over to a standby was called off.
    SigningKeyPostpone,
    /// The private half of a key that is over was destroyed.
    SigningKeyForget,
    /// An operator replaced the standby.
    SigningKeyPrepare,
    /// An operator moved signing to the standby.
    SigningKeyRotate,
    /// An operator distrusted a key.
    SigningKeyDistrust,
    /// An operator replaced every key.
    SigningKeyReplaceAll,
    /// A run was opened, or asked for.
    RunOpen,
    /// A run was ended before its time.
    RunEnd,
    /// A service account asked for an access token at `/oauth2/token`.
    AccessTokenIssue,
    /// A service account gave one up at `/oauth2/revoke`.
    AccessTokenRevoke,
    /// An operator changed the numbers by which signing keys follow each other.
    SigningKeyReschedule,
    /// A restored store learned from the tombstones of a later one.
    StoreRestore,
}

impl Action {
    /// Every action there is.
    pub const ALL: [Self; 30] = [
        Self::TokenMint,
        Self::TokenExchange,
        Self::TokenSignature,
        Self::SessionOpen,
        Self::SessionRefresh,
        Self::SessionEnd,
        Self::SignIn,
        Self::DeviceApprove,
        Self::DeviceDeny,
        Self::MemberJoin,
        Self::UpstreamLogout,
        Self::Authenticate,
        Self::AdminCreate,
        Self::AdminUpdate,
        Self::AdminDelete,
        Self::Bootstrap,
        Self::SigningKeyCreate,
        Self::SigningKeyImport,
        Self::SigningKeyReseal,
        Self::SigningKeyHandOver,
        Self::SigningKeyPostpone,
        Self::SigningKeyForget,
        Self::SigningKeyPrepare,
        Self::SigningKeyRotate,
        Self::SigningKeyDistrust,
        Self::SigningKeyReplaceAll,
        Self::RunOpen,
        Self::RunEnd,
        Self::AccessTokenIssue,
        Self::AccessTokenRevoke,
        Self::SigningKeyReschedule,
        Self::StoreRestore,
    ];

    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenMint => "token.mint",
            Self::TokenExchange => "token.exchange",
            Self::TokenSignature => "token.signature",
            Self::SessionOpen => "session.open",
            Self::SessionRefresh => "session.refresh",
            Self::SessionEnd => "session.end",
            Self::SignIn => "sign_in",
            Self::DeviceApprove => "device.approve",
            Self::DeviceDeny => "device.deny",
            Self::MemberJoin => "member.join",
            Self::UpstreamLogout => "upstream.logout",
            Self::Authenticate => "authenticate",
            Self::AdminCreate => "admin.create",
            Self::AdminUpdate => "admin.update",
            Self::AdminDelete => "admin.delete",
            Self::Bootstrap => "bootstrap",
            Self::SigningKeyCreate => "signing_key.create",
            Self::SigningKeyImport => "signing_key.import",
            Self::SigningKeyReseal => "signing_key.reseal",
            Self::SigningKeyHandOver => "signing_key.hand_over",
            Self::SigningKeyPostpone => "signing_key.postpone",
            Self::SigningKeyForget => "signing_key.forget",
            Self::SigningKeyPrepare => "signing_key.prepare",
            Self::SigningKeyRotate => "signing_key.rotate",
            Self::SigningKeyDistrust => "signing_key.distrust",
            Self::SigningKeyReplaceAll => "signing_key.replace_all",
            Self::RunOpen => "run.open",
            Self::RunEnd => "run.end",
            Self::AccessTokenIssue => "access_token.issue",
            Self::AccessTokenRevoke => "access_token.revoke",
            Self::SigningKeyReschedule => "signing_key.reschedule",
            Self::StoreRestore => "store.restore",
        }
    }

    /// The exact inverse of [`Action::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Authorised; for a token: release authorised.
    Allowed,
    /// Refused, for the event's reason.
    Refused,
}

impl Decision {
    /// `allowed` or `refused`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }

    /// The exact inverse of [`Decision::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused].into_iter().find(|decision| decision.as_str() == text)
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address, as the listener's rule finds it.
    pub address: Option<IpAddr>,
    /// The `User-Agent`, cut to 200 characters, control characters replaced.
    pub user_agent: Option<String>,
}

/// The token an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its audience.
    pub audience: String,
    /// Its lifetime in seconds.
    pub lifetime_seconds: u32,
    /// Its `jti`.
    pub token_id: String,
    /// Its key.
    pub kid: String,
    /// The role it is bound to.
    pub role_arn: Option<String>,
    /// The run it belongs to.
    pub run_id: Option<String>,
    /// SHA-256 of `header.payload`, 64 hexadecimal digits: whoever holds the token can compute it.
    pub signing_input_sha256: String,
}

/// One audit row. It holds no token and no key, nor anything they could be computed from.
///
/// `R` is the word of [`Event::reason`]: from a closed list where a row is written, plain text where one is read
/// ([`RecordedEvent`]), because an older version may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<R = &'static str> {
    /// Its id, a UUIDv7 of its time.
    pub id: EventId,
    /// When it was decided.
    pub at: OffsetDateTime,
    /// Under which issuer.
    pub issuer: IssuerId,
    /// What was attempted.
    pub action: Action,
    /// What was decided.
    pub decision: Decision,
    /// Why, as a stable word; absent where allowed.
    pub reason: Option<R>,
    /// The credential that asked, where it is known.
    pub credential: Option<(CredentialKind, CredentialId)>,
    /// The worker that presented a caller's token.
    pub worker: Option<CredentialId>,
    /// In which team.
    pub team: Option<TeamUid>,
    /// For whom.
    pub principal: Option<Principal>,
    /// What was made, changed or deleted: `<kind>:<uid>`.
    pub target: Option<String>,
    /// The token, where one was decided on.
    pub token: Option<TokenFacts>,
    /// Where the request came from.
    pub origin: Origin,
    /// How many like events the row stands for: 1, except for counted refusals of unknown credentials.
    pub count: u32,
}

impl<R> Event<R> {
    /// A row that says nothing yet but when and under which issuer what was decided on what.
    pub fn new(id: EventId, at: OffsetDateTime, issuer: IssuerId, action: Action, decision: Decision) -> Self {
        Self {
            id,
            at,
            issuer,
            action,
            decision,
            reason: None,
            credential: None,
            worker: None,
            team: None,
            principal: None,
            target: None,
            token: None,
            origin: Origin::default(),
            count: 1,
        }
    }
}

/// An audit row as the store tells it.
pub type RecordedEvent = Event<String>;
