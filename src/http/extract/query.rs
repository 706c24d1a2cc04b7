//! Query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::http::error::ProblemAnswer;

/// The query's members. Nothing of it is echoed or logged.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemAnswer> {
        let axum::extract::Query(members) = axum::extract::Query::from_request_parts(parts, state)
            .await
            .map_err(|_| ProblemAnswer::field("query", "must hold only members of this route, each well-formed"))?;
        Ok(Self(members))
    }
}
