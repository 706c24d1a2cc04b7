//! The net under every handler.

use axum::response::{IntoResponse, Response};

use super::request_id::RequestId;
use crate::http::error::ProblemAnswer;

/// A clean 500 in place of a panic. The panic's message may hold anything, so it is not passed on; the panic hook has
/// said where it happened.
pub fn caught(_: &RequestId) -> Response {
    ProblemAnswer::internal("a handler panicked").into_response()
}
