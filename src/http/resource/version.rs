//! `If-Match` and `ETag` (RFC 9110, section 13.1.1): a change is made to the version that the caller saw.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::IntoParams;

use crate::http::error::ProblemAnswer;

/// The header of every change and delete, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what IfMatch reads")]
pub(in crate::http) struct IfMatchHeader {
    /// The `ETag` of the version it is meant for, or `*`; another version is answered with 412.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// The version that the caller expects; `None` without the header or with `*`, which any version fits.
pub struct IfMatch(pub Option<i64>);

/// A version that nothing has: versions count from 0.
const NEVER: i64 = -1;
const RULE: &str = "must be one ETag as answered, such as \"3\", or *";

impl IfMatch {
    /// Reads the header, which stands once or not at all.
    pub fn read(headers: &HeaderMap) -> Result<Self, ProblemAnswer> {
        let mut values = headers.get_all(IF_MATCH).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => expected(value.to_str().unwrap_or_default())
                .map(Self)
                .map_err(|rule| ProblemAnswer::field("If-Match", rule)),
            _ => Err(ProblemAnswer::field("If-Match", "must stand only once")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        Self::read(&parts.headers)
    }
}

/// A well-formed tag that is none of ours matches no version; a weak one never matches (section 8.8.3.2).
fn expected(text: &str) -> Result<Option<i64>, &'static str> {
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    let (weak, tag) = text.strip_prefix("W/").map_or((false, text), |tag| (true, tag));
    let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let opaque = quoted.filter(|opaque| !opaque.contains('"')).ok_or(RULE)?;
    let number = opaque.parse().ok().filter(|n: &i64| !weak && *n >= 0 && n.to_string() == opaque);
    Ok(Some(number.unwrap_or(NEVER)))
}

/// A resource with its version as `ETag`.
pub(in crate::http) struct Versioned<T>(pub(in crate::http) T, pub(in crate::http) i64);

impl<T: Serialize> IntoResponse for Versioned<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.0).into_response();
        tag(&mut response, self.1);
        response
    }
}

/// Adds the `ETag` of `version`.
pub(in crate::http) fn tag(response: &mut Response, version: i64) {
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
            ("*", Ok(None)),
            ("\"3\"", Ok(Some(3))),
            (" \"3\" ", Ok(Some(3))),
            ("\"03\"", Ok(Some(NEVER))),
            ("W/\"3\"", Ok(Some(NEVER))),
            ("\"abc\"", Ok(Some(NEVER))),
            ("\"-3\"", Ok(Some(NEVER))),
            ("3", Err(RULE)),
            ("\"3\", \"4\"", Err(RULE)),
            ("\"", Err(RULE)),
            ("", Err(RULE)),
        ] {
            assert_eq!(expected(text), version, "{text}");
        }
    }
}
