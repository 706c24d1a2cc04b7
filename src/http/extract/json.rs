//! JSON bodies.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::domain::credential::CredentialKind;
use crate::http::error::{Code, ProblemAnswer};

/// A body of `application/json` that holds one object. No part of it is ever echoed but names that members could have.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ProblemAnswer;

    async fn from_request(request: Request, state: &S) -> Result<Self, ProblemAnswer> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            return Err(ProblemAnswer::new(Code::UnsupportedMediaType, "Content-Type must be application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        parse(&bytes).map(Self)
    }
}

fn is_json(media_type: &str) -> bool {
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    essence.trim().eq_ignore_ascii_case("application/json")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

fn unread(rejection: BytesRejection) -> ProblemAnswer {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ProblemAnswer::new(Code::BodyTooLarge, "the body is longer than the route takes")
    } else {
        ProblemAnswer::new(Code::InvalidJson, "the body could not be read to its end")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ProblemAnswer> {
    // Serde would take an array for a struct.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ProblemAnswer::new(Code::InvalidJson, "the body must be a JSON object; {} where nothing is asked"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| refuse(&error))?;
    deserializer.end().map_err(|_| ProblemAnswer::new(Code::InvalidJson, "nothing may follow the JSON object"))?;
    Ok(value)
}

/// Names the member and the rule. Serde's own message would echo the value, which may be a secret.
fn refuse(error: &serde_path_to_error::Error<serde_json::Error>) -> ProblemAnswer {
    let inner = error.inner();
    if !inner.is_data() {
        let (line, column) = (inner.line(), inner.column());
        return ProblemAnswer::new(Code::InvalidJson, format!("the body is not JSON at line {line}, column {column}"));
    }
    let message = inner.to_string();
    let path = place(error.path());
    let quoted = told(message.split('`').nth(1).unwrap_or_default()).to_owned();
    let member = |name: String| if path == "." || path.ends_with(&name) { name } else { format!("{path}.{name}") };
    if message.starts_with("unknown field") {
        ProblemAnswer::field(member(quoted), "is not a member of this request")
    } else if message.starts_with("missing field") {
        ProblemAnswer::field(member(quoted), "is required")
    } else if message.starts_with("duplicate field") {
        ProblemAnswer::field(member(quoted), "must stand only once")
    } else {
        let expected = message.split_once(", expected ").map_or("of another type", |(_, rest)| rest);
        let expected = expected.split(" at line ").next().unwrap_or(expected);
        ProblemAnswer::field(path, format!("must be {}", in_words(expected)))
    }
}

/// Longest name that is repeated; our own have at most 27 characters.
const NAME_MAX: usize = 32;

/// A member's name, or `?`: where somebody has put a secret in the wrong place, a name is one too. Secrets are longer than
/// names, or have digits in them, or say themselves what they are.
fn told(name: &str) -> &str {
    let is_credential = CredentialKind::ALL.iter().any(|kind| name.contains(kind.prefix()));
    let is_name =
        (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if is_name && !is_credential { name } else { "?" }
}

/// Where in the body, with dots between members; `.` for the whole of it.
fn place(path: &Path) -> String {
    let mut text = String::new();
    for segment in path {
        let name = match segment {
            Segment::Seq { index } => {
                let _ = write!(text, "[{index}]");
                continue;
            }
            Segment::Map { key } | Segment::Enum { variant: key } => told(key),
            Segment::Unknown => "?",
        };
        let dot = if text.is_empty() { "" } else { "." };
        let _ = write!(text, "{dot}{name}");
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

/// Serde names types as Rust does.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number that is not negative and not too large",
        "i32" | "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::admin::provider_settings::ChangeProviderSettings;
    use crate::wire::mint::MintRequest;
    use crate::wire::session::OpenSession;

    fn said<T: DeserializeOwned>(body: &str) -> String {
        match parse::<T>(body.as_bytes()) {
            Ok(_) => "taken".to_owned(),
            Err(problem) => {
                let body = problem.body("");
                format!("{}: {}", body.code(), body.detail)
            }
        }
    }

    #[test]
    fn each_fault_names_member_and_rule_and_echoes_no_value() {
        for (body, answer) in [
            ("{}", "taken"),
            (r#" {"audience":"x"} "#, "taken"),
            ("", "invalid_json: the body must be a JSON object; {} where nothing is asked"),
            ("[]", "invalid_json: the body must be a JSON object; {} where nothing is asked"),
            ("null", "invalid_json: the body must be a JSON object; {} where nothing is asked"),
            ("{", "invalid_json: the body is not JSON at line 1, column 1"),
            ("{}{}", "invalid_json: nothing may follow the JSON object"),
            (r#"{"audience":7}"#, "invalid_request: audience must be a string"),
            (
                r#"{"lifetime_seconds":"5m"}"#,
                "invalid_request: lifetime_seconds must be a whole number that is not negative and not too large",
            ),
            (
                r#"{"lifetime_seconds":-1}"#,
                "invalid_request: lifetime_seconds must be a whole number that is not negative and not too large",
            ),
            (
                r#"{"lifetime_seconds":1.5}"#,
                "invalid_request: lifetime_seconds must be a whole number that is not negative and not too large",
            ),
            (r#"{"bvt_sa_x":1}"#, "invalid_request: ? is not a member of this request"),
            (r#"{"sub":"x"}"#, "invalid_request: sub is not a member of this request"),
            (r#"{"roleArn":"x"}"#, "invalid_request: roleArn is not a member of this request"),
            // Secrets that do not say what they are.
            (
                r#"{"wJalrXUtnFEMIcanaryK7MDENGbPxRfiCYEXAMPLEKEY":1}"#,
                "invalid_request: ? is not a member of this request",
            ),
            (r#"{"d41d8cd98f00b204e9800998ecf8427e":1}"#, "invalid_request: ? is not a member of this request"),
            (r#"{"audience":"a","audience":"b"}"#, "invalid_request: audience must stand only once"),
        ] {
            assert_eq!(said::<MintRequest>(body), answer, "{body}");
        }
        let settings = said::<ChangeProviderSettings>;
        assert_eq!(settings(r#"{"models":{"haiku":7}}"#), "invalid_request: models.haiku must be a string");
        assert_eq!(
            settings(r#"{"models":{"XlUy6ikgLyULukIbBcbm1AdHY":7}}"#),
            "invalid_request: models.? must be a string"
        );
        assert_eq!(settings(r#"{"allowed_models":["a",7]}"#), "invalid_request: allowed_models[1] must be a string");
        assert_eq!(said::<OpenSession>("{}"), "invalid_request: code is required");
        assert_eq!(said::<OpenSession>(r#"{"code":["bvt_en_x"]}"#), "invalid_request: code must be a string");
    }

    #[test]
    fn only_json_in_utf_8_is_taken() {
        for good in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
            assert!(is_json(good), "{good}");
        }
        for bad in ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
