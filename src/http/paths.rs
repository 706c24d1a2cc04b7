//! Where routes live: all under the path of the issuer URL, and one set of layers around them.

use axum::Router;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use super::error::{Code, ProblemAnswer};
use super::layer;
use super::state::IssuerState;

/// Makes a listener's router of `routes`: state, 404 and 405 as problems, everything under the issuer URL's path,
/// the layers around. A listener that serves several sets of routes merges them before, because a router has one
/// fallback.
pub fn listener(state: IssuerState, routes: OpenApiRouter<IssuerState>) -> Router {
    listener_beside(state, routes, Router::new())
}

/// The same beside `outside`, whose routes a standard puts outside the issuer URL's path.
pub fn listener_beside(state: IssuerState, routes: OpenApiRouter<IssuerState>, outside: Router<IssuerState>) -> Router {
    let path = state.url().path().to_owned();
    let naming = state.naming().clone();
    let (routes, _) = routes.split_for_parts();
    let outside = outside.method_not_allowed_fallback(method_not_allowed).with_state(state.clone());
    let routes = routes.method_not_allowed_fallback(method_not_allowed).with_state(state);
    let router = if path.is_empty() { routes } else { Router::new().nest(&path, routes) };
    layer::wrap(router.merge(outside).fallback(not_found), naming)
}

async fn not_found() -> Response {
    ProblemAnswer::new(Code::RouteNotFound, "there is no such route").into_response()
}

/// Axum adds `Allow`.
async fn method_not_allowed() -> Response {
    ProblemAnswer::new(Code::MethodNotAllowed, "the route has other methods: the Allow header lists them")
        .into_response()
}
