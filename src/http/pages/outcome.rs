//! What became of it: two pages that know nothing of anybody.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::page::{Frame, page};
use super::visit::Visit;

/// Where a browser is sent once it has approved a device.
pub(super) const DONE: &str = "/sign-in/done";
/// Where it is sent once it has denied one.
pub(super) const DENIED: &str = "/sign-in/denied";

#[derive(Template)]
#[template(path = "done.html")]
struct Done {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "denied.html")]
struct Denied {
    frame: Frame,
}

/// `GET /sign-in/done`.
pub(super) async fn done(visit: Visit) -> Response {
    page(StatusCode::OK, &Done { frame: visit.frame })
}

/// `GET /sign-in/denied`.
pub(super) async fn denied(visit: Visit) -> Response {
    page(StatusCode::OK, &Denied { frame: visit.frame })
}
