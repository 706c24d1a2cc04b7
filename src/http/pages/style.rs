//! The stylesheet and the mark, compiled in: nothing is fetched from anywhere else.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::domain::credential::SecretHash;

/// Where the stylesheet is, under the issuer URL.
pub(super) const SHEET: &str = "/pages/brevet.css";
/// Where the mark is.
pub(super) const MARK: &str = "/pages/brevet.svg";

const SHEET_TEXT: &str = include_str!("brevet.css");
const MARK_TEXT: &str = include_str!("brevet.svg");

/// Pages ask for both under this word, so that browsers may keep them for ever.
pub(super) static VERSION: LazyLock<String> =
    LazyLock::new(|| SecretHash::of(&[SHEET_TEXT, MARK_TEXT].concat()).to_hex()[..12].to_owned());

/// `GET /pages/brevet.css`.
pub(super) async fn sheet() -> Response {
    kept("text/css; charset=utf-8", SHEET_TEXT)
}

/// `GET /pages/brevet.svg`.
pub(super) async fn mark() -> Response {
    kept("image/svg+xml", MARK_TEXT)
}

fn kept(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")], text).into_response()
}
