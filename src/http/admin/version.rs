//! `If-Match` and `ETag` (RFC 9110, section 13.1.1): a change is made to the version that the caller saw.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use serde::Serialize;
use utoipa::IntoParams;

use crate::http::error::ProblemAnswer;

/// The header of every change and delete, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what IfMatch reads")]
pub(super) struct IfMatchHeader {
    /// The `ETag` of the version it is meant for, or `*`; another version is answered with 412.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// The version that the caller expects; `None` without the header or with `*`, which any version fits.
pub(super) struct IfMatch(pub(super) Option<i64>);

/// A version that nothing has: versions count from 0.
const NEVER: i64 = -1;

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut values = parts.headers.get_all(IF_MATCH).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => {
                value.to_str().ok().and_then(expected).map(Self).ok_or_else(|| {
                    ProblemAnswer::field("If-Match", "must be one ETag as answered, such as \"3\", or *")
                })
            }
            _ => Err(ProblemAnswer::field("If-Match", "must stand only once")),
        }
    }
}

/// A well-formed tag that is none of ours matches no version; a weak one never matches (section 8.8.3.2).
fn expected(text: &str) -> Option<Option<i64>> {
    let text = text.trim();
    if text == "*" {
        return Some(None);
    }
    let (weak, tag) = text.strip_prefix("W/").map_or((false, text), |tag| (true, tag));
    let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
    if opaque.contains('"') {
        return None;
    }
    let number = opaque.parse().ok().filter(|n: &i64| !weak && *n >= 0 && n.to_string() == opaque);
    Some(Some(number.unwrap_or(NEVER)))
}

/// A resource with its version as `ETag`.
pub(super) struct Versioned<T>(pub(super) T, pub(super) i64);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.0).into_response();
        tag(&mut response, self.1);
        response
    }
}

/// Adds the `ETag` of `version`.
pub(super) fn tag(response: &mut Response, version: i64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_strong_tag_or_a_star() {
        for (text, version) in [
            ("*", Some(None)),
            ("\"3\"", Some(Some(3))),
            (" \"3\" ", Some(Some(3))),
            ("\"03\"", Some(Some(NEVER))),
            ("W/\"3\"", Some(Some(NEVER))),
            ("\"abc\"", Some(Some(NEVER))),
            ("\"-3\"", Some(Some(NEVER))),
            ("3", None),
            ("\"3\", \"4\"", None),
            ("\"", None),
            ("", None),
        ] {
            assert_eq!(expected(text), version, "{text}");
        }
    }
}
