//! The error answers of `/oauth2`: RFC 6749, section 5.2, as JSON. RFC 7009 and 8693 add a code each.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::ProblemAnswer;
use crate::domain::policy::Refusal;
use crate::domain::requester::Requester;
use crate::http::error::Code;
use crate::issuer::oauth::{GrantRefused, OAuthError, SubjectTokenRefused};
use crate::issuer::refusals::{MintError, Unavailable};
use crate::issuer::sign_in::upstream_logout::LogoutRefused;
use crate::limit::rate::Limited;

/// The challenge of a 401. The token endpoint takes Basic beside the members of the form, and HTTP asks for a
/// challenge with every 401 (RFC 9110, section 15.5.2).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"brevet\", charset=\"UTF-8\"");

/// When to come back where a foreign issuer did not answer: it is not asked again sooner.
const RETRY_KEYS: u64 = 30;

/// Every error that the OAuth endpoints answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OAuthCode {
    /// The form breaks a rule.
    InvalidRequest,
    /// The form is longer than the route takes.
    BodyTooLarge,
    /// The client is not who it says it is.
    InvalidClient,
    /// What is offered for a token is no good, or is another client's.
    InvalidGrant,
    /// Nobody has approved the device yet (RFC 8628, section 3.5, and the three below).
    AuthorizationPending,
    /// The same, and it asks too often.
    SlowDown,
    /// The device was denied.
    AccessDenied,
    /// The device has waited too long.
    ExpiredToken,
    /// Another grant than those of the metadata document.
    UnsupportedGrantType,
    /// A scope was asked for, and there are none.
    InvalidScope,
    /// A resource or an audience was asked for that is not given here (RFC 8693, section 2.2.2).
    InvalidTarget,
    /// A token that is not given up here (RFC 7009, section 2.2.1).
    UnsupportedTokenType,
    /// Too often.
    RateLimited,
    /// Nobody can tell now.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl OAuthCode {
    /// Every code there is.
    pub const ALL: [Self; 15] = [
        Self::InvalidRequest,
        Self::BodyTooLarge,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::AuthorizationPending,
        Self::SlowDown,
        Self::AccessDenied,
        Self::ExpiredToken,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::UnsupportedTokenType,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    const fn row(self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::InvalidRequest => ("invalid_request", S::BAD_REQUEST),
            Self::BodyTooLarge => ("invalid_request", S::PAYLOAD_TOO_LARGE),
            Self::InvalidClient => ("invalid_client", S::UNAUTHORIZED),
            Self::InvalidGrant => ("invalid_grant", S::BAD_REQUEST),
            Self::AuthorizationPending => ("authorization_pending", S::BAD_REQUEST),
            Self::SlowDown => ("slow_down", S::BAD_REQUEST),
            Self::AccessDenied => ("access_denied", S::BAD_REQUEST),
            Self::ExpiredToken => ("expired_token", S::BAD_REQUEST),
            Self::UnsupportedGrantType => ("unsupported_grant_type", S::BAD_REQUEST),
            Self::InvalidScope => ("invalid_scope", S::BAD_REQUEST),
            Self::InvalidTarget => ("invalid_target", S::BAD_REQUEST),
            Self::UnsupportedTokenType => ("unsupported_token_type", S::BAD_REQUEST),
            Self::RateLimited => ("temporarily_unavailable", S::TOO_MANY_REQUESTS),
            Self::Unavailable => ("temporarily_unavailable", S::SERVICE_UNAVAILABLE),
            Self::Internal => ("server_error", S::INTERNAL_SERVER_ERROR),
        }
    }

    /// The value of `error`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status it always comes with.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }
}

/// The body of an error answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OAuthProblem {
    /// The stable code: branch on it.
    #[schema(example = "invalid_client")]
    pub error: &'static str,
    /// For people; it names the parameter and the rule.
    #[schema(example = "client_secret is not known")]
    pub error_description: String,
}

/// One error answer of the OAuth endpoints on its way out. Neither description nor log holds a secret.
#[derive(Debug, Clone)]
pub struct OAuthAnswer {
    code: OAuthCode,
    description: String,
    retry_after: Option<u64>,
    cause: Option<String>,
    requester: Option<Box<Requester>>,
}

impl OAuthAnswer {
    /// An answer of `code`, with a description for people.
    pub fn new(code: OAuthCode, description: impl AsRef<str>) -> Self {
        Self { code, description: ascii(description.as_ref()), retry_after: None, cause: None, requester: None }
    }

    /// Says who asked.
    #[must_use]
    pub fn asked_by(mut self, requester: impl Into<Option<Requester>>) -> Self {
        self.requester = requester.into().map(Box::new);
        self
    }

    /// Who asked, where that was said.
    pub fn requester(&self) -> Option<&Requester> {
        self.requester.as_deref()
    }

    /// The form breaks a rule.
    pub fn invalid_request(description: impl AsRef<str>) -> Self {
        Self::new(OAuthCode::InvalidRequest, description)
    }

    /// Its code.
    pub const fn code(&self) -> OAuthCode {
        self.code
    }

    /// What the log says of it beside its code.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

/// The characters that `error_description` may hold (RFC 6749, section 5.2): printable ASCII but `"` and `\`.
fn ascii(text: &str) -> String {
    let plain = |c: char| match c {
        '"' => '\'',
        '\\' => '/',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(plain).collect()
}

impl From<OAuthError> for OAuthAnswer {
    fn from(error: OAuthError) -> Self {
        let words = error.to_string();
        match error {
            OAuthError::Client(_) => Self::new(OAuthCode::InvalidClient, words),
            OAuthError::OtherClientsToken => Self::new(OAuthCode::InvalidGrant, words),
            OAuthError::Grant(refused) => Self::new(of_grant(refused), words),
            OAuthError::TokenType(_) => Self::new(OAuthCode::UnsupportedTokenType, words),
            OAuthError::SubjectToken(SubjectTokenRefused::NoKeys(_)) => {
                Self { retry_after: Some(RETRY_KEYS), ..Self::new(OAuthCode::Unavailable, words) }
            }
            // RFC 8693, section 2.2.2: also for a token that is sound and not taken.
            OAuthError::SubjectToken(_) => Self::new(OAuthCode::InvalidRequest, words),
            OAuthError::Mint(refused) => Self::new(of_mint(&refused), words),
            OAuthError::Limited(limited) => limited.into(),
            OAuthError::Unavailable(unavailable) => unavailable.into(),
            OAuthError::Proven(error, requester) => Self::from(*error).asked_by(requester),
        }
    }
}

impl From<Limited> for OAuthAnswer {
    fn from(limited: Limited) -> Self {
        let answer = Self::new(OAuthCode::RateLimited, limited.to_string());
        Self { retry_after: Some(limited.retry_after), ..answer }
    }
}

const fn of_grant(refused: GrantRefused) -> OAuthCode {
    match refused {
        GrantRefused::Client | GrantRefused::Authenticated => OAuthCode::InvalidClient,
        GrantRefused::Device => OAuthCode::InvalidRequest,
        GrantRefused::Pending => OAuthCode::AuthorizationPending,
        GrantRefused::SlowDown => OAuthCode::SlowDown,
        GrantRefused::Denied => OAuthCode::AccessDenied,
        GrantRefused::DeviceExpired => OAuthCode::ExpiredToken,
        GrantRefused::DeviceCode | GrantRefused::Code | GrantRefused::RefreshToken => OAuthCode::InvalidGrant,
    }
}

impl From<LogoutRefused> for OAuthAnswer {
    fn from(refused: LogoutRefused) -> Self {
        let words = refused.to_string();
        let later = |code, seconds, words| Self { retry_after: Some(seconds), ..Self::new(code, words) };
        match refused {
            LogoutRefused::Token(_) | LogoutRefused::Unknown | LogoutRefused::Replayed => Self::invalid_request(words),
            LogoutRefused::Provider(_) => later(OAuthCode::Unavailable, RETRY_KEYS, words),
            LogoutRefused::Limited(limited) => limited.into(),
            LogoutRefused::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// Whether it is the audience that stands in the way, or something else.
fn of_mint(refused: &MintError) -> OAuthCode {
    let audience = matches!(refused, MintError::Refused(Refusal::AudienceNotAllowed | Refusal::AudienceReserved));
    if audience { OAuthCode::InvalidTarget } else { OAuthCode::InvalidRequest }
}

/// In the words of `/v1`, which says the same of the same.
impl From<Unavailable> for OAuthAnswer {
    fn from(error: Unavailable) -> Self {
        let problem = ProblemAnswer::from(error);
        let code = if problem.code() == Code::Internal { OAuthCode::Internal } else { OAuthCode::Unavailable };
        let retry_after = (code == OAuthCode::Unavailable).then_some(1);
        let cause = problem.cause().map(str::to_owned);
        Self { retry_after, cause, ..Self::new(code, problem.body("").detail) }
    }
}

impl IntoResponse for OAuthAnswer {
    fn into_response(self) -> Response {
        let body = OAuthProblem { error: self.code.as_str(), error_description: self.description.clone() };
        let mut response = (self.code.status(), axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if self.code == OAuthCode::InvalidClient {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_only_what_the_rfc_allows() {
        let said = ascii("client_id \"a\\b\" … ü\n");
        assert_eq!(said, "client_id 'a/b' ? ??");
        assert!(said.bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
    }

    #[test]
    fn a_refused_client_is_challenged_and_nothing_is_stored_on_the_way() {
        for code in OAuthCode::ALL {
            let response = OAuthAnswer::new(code, "words").into_response();
            assert_eq!(response.status(), code.status());
            assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), code.status() == StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        }
    }
}
