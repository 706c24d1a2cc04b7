//! The deadline of a request.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::DEADLINE;
use crate::http::error::{Code, ProblemAnswer};

/// Answers 503 where a request takes longer than [`DEADLINE`], slow bodies included. What a dropped mint had
/// enqueued may still commit: a row without a token is allowed, a token without a row is not.
pub async fn keep(request: Request, next: Next) -> Response {
    let seconds = DEADLINE.as_secs();
    let late = || {
        ProblemAnswer::new(Code::Timeout, format!("the request took longer than {seconds} seconds"))
            .because("the deadline passed")
    };
    let answer = tokio::time::timeout(DEADLINE, next.run(request)).await;
    answer.unwrap_or_else(|_| late().retry_after(1).into_response())
}
