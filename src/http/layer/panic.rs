//! The net under every handler.

use std::any::Any;

use axum::response::{IntoResponse, Response};

use crate::http::error::ProblemAnswer;

/// Turns a panic into a clean 500. The panic's message may hold anything, so it is not passed on; the panic
/// hook has said where it happened.
pub fn caught(_: Box<dyn Any + Send + 'static>) -> Response {
    ProblemAnswer::internal("a handler panicked").into_response()
}
