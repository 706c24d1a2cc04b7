//! The worker's surfaces: Bedrock's runtime, passed through, and the worker's ops listener.
//!
//! Does not own what an invocation is (`worker::invoke`): a handler takes the path apart, hands the request on
//! and shapes the answer.
//! May import: every lower floor.

mod answer;
pub mod ops;
mod path;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::Method;

use super::layer::client_address::ClientAddress;
use super::layer::request_id::RequestId;
use super::layer::{Naming, wrap_relay};
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;
use crate::worker::{Worker, invoke};

/// The routes of a worker. Clients reach Bedrock's operations under `/bedrock` and at the root, so that both
/// `http://worker/bedrock` and `http://worker` serve as an SDK's endpoint URL.
pub fn router(worker: Arc<Worker>, naming: Naming) -> Router {
    let router = Router::new()
        .route("/bedrock/model/{*rest}", any(pass))
        .route("/model/{*rest}", any(pass))
        .fallback(not_found)
        .with_state(worker);
    wrap_relay(router, naming, answer::panicked)
}

async fn pass(State(worker): State<Arc<Worker>>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let passed = async {
        let target = path::target(request.uri().path())?;
        if request.method() != Method::POST {
            return Err(WorkerError::refused(Refusal::MethodNotAllowed, "this route takes POST"));
        }
        let (head, body) = request.into_parts();
        let query = head.uri.query().map(str::to_owned);
        let address = head.extensions.get::<ClientAddress>().map(|address| address.0);
        let (operation, model) = target;
        worker.invoke(invoke::Request { operation, model, query, headers: head.headers, address, body }).await
    };
    match passed.await {
        Ok(answer) => {
            metrics::counter!("brevet_worker_requests_total", "outcome" => "ok").increment(1);
            answer.map(Body::new)
        }
        Err(error) => {
            metrics::counter!("brevet_worker_requests_total", "outcome" => error.explanation().code).increment(1);
            answer::refused(&error, &id)
        }
    }
}

async fn not_found(Extension(id): Extension<RequestId>) -> Response {
    answer::refused(&WorkerError::refused(Refusal::RouteUnknown, "there is no such route"), &id)
}
