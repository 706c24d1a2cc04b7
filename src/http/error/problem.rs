//! One error answer on its way out.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::code::Code;
use crate::domain::requester::Requester;
use crate::wire::problem::{FieldError, Problem, TYPE_PREFIX};

/// An error answer without its request id, which `layer::answer` adds as it writes the body.
///
/// `detail` is for people: it names field and rule, and never holds a secret or a source.
#[derive(Debug, Clone)]
pub struct ProblemAnswer {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
    challenge: Option<&'static str>,
    cause: Option<String>,
    requester: Option<Box<Requester>>,
}

impl ProblemAnswer {
    /// An answer of `code`, with `detail` for people.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
            cause: None,
            requester: None,
        }
    }

    /// One member of the request breaks one rule.
    pub fn field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.into(), rule: rule.into() }])
    }

    /// Members of the request break rules.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let words: Vec<_> = errors.iter().map(|error| format!("{} {}", error.field, error.rule)).collect();
        Self { errors, ..Self::new(Code::InvalidRequest, words.join("; ")) }
    }

    /// A fault of ours; `cause` goes to the log, where the request id finds it, and nowhere else.
    pub fn internal(cause: impl ToString) -> Self {
        Self::new(Code::Internal, "the server failed; its log has the cause under this request_id").because(cause)
    }

    /// Adds what only the log shows.
    #[must_use]
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Says when to try again, in whole seconds (RFC 9110, section 10.2.3).
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a challenge (RFC 6750, section 3), which every 401 to a bearer has.
    #[must_use]
    pub const fn challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = Some(challenge);
        self
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

    /// Its code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the log says of it beside its code.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The body, for the request of that id.
    pub fn body(&self, request_id: &str) -> Problem {
        Problem {
            r#type: format!("{TYPE_PREFIX}{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }

    fn status(&self) -> StatusCode {
        self.code.status()
    }
}

impl IntoResponse for ProblemAnswer {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
