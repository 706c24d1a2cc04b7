//! The deadline of a request.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::{IntoResponse, Response};

use crate::http::error::{Code, ProblemAnswer};

/// The answer, or 503 where it takes longer than `limit`, slow bodies included. What a dropped mint had enqueued may
/// still commit: a row without a token is allowed, a token without a row is not.
pub async fn keep(limit: Option<Duration>, answer: impl Future<Output = Result<Response, Infallible>>) -> Response {
    let answered = match limit {
        None => answer.await,
        Some(limit) => match tokio::time::timeout(limit, answer).await {
            Ok(answered) => answered,
            Err(_) => return late(limit),
        },
    };
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn late(limit: Duration) -> Response {
    let seconds = limit.as_secs();
    let late = ProblemAnswer::new(Code::Timeout, format!("the request took longer than {seconds} seconds"));
    late.because("the deadline passed").retry_after(1).into_response()
}
