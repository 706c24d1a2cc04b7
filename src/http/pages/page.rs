//! One page on its way out, with the headers that every page has.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, REFRESH, SET_COOKIE,
};
use http::{HeaderName, HeaderValue, StatusCode};

use super::{cookie, style};
use crate::domain::browser::BrowserSecret;
use crate::domain::issuer_url::IssuerUrl;
use crate::http::error::ProblemAnswer;

/// Forms go to ourselves and nowhere else. Browsers hold every redirect after a form to `form-action`, those of the
/// provider among its own hosts included, which nobody could list; so no form is answered with a redirect to another
/// origin: [`leaving`] answers with a page that goes there.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// `same-origin`, not `no-referrer`: under that browsers send `Origin: null` with a form (Fetch, "append a request
/// Origin header"), and a foreign form could not be told from ours. Other origins learn nothing by either.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "same-origin"),
    // Whoever opened the window cannot steer it, nor see where it goes.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What stands around every page.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The issuer URL's path.
    pub(super) base: String,
    /// What the address bar should say.
    pub(super) host: String,
    /// The stylesheet's.
    pub(super) version: &'static str,
}

impl Frame {
    pub(super) fn of(url: &IssuerUrl) -> Self {
        Self { base: url.path().to_owned(), host: url.authority().to_owned(), version: &style::VERSION }
    }
}

/// The page.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
            // Set, not added: text has a content type of its own.
            (status, headers, html).into_response()
        }
        Err(error) => ProblemAnswer::internal(error).into_response(),
    }
}

/// Another page of ours; `path` stands under the issuer URL.
pub(super) fn elsewhere(frame: &Frame, path: &str) -> Response {
    redirect(&format!("{}{path}", frame.base))
}

/// 303: whatever was posted is not posted again (RFC 9700, section 4.12).
pub(super) fn redirect(to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return ProblemAnswer::internal("a redirect is no header value").into_response();
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (StatusCode::SEE_OTHER, axum::response::AppendHeaders(headers)).into_response()
}

/// A page from which the browser goes on to another origin at once, and to which it does not come back.
#[derive(Template)]
#[template(path = "leave.html")]
pub(super) struct Leave {
    pub(super) frame: Frame,
    pub(super) title: String,
    pub(super) words: String,
    pub(super) link: String,
    pub(super) to: String,
}

/// See [`Leave`].
pub(super) fn leaving(leave: &Leave) -> Response {
    let mut response = page(StatusCode::OK, leave);
    let Ok(mut refresh) = HeaderValue::from_str(&format!("0;url={}", leave.to)) else {
        return ProblemAnswer::internal("where to go is no header value").into_response();
    };
    refresh.set_sensitive(true);
    response.headers_mut().insert(REFRESH, refresh);
    response
}

/// `response`, giving the browser `secret`.
pub(super) fn giving(mut response: Response, secret: &BrowserSecret) -> Response {
    if let Some(value) = cookie::give(secret) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// `response`, taking the browser's secret away.
pub(super) fn taking(mut response: Response) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie::take_back());
    response
}
