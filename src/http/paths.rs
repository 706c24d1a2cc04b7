//! Where routes live: all under the path of the issuer URL, and one set of layers around them.

use axum::Router;
use axum::response::{IntoResponse, Response};

use super::error::{Code, ProblemAnswer};
use super::state::IssuerState;
use super::{layer, pages};

/// Makes a listener's router of `routes`: state, 404 and 405 as problems, everything under the issuer URL's path,
/// the layers around. A listener that serves several sets of routes merges them before, because a router has one
/// fallback.
pub fn listener(state: IssuerState, routes: Router<IssuerState>) -> Router {
    let naming = state.naming().clone();
    layer::wrap(placed(state, routes, Router::new()), naming)
}

/// The same for a listener with pages, where errors on their paths are pages too; beside `outside`, whose routes a
/// standard puts outside the issuer URL's path.
pub fn listener_beside(state: IssuerState, routes: Router<IssuerState>, outside: Router<IssuerState>) -> Router {
    let (naming, pages) = (state.naming().clone(), pages::Early::of(state.url()));
    layer::wrap_dressed(placed(state, routes, outside), naming, pages)
}

fn placed(state: IssuerState, routes: Router<IssuerState>, outside: Router<IssuerState>) -> Router {
    let path = state.url().path().to_owned();
    let outside = outside.method_not_allowed_fallback(method_not_allowed).with_state(state.clone());
    let routes = routes.method_not_allowed_fallback(method_not_allowed).with_state(state);
    let router = if path.is_empty() { routes } else { Router::new().nest(&path, routes) };
    router.merge(outside).fallback(not_found)
}

async fn not_found() -> Response {
    ProblemAnswer::new(Code::RouteNotFound, "there is no such route").into_response()
}

/// Axum adds `Allow`.
async fn method_not_allowed() -> Response {
    ProblemAnswer::new(Code::MethodNotAllowed, "the route has other methods: the Allow header lists them")
        .into_response()
}
