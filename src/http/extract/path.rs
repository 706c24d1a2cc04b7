//! The variable segments of a path.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::error::{Code, ProblemAnswer};

/// The variable segments, decoded. What is not UTF-8 names nothing, so it is 404.
pub struct Segments<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemAnswer> {
        let Path(segments) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| ProblemAnswer::new(Code::NotFound, "the path names nothing"))?;
        Ok(Self(segments))
    }
}
