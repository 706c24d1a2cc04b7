//! Error answers as AWS SDKs read them: the exception in `x-amzn-ErrorType`, and JSON with our code beside it.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::aws::error::{Answered, AwsError};
use crate::http::layer::request_id::RequestId;
use crate::worker::error::{Presented, WorkerError};
use crate::worker::refusal::Refusal;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const AWS_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// After how many seconds to come back where nobody says better.
const RETRY_AFTER_DEFAULT: u32 = 2;

/// The answer to a request that came to nothing. What Bedrock itself answered keeps its status and exception.
pub(super) fn refused(error: &WorkerError, id: &RequestId) -> Response {
    let explanation = error.explanation();
    let answered = match error {
        WorkerError::Bedrock(error) => error.answered(),
        WorkerError::Refused { .. } | WorkerError::Sts { .. } => None,
    };
    let status = answered.map_or(explanation.status, |answered| answered.status);
    let exception = answered.and_then(|answered| answered.exception.as_deref()).unwrap_or(explanation.exception);
    let mut body = json!({
        "__type": exception,
        "message": message(error),
        "code": explanation.code,
        "cause": explanation.cause,
        "remedy": explanation.remedy,
        "request_id": &*id.0,
    });
    if let WorkerError::Sts { presented, .. } = error {
        body["presented"] = shown(presented);
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut add = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    add(ERROR_TYPE, exception);
    let aws = answered.and_then(|answered: &Answered| answered.request_id.as_deref());
    add(AWS_REQUEST_ID, aws.unwrap_or(&id.0));
    match status {
        401 => add(
            WWW_AUTHENTICATE,
            &format!("Bearer error=\"invalid_token\", error_description=\"{}\"", explanation.code),
        ),
        405 => add(ALLOW, "POST"),
        429 | 503 => {
            let after = answered.and_then(|answered| answered.retry_after).unwrap_or(RETRY_AFTER_DEFAULT);
            add(RETRY_AFTER, &after.to_string());
        }
        _ => {}
    }
    if status >= 500 {
        tracing::error!(target: "brevet::worker", request_id = %id.0, %error, "a request failed");
    }
    response
}

/// Code first: SDKs show the message and drop every other member.
fn message(error: &WorkerError) -> String {
    let explanation = error.explanation();
    let by = match error {
        WorkerError::Refused { .. } => "",
        WorkerError::Sts { .. } => "AWS STS said: ",
        WorkerError::Bedrock(AwsError::Bedrock { .. } | AwsError::Sts { .. }) => "Bedrock said: ",
    };
    format!("{} ({by}{}). {} {}", explanation.code, error.detail(), explanation.cause, explanation.remedy)
}

fn shown(presented: &Presented) -> serde_json::Value {
    json!({
        "iss": presented.issuer,
        "sub": presented.subject,
        "aud": presented.audience,
        "role_arn": presented.role_arn,
        "session_name": presented.session_name,
        "sts_endpoint": presented.sts_endpoint,
    })
}

/// A handler panicked; its message may hold anything, so it is not passed on.
pub(super) fn panicked(id: &RequestId) -> Response {
    refused(&WorkerError::refused(Refusal::Internal, "a handler panicked"), id)
}
