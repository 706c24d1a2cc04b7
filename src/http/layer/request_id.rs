//! The name of each request, in answers and logs.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use super::Naming;

/// The header that tells the caller. A caller's own is never taken over: it could forge another's log lines.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: a UUIDv7 of its time.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Gives each request an id and each answer its header.
pub async fn assign(State(naming): State<Naming>, mut request: Request, next: Next) -> Response {
    let id = naming.entropy.uuid_v7(naming.clock.now()).hyphenated().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
