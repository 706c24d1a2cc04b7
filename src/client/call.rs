//! One call of `/v1`: a request with its bearer, and the answer as a wire type or as a problem.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::secret::Secret;
use crate::fetch::{self, FetchError};
use crate::wire::problem::Problem;

/// Talks to one issuer. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: Arc<str>,
    http: fetch::Client,
}

/// Longest problem document that is read of a streamed answer.
const PROBLEM_MAX: usize = 64 * 1024;

/// An answer of one JSON value a line. One that breaks off is an error, never a shorter answer.
#[derive(Debug)]
pub struct Lines {
    client: Client,
    body: fetch::Body,
    rest: Vec<u8>,
}

impl Lines {
    /// Whole lines, as many as have arrived, each with its end; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            match self.body.next().await {
                Some(Ok(part)) => self.rest.extend_from_slice(&part),
                Some(Err(error)) => return Err(self.client.unreachable(error)),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(self.client.protocol(200, "the answer ends within a line")),
            }
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came; nothing is known about what it would have been.
    #[error("{issuer} cannot be reached: {error}")]
    Unreachable {
        /// Where it was looked for.
        issuer: Arc<str>,
        /// What happened.
        error: FetchError,
    },
    /// The issuer refused.
    #[error("{}", .problem.detail)]
    Refused {
        /// What it said.
        problem: Box<Problem>,
        /// How long to wait before another try, in seconds, where it said so.
        retry_after: Option<u32>,
    },
    /// The issuer refused, in the words of RFC 6749 section 5.2.
    #[error("{description} ({code})")]
    OAuth {
        /// The stable code.
        code: Arc<str>,
        /// What it said.
        description: String,
        /// The status.
        status: u16,
        /// How long to wait before another try, in seconds, where it said so.
        retry_after: Option<u32>,
    },
    /// Whoever answers at the issuer URL is not that issuer.
    #[error("{issuer} is no issuer of Brevet's: {what}")]
    Stranger {
        /// Where.
        issuer: Arc<str>,
        /// What was found instead.
        what: String,
    },
    /// The answer is not one of Brevet's.
    #[error("what answers at {issuer} is not this API of Brevet's (status {status}): {what}")]
    Protocol {
        /// Where.
        issuer: Arc<str>,
        /// The status.
        status: u16,
        /// What was wrong.
        what: &'static str,
    },
}

impl ClientError {
    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(problem.code()),
            Self::OAuth { code, .. } => Some(code),
            Self::Unreachable { .. } | Self::Protocol { .. } | Self::Stranger { .. } => None,
        }
    }

    /// The status of an answer, where one came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unreachable { .. } | Self::Stranger { .. } => None,
            Self::Refused { problem, .. } => Some(problem.status),
            Self::Protocol { status, .. } | Self::OAuth { status, .. } => Some(*status),
        }
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { error, .. } => error.is_retryable(),
            Self::Refused { problem, .. } => matches!(problem.status, 429 | 503),
            Self::Protocol { status, .. } => matches!(status, 429 | 502..=504),
            Self::OAuth { status, .. } => matches!(status, 429 | 503),
            Self::Stranger { .. } => false,
        }
    }
}

impl Client {
    /// A client of the issuer at `issuer_url` (no trailing slash).
    pub fn new(issuer_url: &str, http: fetch::Client) -> Self {
        Self { base: issuer_url.into(), http }
    }

    /// A client of another issuer at the same server, over the same connections.
    #[must_use]
    pub fn of_issuer(&self, issuer_url: &str) -> Self {
        Self::new(issuer_url, self.http.clone())
    }

    /// The issuer URL.
    pub fn issuer_url(&self) -> &str {
        &self.base
    }

    pub(super) async fn get<A: DeserializeOwned>(&self, bearer: &Secret, path: &str) -> Result<A, ClientError> {
        self.read(&self.call(Method::GET, path, Some(bearer), None, Bytes::new()).await?)
    }

    pub(super) async fn send<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        bearer: Option<&Secret>,
        path: &str,
        body: &B,
    ) -> Result<A, ClientError> {
        self.read(&self.call(method, path, bearer, None, self.write(body)?).await?)
    }

    /// Like [`Client::get`], with the version that stands in the answer's `ETag`.
    pub(super) async fn get_versioned<A: DeserializeOwned>(
        &self,
        bearer: &Secret,
        path: &str,
    ) -> Result<(A, i64), ClientError> {
        let answer = self.call(Method::GET, path, Some(bearer), None, Bytes::new()).await?;
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        let version = tag.trim_matches('"').parse();
        let version = version.map_err(|_| self.protocol(answer.status().as_u16(), "the answer has no version"))?;
        Ok((self.read(&answer)?, version))
    }

    /// Like [`Client::send`], for a change of exactly the version that was read (`If-Match`).
    pub(super) async fn replace<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        bearer: &Secret,
        path: &str,
        version: i64,
        body: &B,
    ) -> Result<A, ClientError> {
        self.read(&self.call(method, path, Some(bearer), Some(version), self.write(body)?).await?)
    }

    pub(super) async fn delete(&self, bearer: &Secret, path: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, path, Some(bearer), None, Bytes::new()).await.map(drop)
    }

    /// Posts a form to a route of OAuth, as a client that has no secret.
    pub(super) async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Result<Response<Bytes>, ClientError> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let mut request = self.request(Method::POST, path, None, None, Bytes::new())?;
        *request.body_mut() = Bytes::from(text.extend_pairs(form).finish());
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        let answer = self.http.send(request).await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        match serde_json::from_slice::<OAuthError>(answer.body()) {
            Ok(error) => Err(error.into_refusal(answer.status().as_u16(), retry_after(&answer))),
            Err(_) => Err(self.refusal(&answer)),
        }
    }

    /// The same, with the answer read.
    pub(super) async fn form<A: DeserializeOwned>(&self, path: &str, form: &[(&str, &str)]) -> Result<A, ClientError> {
        self.read(&self.post_form(path, form).await?)
    }

    pub(super) async fn put_empty<A: DeserializeOwned>(&self, bearer: &Secret, path: &str) -> Result<A, ClientError> {
        self.read(&self.call(Method::PUT, path, Some(bearer), None, Bytes::new()).await?)
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
        version: Option<i64>,
        body: Bytes,
    ) -> Result<Response<Bytes>, ClientError> {
        let request = self.request(method, path, bearer, version, body)?;
        let answer = self.http.send(request).await.map_err(|error| self.unreachable(error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&Secret>,
        version: Option<i64>,
        body: Bytes,
    ) -> Result<Request<Bytes>, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header(ACCEPT, "application/json").header(USER_AGENT, AGENT);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        if let Some(bearer) = bearer {
            let text = zeroize::Zeroizing::new(format!("Bearer {}", bearer.expose()));
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| self.protocol(0, "the credential holds characters that no credential of Brevet's has"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(body).map_err(|_| self.unreachable(fetch::Refusal::Url.into()))?;
        Ok(request)
    }

    /// Gets an answer that is read line by line as it arrives, whatever its length.
    pub(super) async fn stream(&self, bearer: &Secret, path: &str) -> Result<Lines, ClientError> {
        let request = self.request(Method::GET, path, Some(bearer), None, Bytes::new())?;
        let answer = self.http.stream(request).await.map_err(|error| self.unreachable(error))?;
        let success = answer.status().is_success();
        let (head, mut body) = answer.into_parts();
        if success {
            return Ok(Lines { client: self.clone(), body, rest: Vec::new() });
        }
        let whole = body.whole(PROBLEM_MAX).await.map_err(|error| self.unreachable(error))?;
        Err(self.refusal(&Response::from_parts(head, whole)))
    }

    fn unreachable(&self, error: FetchError) -> ClientError {
        ClientError::Unreachable { issuer: Arc::clone(&self.base), error }
    }

    fn write<B: Serialize>(&self, body: &B) -> Result<Bytes, ClientError> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|_| self.protocol(0, "the request cannot be written as JSON"))
    }

    fn read<A: DeserializeOwned>(&self, answer: &Response<Bytes>) -> Result<A, ClientError> {
        serde_json::from_slice(answer.body())
            .map_err(|_| self.protocol(answer.status().as_u16(), "the answer is not the JSON document expected"))
    }

    fn refusal(&self, answer: &Response<Bytes>) -> ClientError {
        match serde_json::from_slice::<Problem>(answer.body()) {
            Ok(problem) => ClientError::Refused { problem: Box::new(problem), retry_after: retry_after(answer) },
            Err(_) if answer.status() == StatusCode::NOT_FOUND => self.protocol(404, "there is no such route"),
            Err(_) => self.protocol(answer.status().as_u16(), "the answer is no problem document"),
        }
    }

    pub(super) fn protocol(&self, status: u16, what: &'static str) -> ClientError {
        ClientError::Protocol { issuer: Arc::clone(&self.base), status, what }
    }
}

fn retry_after(answer: &Response<Bytes>) -> Option<u32> {
    answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// The error document of RFC 6749, section 5.2.
#[derive(Debug, Deserialize)]
struct OAuthError {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl OAuthError {
    fn into_refusal(self, status: u16, retry_after: Option<u32>) -> ClientError {
        let description = self.error_description.unwrap_or_default();
        ClientError::OAuth { code: self.error.into(), description, status, retry_after }
    }
}

/// What we call ourselves to the issuer; it stands in audit rows.
const AGENT: &str = concat!("brevet/", env!("CARGO_PKG_VERSION"));
