//! The name of each request, in answers and logs.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::Naming;

/// The header that tells the caller. A caller's own is never taken over: it could forge another's log lines.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: a UUIDv7 of its time. A request extension.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// The id of a request that has just come.
    pub fn new(naming: &Naming) -> Self {
        let id = naming.entropy.uuid_v7(naming.clock.now());
        Self((&*id.hyphenated().encode_lower(&mut [0; 36])).into())
    }
}

/// Gives an answer its header.
pub fn tell(response: &mut Response, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
}
