//! Why a caller is refused: closed lists, as data. What they look like on the wire is `http::error`.

use crate::crypto::seal::SealError;
use crate::crypto::signer::SignerError;
use crate::crypto::verify::TokenRefused;
use crate::crypto::verifying_key::VerifyingKeyError;
use crate::domain::access::Denied;
use crate::domain::credential::CredentialError;
use crate::domain::id::TeamUid;
use crate::domain::platform::PlatformRight;
use crate::domain::policy::Refusal;
use crate::domain::requester::Requester;
use crate::domain::session::SessionOrigin;
use crate::domain::signing_key::KeySetError;
use crate::limit::admission::Busy;
use crate::limit::rate::Limited;
use crate::store::{DeadReason, QueueFull, StoreError};

/// Why a bearer is nobody. Messages never repeat it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is no credential of ours, or a mistyped one.
    #[error("the bearer {0}")]
    Malformed(#[from] CredentialError),
    /// It is of a kind that opens nothing by itself.
    #[error("the bearer is an enrolment code: redeem it at POST /v1/sessions")]
    EnrolmentCode,
    /// It is what a person's next tokens are got with.
    #[error("the bearer is a refresh token: exchange it at POST /oauth2/token")]
    RefreshToken,
    /// It is not known.
    #[error("the credential is not known")]
    Unknown,
    /// It is known, and dead.
    #[error("{}", dead_words(*.0))]
    Dead(DeadReason),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// It is known, and shown too often; who is counted for that.
    #[error("{0}")]
    CallerLimited(Limited, Option<Requester>),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a caller gets no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The person is in several teams and chose none.
    #[error("team_uid is required: the person is in {}", teams_words(.0))]
    TeamRequired(Vec<TeamUid>),
    /// There is no such team, or the person is not in it.
    #[error("team_uid names no team of this principal")]
    TeamNotFound,
    /// The team does not accept how the session was opened.
    #[error("the team does not accept sessions opened {}", origin_words(.0))]
    SignInNotAccepted(SessionOrigin),
    /// Credential, principal or team are not alive.
    #[error("{}", dead_words(*.0))]
    Dead(DeadReason),
    /// The policy says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A platform key says not for whom.
    #[error("on_behalf_of is required with a platform key: user:<uid> or service_account:<uid>")]
    OnBehalfOfRequired,
    /// The platform key may not do this for that kind of principal.
    #[error("the platform key does not have the right {0}")]
    RightMissing(PlatformRight),
    /// There is no such principal, or none in the platform key's teams.
    #[error("on_behalf_of names no principal of the platform key's teams")]
    PrincipalNotFound,
    /// The credential may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// No token can be released now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a worker gets nothing for a caller's token.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The token does not verify, or is not for this worker.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// It verifies, but no audit row says that it was minted, or it was minted by an exchange.
    #[error("token was not minted for a principal's own credential")]
    NotMinted,
    /// What was presented is a credential, and not the bearer of a run.
    #[error("token must be an identity token or a run bearer, and {} was presented", .0.with_article())]
    Credential(crate::domain::credential::CredentialKind),
    /// What was presented looks like the bearer of a run, and is nobody's.
    #[error("token is a run bearer that is not known")]
    UnknownBearer,
    /// It is the bearer of a run that was not opened for this worker alone.
    #[error("token is the bearer of a run that was not opened for this worker's audience alone")]
    RunAudience,
    /// The worker does not serve the team.
    #[error("the worker key does not serve the team of the token")]
    TeamNotServed,
    /// The person is in the team no more.
    #[error("the caller is no member of the team any more")]
    NotMember,
    /// The team accepts no more how the caller's session was opened.
    #[error("the team does not accept sessions opened {}", origin_words(.0))]
    SignInNotAccepted(SessionOrigin),
    /// The caller's credential, principal or team is not alive.
    #[error("the caller may mint no more: {}", dead_words(*.0))]
    Dead(DeadReason),
    /// The worker's own key is not alive.
    #[error("{}", dead_words(*.0))]
    WorkerDead(DeadReason),
    /// The settings say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// No token can be released now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an enrolment code opens no session.
#[derive(Debug, thiserror::Error)]
pub enum OpenSessionError {
    /// It is no enrolment code, or a mistyped one.
    #[error("code {0}")]
    Malformed(#[from] CredentialError),
    /// It is a credential of another kind.
    #[error("code must be an enrolment code (bvt_en_…)")]
    OtherKind,
    /// The device's name is too long or has control characters.
    #[error("device must have at most 200 characters, none of them a control character")]
    Device,
    /// It was never issued, was withdrawn, was used, or is over; which of these, only the audit row tells.
    #[error("code is not known, expired, or was used before: ask for a new one")]
    Refused,
    /// Too often.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing can be released now, whoever asks. The causes are for the log; callers are told to come back.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// Too much is in flight.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The audit queue is full.
    #[error(transparent)]
    Queue(#[from] QueueFull),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database did not take the audit row, for whatever reason.
    #[error("an audit row was not written: {0}")]
    Unwritten(StoreError),
    /// No key signs now.
    #[error(transparent)]
    NoKey(#[from] KeySetError),
    /// The active key does not open or sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// A key of the installation does not open.
    #[error("a key of the installation does not open: {0}")]
    Sealed(#[from] SealError),
    /// A published key's public half is no sound key.
    #[error("the public half of a signing key {0}")]
    PublicHalf(#[from] VerifyingKeyError),
    /// What is known of the keys is too old: the database has not answered for a minute.
    #[error("the signing keys were last read {0} seconds ago")]
    StaleKeys(i64),
    /// This replica's clock is off the database's, or has jumped.
    #[error("this host's clock is {0} ms off; at most 5000 are allowed")]
    Clock(i64),
    /// What was released changed under our hands, twice.
    #[error("credential, team or signing key changed while the token was being released")]
    Changing,
    /// The process has only begun.
    #[error("the issuer is starting")]
    Starting,
}

impl Unavailable {
    /// Whether it passes with an outage or a wrong clock: nothing of ours is at fault.
    pub(super) const fn passes(&self) -> bool {
        match self {
            Self::Store(error) | Self::Unwritten(error) => error.is_retryable(),
            Self::Busy(_) | Self::Queue(_) | Self::StaleKeys(_) | Self::Clock(_) | Self::Changing | Self::Starting => {
                true
            }
            Self::NoKey(_) | Self::Signer(_) | Self::Sealed(_) | Self::PublicHalf(_) => false,
        }
    }
}

/// A caller that may not do what it asked for, with what the audit row says.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The bearer is nobody.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It is somebody, who may not do this.
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl MintError {
    /// The stable word of the audit row; `None` where the row is not this one's to write.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::TeamRequired(_) => Some("team_required"),
            Self::TeamNotFound => Some("team_not_found"),
            Self::SignInNotAccepted(_) => Some("sign_in_not_accepted"),
            Self::Dead(reason) => Some(reason.as_str()),
            Self::Refused(refusal) => Some(refusal.code()),
            Self::OnBehalfOfRequired => Some("on_behalf_of_required"),
            Self::RightMissing(_) | Self::Denied(_) => Some("not_permitted"),
            Self::PrincipalNotFound => Some("principal_not_found"),
            Self::Limited(_) | Self::Unavailable(_) => None,
        }
    }
}

impl ExchangeError {
    /// The stable word of the audit row and of a liveness answer.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Token(refused) => Some(token_reason(refused)),
            Self::NotMinted => Some("token_not_minted"),
            Self::Credential(_) => Some("token_is_credential"),
            Self::UnknownBearer => Some("token_unknown_bearer"),
            Self::RunAudience => Some("token_run_audience"),
            Self::TeamNotServed => Some("team_not_served"),
            Self::NotMember => Some("membership_ended"),
            Self::SignInNotAccepted(_) => Some("sign_in_not_accepted"),
            Self::Dead(reason) | Self::WorkerDead(reason) => Some(reason.as_str()),
            Self::Refused(refusal) => Some(refusal.code()),
            Self::Limited(_) | Self::Unavailable(_) => None,
        }
    }
}

fn token_reason(refused: &TokenRefused) -> &'static str {
    match refused {
        TokenRefused::Form => "token_malformed",
        TokenRefused::Header | TokenRefused::KidForm | TokenRefused::Algorithm => "token_header",
        TokenRefused::UnknownKid(_) => "token_unknown_key",
        TokenRefused::Signature => "token_signature",
        TokenRefused::Claim(_) => "token_claims",
        TokenRefused::Issuer { .. } | TokenRefused::ForeignTeam => "token_issuer",
        TokenRefused::Audience { .. } => "token_audience",
        TokenRefused::Expired(_) => "token_expired",
        TokenRefused::NotYet(_) => "token_not_yet_valid",
    }
}

fn teams_words(teams: &[TeamUid]) -> String {
    if teams.is_empty() {
        return "no team".to_owned();
    }
    teams.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn origin_words(origin: &SessionOrigin) -> String {
    match origin {
        SessionOrigin::EnrolmentCode => "with an enrolment code".to_owned(),
        SessionOrigin::Upstream(provider) => format!("at the provider {provider}"),
    }
}

fn dead_words(reason: DeadReason) -> String {
    reason.as_str().replace('_', " ")
}
