//! Refusals in AWS's words: a code, a message, a status, and the two shapes they travel in.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::xml::Element;

/// One refusal. The codes and messages are AWS's own (facts recorded from the real services).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwsError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl AwsError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// `ValidationError` of the query protocol, whatever the rule.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// One parameter outside its rule, in the words of AWS's common validator.
    pub(super) fn constraint(value: &str, field: &str, rule: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: {rule}"
        ))
    }

    /// The same for a parameter whose value must not be shown, or that is absent.
    pub(super) fn hidden_constraint(field: &str, rule: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value at '{field}' failed to satisfy constraint: {rule}"
        ))
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::validation(format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
        ))
    }

    pub(super) fn invalid_token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidIdentityToken", message)
    }

    pub(super) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub(super) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The query protocol's shape (STS, IAM).
    pub(super) fn into_xml(self, namespace: &str, request_id: &str) -> Response<Body> {
        let status = self.status();
        let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
        let error = Element::new("Error").text("Type", fault).text("Code", &self.code).text("Message", &self.message);
        let body = Element::new("ErrorResponse").child(error).text("RequestId", request_id).document(namespace);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        stamp(response, request_id)
    }

    /// The REST-JSON protocol's shape (Bedrock): the code in a header, the message in the body.
    pub(super) fn into_json(self, request_id: &str) -> Response<Body> {
        let body = serde_json::json!({ "message": self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let code = HeaderValue::try_from(self.code).unwrap_or(HeaderValue::from_static("InternalServerException"));
        headers.insert("x-amzn-errortype", code);
        stamp(response, request_id)
    }
}

/// Marks an answer with its request id.
pub(super) fn stamp(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-amzn-requestid", value);
    }
    response
}
