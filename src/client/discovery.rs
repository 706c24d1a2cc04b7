//! What the issuer publishes: its discovery document and its keys.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, DATE};
use http::{HeaderName, Method, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::call::{Client, ClientError};

/// Where the issuer publishes its discovery document (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// How long the keys hold where the issuer does not say, and at most.
const MAX_AGE_DEFAULT: Duration = Duration::from_mins(5);
const MAX_AGE_MOST: Duration = Duration::from_hours(1);
const MAX_AGE_LEAST: Duration = Duration::from_secs(10);

/// The keys, as published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKeys {
    /// The JWKS.
    pub jwks: Bytes,
    /// For how long, at least 10 s and at most an hour, whatever the issuer says.
    pub max_age: Duration,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Client {
    /// Whether what answers at the issuer URL is that issuer, byte for byte, before anything is asked of it; and what
    /// its clock says, to the second and less the way here, where it tells.
    pub async fn meet(&self) -> Result<Option<OffsetDateTime>, ClientError> {
        let stranger = |what: String| ClientError::Stranger { issuer: self.issuer_url().into(), what };
        let answer = match self.call(Method::GET, DISCOVERY, None, None, Bytes::new()).await {
            Ok(answer) => answer,
            Err(error) if error.status() == Some(404) => {
                return Err(stranger("there is no discovery document (status 404)".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let document: Document = serde_json::from_slice(answer.body())
            .map_err(|_| stranger(format!("what is there is no discovery document (status {})", answer.status())))?;
        if document.issuer != self.issuer_url() {
            return Err(stranger(format!("what answers there says that it is {}", document.issuer)));
        }
        Ok(told_at(&answer))
    }

    /// Reads the issuer's keys by way of its discovery document. That must name the issuer byte for byte, and keys
    /// under the same URL: nothing else is ever asked (threats 3 and 6).
    pub async fn published_keys(&self) -> Result<PublishedKeys, ClientError> {
        let document = self.call(Method::GET, DISCOVERY, None, None, Bytes::new()).await?;
        let path = jwks_path(document.body(), self.issuer_url()).map_err(|what| self.protocol(200, what))?;
        let keys = self.call(Method::GET, &path, None, None, Bytes::new()).await?;
        Ok(PublishedKeys { max_age: max_age(&keys), jwks: keys.into_body() })
    }
}

/// Where below `issuer` its document says that the keys are; else what is wrong with the document.
pub fn jwks_path(document: &[u8], issuer: &str) -> Result<String, &'static str> {
    let found: Document = serde_json::from_slice(document).map_err(|_| "the answer is no discovery document")?;
    if found.issuer != issuer {
        return Err("the discovery document is another issuer's");
    }
    let path = found.jwks_uri.strip_prefix(issuer).filter(|path| path.starts_with('/') && !path.contains(".."));
    path.map(str::to_owned).ok_or("jwks_uri must lie under the issuer's URL")
}

/// When an answer was made, and how long ago it was where a cache kept it (RFC 9111, section 4.2.3).
fn told_at<B>(answer: &Response<B>) -> Option<OffsetDateTime> {
    let text = |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let date = OffsetDateTime::parse(text(DATE)?, &Rfc2822).ok()?;
    let age = text(AGE).and_then(|seconds| seconds.parse::<u32>().ok()).unwrap_or(0);
    date.checked_add(time::Duration::seconds(age.into()))
}

fn max_age<B>(answer: &Response<B>) -> Duration {
    let said = answer.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let directive = said.and_then(|said| said.split(',').find_map(|part| part.trim().strip_prefix("max-age=")));
    let seconds = directive.and_then(|seconds| seconds.parse().ok()).map_or(MAX_AGE_DEFAULT, Duration::from_secs);
    seconds.clamp(MAX_AGE_LEAST, MAX_AGE_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_6_a_document_of_another_issuer_or_with_foreign_keys_is_refused() {
        let issuer = "https://id.example.com/brevet";
        let path = |found_issuer: &str, jwks_uri: &str| {
            let document = serde_json::json!({ "issuer": found_issuer, "jwks_uri": jwks_uri }).to_string();
            jwks_path(document.as_bytes(), issuer).ok()
        };
        assert_eq!(
            path(issuer, "https://id.example.com/brevet/.well-known/jwks.json").as_deref(),
            Some("/.well-known/jwks.json")
        );
        for (found_issuer, jwks_uri) in [
            ("https://id.example.com/brevet/", "https://id.example.com/brevet/jwks"),
            ("https://id.example.com/Brevet", "https://id.example.com/brevet/jwks"),
            ("https://id.example.com", "https://id.example.com/brevet/jwks"),
            (issuer, "https://evil.example/jwks"),
            (issuer, "https://id.example.com/jwks"),
            (issuer, "https://id.example.com/brevet.evil.example/jwks"),
            (issuer, "https://id.example.com/brevet@evil.example/jwks"),
            (issuer, "https://id.example.com/brevet/../jwks"),
        ] {
            assert_eq!(path(found_issuer, jwks_uri), None, "{found_issuer} {jwks_uri}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_answer_and_its_age() {
        let mut answer = Response::new(());
        assert_eq!(told_at(&answer), None);
        answer.headers_mut().insert(DATE, "Sun, 22 Nov 2026 04:41:40 GMT".parse().unwrap());
        assert_eq!(told_at(&answer), Some(time::macros::datetime!(2026-11-22 04:41:40 UTC)));
        answer.headers_mut().insert(AGE, "3600".parse().unwrap());
        assert_eq!(told_at(&answer), Some(time::macros::datetime!(2026-11-22 05:41:40 UTC)));
    }

    #[test]
    fn max_age_is_read_and_bounded() {
        for (said, seconds) in [
            (Some("public, max-age=600"), 600),
            (Some("max-age=0"), 10),
            (Some("no-store"), 300),
            (Some("max-age=99999999"), 3600),
            (Some("max-age=x"), 300),
            (None, 300),
        ] {
            let mut answer = Response::new(());
            if let Some(said) = said {
                answer.headers_mut().insert(CACHE_CONTROL, said.parse().unwrap());
            }
            assert_eq!(max_age(&answer).as_secs(), seconds, "{said:?}");
        }
    }
}
