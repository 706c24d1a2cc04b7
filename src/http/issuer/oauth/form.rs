//! Form bodies of the OAuth endpoints (RFC 6749, appendix B), read strictly.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;

use crate::domain::secret::Secret;
use crate::http::error::oauth::{OAuthAnswer, OAuthCode};

/// Most parameters of one form.
pub const PARAMETERS_MAX: usize = 32;
/// Longest name of a parameter.
const NAME_MAX: usize = 64;

/// The parameters of a form, each once. Any of them may be a secret, so that none is shown.
#[derive(Debug, Clone, Default)]
pub struct Form(Vec<(String, Secret)>);

/// What is wrong with a form. Values are never part of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Too many parameters.
    #[error("the form must have at most 32 parameters")]
    Count,
    /// A name is too long or holds something else than printable ASCII.
    #[error("names of parameters must have at most 64 characters of printable ASCII")]
    Name,
    /// One name twice (RFC 6749, section 3.2).
    #[error("{0} must stand only once")]
    Twice(String),
    /// A percent sign without two digits behind it, or bytes that are no UTF-8.
    #[error("{0} must be percent-encoded UTF-8")]
    Encoding(String),
}

impl Form {
    /// Reads a body. A parameter without a value counts as absent (RFC 6749, section 3.2).
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let body = std::str::from_utf8(body).map_err(|_| FormError::Encoding("the form".to_owned()))?;
        let mut parameters: Vec<(String, Secret)> = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for pair in body.split('&').filter(|pair| !pair.is_empty()) {
            if seen.len() == PARAMETERS_MAX {
                return Err(FormError::Count);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or(FormError::Name)?;
            if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(FormError::Name);
            }
            if seen.contains(&name) {
                return Err(FormError::Twice(speakable(name)));
            }
            let value = decode(value).ok_or_else(|| FormError::Encoding(speakable(name.clone())))?;
            if !value.is_empty() {
                parameters.push((name.clone(), Secret::new(value)));
            }
            seen.push(name);
        }
        Ok(Self(parameters))
    }

    /// A parameter, if it is there.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// A parameter that must be there.
    pub fn require(&self, name: &str) -> Result<&Secret, OAuthAnswer> {
        self.get(name).ok_or_else(|| OAuthAnswer::invalid_request(format!("{name} is required")))
    }
}

/// A name that may be repeated in an error: one in whose place somebody has put a secret may not.
fn speakable(name: String) -> String {
    let looks_plain = name.len() <= 32 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if looks_plain { name } else { "a parameter".to_owned() }
}

/// One name, value, or half of a Basic credential; `None` where an escape is broken or the bytes are no UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let sound = |escape: &str| escape.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
    if !text.split('%').skip(1).all(sound) {
        return None;
    }
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = OAuthAnswer;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthAnswer> {
        // A URL stands in logs on the way, and a client could leave its secret there (RFC 6749, section 2.3.1).
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            return Err(OAuthAnswer::invalid_request("parameters must stand in the body, not in the URL"));
        }
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_form) {
            let words = "Content-Type must be application/x-www-form-urlencoded";
            return Err(OAuthAnswer::invalid_request(words));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                OAuthAnswer::new(OAuthCode::BodyTooLarge, "the body is longer than the route takes")
            } else {
                OAuthAnswer::invalid_request("the body could not be read to its end")
            }
        })?;
        Self::parse(&bytes).map_err(|error| OAuthAnswer::invalid_request(error.to_string()))
    }
}

fn is_form(media_type: &str) -> bool {
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str) -> Result<Vec<(String, String)>, FormError> {
        let form = Form::parse(body.as_bytes())?;
        Ok(form.0.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect())
    }

    #[test]
    fn a_form_is_read_as_the_rfc_says_or_refused() {
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        for (body, expected) in [
            ("", pairs(&[])),
            ("a=1&b=2", pairs(&[("a", "1"), ("b", "2")])),
            ("a=%C3%BC+x%2By&&c=d=e", pairs(&[("a", "ü x+y"), ("c", "d=e")])),
            ("a=&b", pairs(&[])),
            ("%61=1", pairs(&[("a", "1")])),
            ("a=1&a=1", Err(FormError::Twice("a".to_owned()))),
            ("a=1&%61=2", Err(FormError::Twice("a".to_owned()))),
            ("a=&a=1", Err(FormError::Twice("a".to_owned()))),
            ("a=%", Err(FormError::Encoding("a".to_owned()))),
            ("a=%4", Err(FormError::Encoding("a".to_owned()))),
            ("a=%zz", Err(FormError::Encoding("a".to_owned()))),
            ("a=%ff", Err(FormError::Encoding("a".to_owned()))),
            ("=1", Err(FormError::Name)),
            ("a b=1", Err(FormError::Name)),
            ("%0a=1", Err(FormError::Name)),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
        assert_eq!(Form::parse(b"a=\xff").unwrap_err(), FormError::Encoding("the form".to_owned()));
        assert_eq!(read(&format!("{}=1", "n".repeat(65))), Err(FormError::Name));
        let many = |n: usize| (0..n).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(read(&many(PARAMETERS_MAX)).map(|all| all.len()), Ok(PARAMETERS_MAX));
        assert_eq!(read(&many(PARAMETERS_MAX + 1)), Err(FormError::Count));
    }

    #[test]
    fn threat_31_no_value_of_a_form_is_shown() {
        let form = Form::parse(b"client_secret=hunter2").unwrap();
        assert!(!format!("{form:?}").contains("hunter2"));
        // A secret in the place of a name is no better told.
        for bad in [
            "client_secret=hunter2&client_secret=hunter2",
            "client_secret=hunter2%zz",
            "hunter2=1&hunter2=2",
            "hunter2=%zz",
        ] {
            assert!(!Form::parse(bad.as_bytes()).unwrap_err().to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_what_is_read(values in prop::collection::btree_map("[a-z_]{1,20}", "\\PC{1,40}", 0..8)) {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&values).finish();
            prop_assert_eq!(read(&body), Ok(values.into_iter().collect::<Vec<_>>()));
        }

        #[test]
        fn nothing_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&body);
        }
    }
}
