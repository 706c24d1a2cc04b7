//! Sending a signed request to the Bedrock runtime, and the answer as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;

use super::bedrock::{self, SIGNING_NAME, error_answer, response_headers};
use super::bedrock_fault::BedrockFault;
use super::credential::TemporaryCredentials;
use super::error::{Answered, AwsError};
use super::sigv4::{SigningError, sign};
use crate::domain::clock::Clock;
use crate::domain::region::Region;
use crate::domain::settings::ModelId;
use crate::fetch::{self, FetchError};

/// Most bytes of an error answer that are read.
const ERROR_MAX: usize = 64 * 1024;

/// A client of the Bedrock runtime. It holds no credentials: each call brings its own.
#[derive(Clone)]
pub struct Bedrock {
    connections: fetch::Client,
    clock: Arc<dyn Clock>,
}

/// One call.
#[derive(Debug)]
pub struct Call<'a> {
    /// Which Bedrock, without a trailing slash.
    pub endpoint: &'a str,
    /// The region that the signature names.
    pub region: &'a Region,
    /// What is asked.
    pub operation: bedrock::Operation,
    /// Of which model.
    pub model: &'a ModelId,
    /// The caller's headers; those that may go upstream do.
    pub headers: &'a HeaderMap,
    /// The caller's body, untouched.
    pub body: Bytes,
}

/// A call was not even sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsentError {
    /// It could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Endpoint and model make no URL.
    #[error("endpoint and model make no URL")]
    Url,
}

/// The body of an answer, in the parts and at the time in which Bedrock sends it. Dropping it closes the exchange.
#[derive(Debug)]
pub struct AnswerBody(fetch::Body);

impl Bedrock {
    /// A client over `connections`.
    pub fn new(connections: fetch::Client, clock: Arc<dyn Clock>) -> Self {
        Self { connections, clock }
    }

    /// The request of `call`, signed with `credentials`.
    pub fn signed(&self, call: &Call<'_>, credentials: &TemporaryCredentials) -> Result<Request<Bytes>, UnsentError> {
        let mut request = bedrock::request(call.endpoint, call.operation, call.model, call.headers, call.body.clone())
            .map_err(|_| UnsentError::Url)?;
        sign(&mut request, credentials, SIGNING_NAME, call.region, self.clock.now())?;
        Ok(request)
    }

    /// Sends a signed request. Any answer but a success is read whole and becomes an error; nothing is tried again.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, AwsError> {
        let unreachable = |error: FetchError| AwsError::bedrock(BedrockFault::Unreachable, &error.to_string(), None);
        let (head, mut body) = self.connections.stream(request).await.map_err(unreachable)?.into_parts();
        if head.status.is_success() {
            let mut response = Response::new(AnswerBody(body));
            *response.status_mut() = head.status;
            *response.headers_mut() = response_headers(&head.headers);
            return Ok(response);
        }
        let text = body.whole(ERROR_MAX).await.unwrap_or_default();
        Err(refused(head.status.as_u16(), &head.headers, &text))
    }
}

fn refused(status: u16, headers: &HeaderMap, body: &[u8]) -> AwsError {
    let read = error_answer(status, headers, body);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let answered = Answered {
        status,
        exception: read.exception.map(Into::into),
        request_id: header("x-amzn-requestid").map(Into::into),
        retry_after: header("retry-after").and_then(|value| value.parse().ok()),
    };
    let handed_through = (400..=599).contains(&status) && !read.fault.is_ours();
    let message = if read.message.is_empty() { format!("status {status} without a message") } else { read.message };
    AwsError::bedrock(read.fault, &message, handed_through.then_some(answered))
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = FetchError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, FetchError>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.size_hint()
    }
}
