//! The writing of error answers: the one place that prints a problem, and that logs a 5xx.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, StatusCode};

use super::request_id::RequestId;
use crate::http::error::ProblemAnswer;
use crate::http::error::oauth::OAuthAnswer;
use crate::http::error::page::PageFault;

/// Writes the body of a [`ProblemAnswer`], with the request's id; none to `head`, a HEAD request.
pub fn write(response: &mut Response, id: &RequestId, head: bool) {
    if response.status().is_success() {
        return;
    }
    if let Some(oauth) = response.extensions_mut().remove::<OAuthAnswer>() {
        log_fault(response, id, oauth.code().as_str(), oauth.cause());
    } else if let Some(page) = response.extensions_mut().remove::<PageFault>() {
        log_fault(response, id, page.code.as_str(), page.cause.as_deref());
    } else if let Some(problem) = response.extensions_mut().remove::<ProblemAnswer>() {
        log_fault(response, id, problem.code().as_str(), problem.cause());
        let body = serde_json::to_vec(&problem.body(&id.0)).unwrap_or_default();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = if head { Body::empty() } else { Body::from(body) };
    }
}

fn log_fault(response: &Response, id: &RequestId, code: &str, cause: Option<&str>) {
    // Whoever finds no room is told so without a cause; every fault has one.
    let busy = response.status() == StatusCode::SERVICE_UNAVAILABLE && cause.is_none();
    if response.status().is_server_error() && !busy {
        let cause = cause.unwrap_or("none given");
        tracing::error!(request_id = %id.0, code, cause, "request failed");
    }
}
