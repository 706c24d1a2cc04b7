//! Slows down whoever was refused for want of room and comes back at once all the same.
//!
//! A refusal costs little; but connections that ask again the moment they are refused take, by the thousand, the
//! processors from those that were let in. So one network hears refusals at once only so often. Beyond that a refusal
//! waits as long as its `Retry-After` asked for at least, and holds nothing meanwhile but its connection.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use tokio::time::sleep;

use super::client_address::ClientAddress;
use crate::limit::network::network;
use crate::limit::rate::{KeyedRate, Rate};

/// Refusals of one network that are answered at once: a hundred a second.
const AT_ONCE: Rate = Rate::at_least_one(6_000, 200);
/// How long the others wait.
const PAUSE: Duration = Duration::from_secs(1);

/// How often each network was refused.
#[derive(Debug)]
pub struct Pace(KeyedRate);

impl Default for Pace {
    fn default() -> Self {
        Self(KeyedRate::new(AT_ONCE))
    }
}

/// Answers 429 and 503 at once as long as there are few of them, and else after [`PAUSE`].
pub async fn keep(State(pace): State<Arc<Pace>>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ClientAddress>().map(|client| network(client.0));
    let response = next.run(request).await;
    let refused = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if refused && pace.0.take(&from).is_err() {
        sleep(PAUSE).await;
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use futures_util::FutureExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn threat_24_who_is_refused_and_asks_again_at_once_waits_and_nobody_else_does() {
        let router = Router::new()
            .route("/refused", axum::routing::get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
            .route("/let-in", axum::routing::get(|| async { StatusCode::OK }))
            .layer(from_fn_with_state(Arc::new(Pace::default()), keep));
        let ask = |path: &str, from: &str| {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(ClientAddress(from.parse().unwrap()));
            router.clone().oneshot(request).now_or_never()
        };
        let answered = (0..300).filter(|_| ask("/refused", "192.0.2.1").is_some()).count();
        assert!((200..290).contains(&answered), "{answered} were answered at once");
        assert!(ask("/let-in", "192.0.2.1").is_some(), "an answer that is none of these never waits");
        assert!(ask("/refused", "192.0.2.2").is_some(), "nor does another network");
    }
}
