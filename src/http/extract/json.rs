//! JSON bodies.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::domain::credential::CredentialKind;
use crate::http::error::{Code, ProblemAnswer};

/// A body of `application/json` that holds one object. No part of it is ever echoed but the names of members.
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
    let path = error.path().to_string();
    // A name may be a secret too, where somebody has put one in the wrong place.
    let is_credential = |name: &str| CredentialKind::ALL.iter().any(|kind| name.contains(kind.prefix()));
    let quoted = message.split('`').nth(1).filter(|name| name.len() <= 64 && !is_credential(name));
    let quoted = quoted.unwrap_or("?").to_owned();
    let unspeakable = |name: &str| name.len() > 64 || is_credential(name);
    let path = if path.split('.').any(unspeakable) || path.starts_with("eyJ") { ".".to_owned() } else { path };
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
            (r#"{"audience":"a","audience":"b"}"#, "invalid_request: audience must stand only once"),
        ] {
            assert_eq!(said::<MintRequest>(body), answer, "{body}");
        }
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
