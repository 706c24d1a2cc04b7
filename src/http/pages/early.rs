//! What goes wrong on a page's path before its handler has an answer, told as a page: no such path, another method, a
//! deadline, a panic. A person sees it, and JSON tells a person nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};

use super::page::Frame;
use super::refused::{Refusal, refused};
use super::{AUTHORIZE, DEVICE, SIGN_IN};
use crate::domain::issuer_url::IssuerUrl;
use crate::http::error::ProblemAnswer;
use crate::http::error::page::PageFault;
use crate::http::layer::Dress;
use crate::http::layer::request_id::RequestId;
use crate::issuer::sign_in::upstream::CALLBACK;

/// Puts errors on the pages' paths as pages.
pub struct Early(IssuerUrl);

impl Early {
    /// For the pages under the path of `url`.
    pub fn of(url: &IssuerUrl) -> Arc<Self> {
        Arc::new(Self(url.clone()))
    }
}

impl Dress for Early {
    fn covers(&self, path: &str) -> bool {
        is_page(&self.0, path)
    }

    fn dress(&self, mut bare: Response, id: &RequestId, head: bool) -> Response {
        if !is_bare(&bare) {
            return bare;
        }
        let problem = bare.extensions_mut().remove::<ProblemAnswer>();
        let fault =
            problem.map(|problem| PageFault { code: problem.code(), cause: problem.cause().map(str::to_owned) });
        let mut shown = refused(Frame::of(&self.0), &id.0, Refusal::Early(bare.status(), fault));
        for name in [ALLOW, RETRY_AFTER] {
            if let Some(value) = bare.headers_mut().remove(&name) {
                shown.headers_mut().insert(name, value);
            }
        }
        if head {
            *shown.body_mut() = Body::empty();
        }
        shown
    }
}

/// Whether a person would be shown no page of ours.
fn is_bare(response: &Response) -> bool {
    let status: StatusCode = response.status();
    let is_html = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    (status.is_client_error() || status.is_server_error()) && !is_html
}

/// Whether `path` is a page's, or would be below one.
fn is_page(url: &IssuerUrl, path: &str) -> bool {
    let Some(path) = path.strip_prefix(url.path()) else { return false };
    let below = |page: &str| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    [AUTHORIZE, DEVICE, SIGN_IN, CALLBACK].into_iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;

    #[test]
    fn the_paths_of_pages_are_told_from_those_of_programs() {
        let at_root = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
        let below = IssuerUrl::parse("https://id.example.com/brevet", Development::Off).unwrap();
        for path in ["/device", "/device/", "/sign-in/confirm", "/sign-in/x/y", "/oauth2/authorize", "/oauth2/callback"]
        {
            assert!(is_page(&at_root, path) && is_page(&below, &format!("/brevet{path}")), "{path}");
        }
        for path in ["", "/", "/devices", "/oauth2/token", "/v1/whoami", "/pages/brevet.css", "/.well-known/jwks.json"]
        {
            assert!(!is_page(&at_root, path) && !is_page(&below, &format!("/brevet{path}")), "{path}");
        }
        assert!(!is_page(&below, "/device"));
    }

    /// Through all layers, as a listener has them: a handler that panics, one that is out of time, one that is well.
    #[tokio::test]
    async fn a_panic_and_a_deadline_are_pages_where_people_look_and_problems_elsewhere() {
        use axum::Router;
        use axum::extract::Request;
        use axum::response::IntoResponse as _;
        use axum::routing::get;
        use http_body_util::BodyExt as _;
        use tower::ServiceExt as _;

        use crate::domain::clock::ManualClock;
        use crate::domain::entropy::seeded::SeededEntropy;
        use crate::http::error::Code;
        use crate::http::layer::{self, Naming};

        async fn panics() -> Response {
            panic!("a secret")
        }
        async fn late() -> Response {
            ProblemAnswer::new(Code::Timeout, "too long").retry_after(1).into_response()
        }
        let routes = Router::new()
            .route("/sign-in", get(panics))
            .route("/v1/panics", get(panics))
            .route("/device", get(late))
            .route("/oauth2/token", get(late))
            .route("/sign-in/done", get(async || "done"));
        let clock = ManualClock::new(time::macros::datetime!(2026-11-22 05:00 UTC));
        let naming = Naming { clock: std::sync::Arc::new(clock), entropy: std::sync::Arc::new(SeededEntropy::new(1)) };
        let url = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
        let router = layer::wrap_dressed(routes, naming, Early::of(&url));
        for (path, status, kind, words) in [
            ("/sign-in", 500, "text/html; charset=utf-8", "Something is wrong here"),
            ("/v1/panics", 500, "application/problem+json", "request_id"),
            ("/device", 503, "text/html; charset=utf-8", "Reload this page in a moment"),
            ("/oauth2/token", 503, "application/problem+json", "timeout"),
            ("/sign-in/done", 200, "text/plain; charset=utf-8", "done"),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
            let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            assert_eq!((head.status.as_u16(), head.headers[CONTENT_TYPE].to_str().unwrap()), (status, kind), "{path}");
            assert!(text.contains(words) && !text.contains("a secret"), "{path}: {text}");
            assert_eq!(head.headers.contains_key(RETRY_AFTER), status == 503, "{path}");
        }
    }
}
