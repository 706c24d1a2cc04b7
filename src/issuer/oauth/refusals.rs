//! Why the token endpoint refuses: closed lists, as data. What they look like on the wire is `http::error::oauth`.

use crate::crypto::client_assertion::AssertionRefused;
use crate::crypto::foreign_token::ForeignRefused;
use crate::domain::credential::CredentialKind;
use crate::domain::requester::Requester;
use crate::domain::trust::Mismatch;
use crate::issuer::refusals::{AuthError, MintError, Unavailable};
use crate::limit::rate::Limited;
use crate::oidc::KeysError;
use crate::store::{ChangeError, DeadReason, StoreError};

/// Why a client is not who it says it is. Messages repeat nothing of what was presented.
#[derive(Debug, thiserror::Error)]
pub enum ClientRefused {
    /// It showed nothing.
    #[error("the client must authenticate: with a service account key as client_secret, or with a client_assertion")]
    Nothing,
    /// The secret is no credential of ours, or a mistyped one.
    #[error("client_secret must be a service account key (bvt_sa_...), whole and unchanged")]
    Malformed,
    /// The secret is a credential of another kind.
    #[error("client_secret must be a service account key, and {} was presented", .0.with_article())]
    OtherKind(CredentialKind),
    /// The secret is not known.
    #[error("client_secret is not known")]
    Unknown,
    /// The key, its service account or its team is not alive.
    #[error("the client may not act any more: {}", .0.as_str().replace('_', " "))]
    Dead(DeadReason),
    /// `client_id` names another service account than the key's.
    #[error("client_id must be the uid of the service account whose key is client_secret")]
    OtherClient,
    /// `client_id` names another service account than the assertion does.
    #[error("client_id must be the iss and sub of client_assertion")]
    OtherSubject,
    /// The assertion is no good.
    #[error(transparent)]
    Assertion(#[from] AssertionRefused),
    /// The assertion has been here before.
    #[error("client_assertion was used before: each needs a jti of its own")]
    Replayed,
    /// The client's keys could not be had, so that nobody can say.
    #[error("the keys at the client's registered jwks_uri could not be had")]
    KeysUnavailable,
}

/// Why a foreign token is not taken; a closed list. What stays unsaid to the caller, the audit row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectTokenRefused {
    /// By itself it is no token that anybody could take.
    #[error("subject_token {0}")]
    Form(ForeignRefused),
    /// There is no such service account, it or its team is off, or it has no living rule about the issuer.
    #[error("subject_token fits no trust rule of this service account; its team's audit log may say more")]
    NotTrusted,
    /// It is one of ours.
    #[error("subject_token must not be a token of this issuer")]
    OwnIssuer,
    /// It does not hold under its issuer's keys.
    #[error("subject_token fits no trust rule of this service account; its team's audit log may say more")]
    NotVerified(ForeignRefused),
    /// It holds, but what it says cannot be taken by any rule, now or ever.
    #[error("subject_token {0}")]
    Said(ForeignRefused),
    /// It holds, and fits none of the rules.
    #[error("subject_token fits no trust rule of this service account; its team's audit log may say more")]
    Mismatch(Mismatch),
    /// It was presented as often as it may be.
    #[error("subject_token was presented before: get a new one, or let the trust rule allow reuse")]
    Spent,
    /// Its issuer's keys are not at hand.
    #[error("the keys of the subject_token's issuer cannot be had now; try again")]
    NoKeys(KeysError),
}

/// Why a person's terminal gets no tokens; a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefused {
    /// Another client than the one there is for people.
    #[error(
        "client_id must be brevet-cli: people sign in with that one, and service accounts have grants of their own"
    )]
    Client,
    /// The public client showed a secret.
    #[error("brevet-cli is a public client: leave secrets and assertions out")]
    Authenticated,
    /// The device's name is too long or has control characters.
    #[error("device_name must have at most 200 characters, none of them a control character")]
    Device,
    /// Nobody has decided.
    #[error("nobody has approved the device yet")]
    Pending,
    /// Nobody has decided, and the device asks too often.
    #[error("nobody has approved the device yet, and it asks too often: wait 5 seconds longer from now on")]
    SlowDown,
    /// Somebody denied it, or whoever approved it may not any more.
    #[error("the device was denied")]
    Denied,
    /// Nobody approved it in time.
    #[error("the device has waited too long: start again")]
    DeviceExpired,
    /// Not known, or used.
    #[error("device_code is not known, or was used before: start again")]
    DeviceCode,
    /// Not known, over, used, or another request's; which of these, only the audit row tells.
    #[error("code is not known, expired, was used before, or was given for another request: sign in again")]
    Code,
    /// Not known, used, or its session is over; which of these, only the audit row tells.
    #[error("refresh_token is not known or its session is over: sign in again")]
    RefreshToken,
}

/// Why there is no access token, or why one is not given up.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// The client is not who it says it is.
    #[error(transparent)]
    Client(#[from] ClientRefused),
    /// The token to be given up is another client's.
    #[error("token was not issued to this client")]
    OtherClientsToken,
    /// The token to be given up is of a kind that is not given up here.
    #[error("token must be an access token, and {} was presented", .0.with_article())]
    TokenType(CredentialKind),
    /// A person's terminal gets no tokens.
    #[error(transparent)]
    Grant(#[from] GrantRefused),
    /// Someone else's token is not taken.
    #[error(transparent)]
    SubjectToken(SubjectTokenRefused),
    /// The identity token that was asked for in exchange is not minted.
    #[error(transparent)]
    Mint(MintError),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// `Limited` or `Unavailable`, and who asked.
    #[error("{0}")]
    Proven(Box<OAuthError>, Requester),
}

impl ClientRefused {
    /// The stable word of the audit row.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Nothing => "client_not_authenticated",
            Self::Malformed => "malformed_credential",
            Self::OtherKind(_) => "not_permitted",
            Self::Unknown => "unknown_credential",
            Self::Dead(reason) => reason.as_str(),
            Self::OtherClient | Self::OtherSubject => "client_id_mismatch",
            Self::Assertion(refused) => refused.as_str(),
            Self::Replayed => "client_assertion_replayed",
            Self::KeysUnavailable => "client_keys_unavailable",
        }
    }
}

impl SubjectTokenRefused {
    /// The stable word of the audit row.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Form(refused) | Self::NotVerified(refused) | Self::Said(refused) => refused.as_str(),
            Self::NotTrusted => "subject_token_not_trusted",
            Self::OwnIssuer => "subject_token_own_issuer",
            Self::Mismatch(Mismatch::Issuer) => "subject_token_issuer",
            Self::Mismatch(Mismatch::Audience) => "subject_token_audience",
            Self::Mismatch(Mismatch::Condition(_)) => "subject_token_condition",
            Self::Spent => "subject_token_replayed",
            Self::NoKeys(_) => "subject_token_keys_unavailable",
        }
    }
}

/// What a bearer is refused for, in the words of a client's secret.
impl From<AuthError> for OAuthError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Malformed(_) => ClientRefused::Malformed.into(),
            AuthError::EnrolmentCode => ClientRefused::OtherKind(CredentialKind::Enrolment).into(),
            AuthError::RefreshToken => ClientRefused::OtherKind(CredentialKind::Refresh).into(),
            AuthError::Unknown => ClientRefused::Unknown.into(),
            AuthError::Dead(reason) => ClientRefused::Dead(reason).into(),
            AuthError::Limited(limited) => limited.into(),
            AuthError::CallerLimited(limited, requester) => Self::from(limited).proven(requester),
            AuthError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        Unavailable::from(error).into()
    }
}

impl OAuthError {
    /// The same, and to whom: refusals that say to come back are counted by it.
    #[must_use]
    pub(in crate::issuer) fn proven(self, requester: impl Into<Option<Requester>>) -> Self {
        match (self, requester.into()) {
            (error @ (Self::Limited(_) | Self::Unavailable(_)), Some(requester)) => {
                Self::Proven(Box::new(error), requester)
            }
            (error, _) => error,
        }
    }

    /// What the store says of a change that no caller's words can cause to fail.
    pub(in crate::issuer) fn of_change(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::NotFound
            | ChangeError::VersionMismatch { .. }
            | ChangeError::UidTaken
            | ChangeError::Conflict(_) => Unavailable::Changing.into(),
        }
    }
}
