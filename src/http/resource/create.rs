//! Creates: the body with its `Idempotency-Key`, and the answer with its `Location`.

use axum::Json as JsonAnswer;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::version;
use crate::http::error::ProblemAnswer;
use crate::http::extract::Json;
use crate::http::state::IssuerState;
use crate::issuer::admin::{Made, Repeatable};
use crate::wire::admin::page::WithKey;
use crate::wire::secret_text::SecretText;

/// Names a create, so that repeating it makes nothing twice.
pub(in crate::http) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_MAX: usize = 200;

/// The header of every create, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what Create reads")]
pub(in crate::http) struct IdempotencyHeader {
    /// 1 to 200 printable ASCII characters. Repeating the create with the same key and body makes nothing twice: it
    /// answers with the resource, without its secret.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// A create as it was asked for.
pub(in crate::http) struct Create<T> {
    /// The body.
    pub(in crate::http) body: T,
    /// Its idempotency key, with what else a repeat must have the same.
    pub(in crate::http) repeatable: Option<Repeatable>,
    /// The collection's own path.
    pub(in crate::http) at: String,
}

impl<T: DeserializeOwned + Serialize + 'static> FromRequest<IssuerState> for Create<T> {
    type Rejection = ProblemAnswer;

    async fn from_request(request: Request, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        // Routes are nested under the issuer URL's path, which the request's own URI has lost here.
        let at = format!("{}{}", state.url().path(), request.uri().path());
        let key = idempotency_key(request.headers())?;
        let Json(body) = Json::<T>::from_request(request, state).await?;
        // What was understood, not the bytes: another order of members is the same request.
        let said = serde_json::to_string(&body).map_err(ProblemAnswer::internal)?;
        let repeatable = key.map(|key| Repeatable::new(key, &at, &said));
        Ok(Self { body, repeatable, at })
    }
}

/// The `Idempotency-Key` of a create, where it has one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ProblemAnswer> {
    let rule = || ProblemAnswer::field("Idempotency-Key", "must be 1 to 200 printable ASCII characters, once");
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) if (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Some(text.to_owned()))
            }
            _ => Err(rule()),
        },
        _ => Err(rule()),
    }
}

/// Puts a resource and its key together.
pub(in crate::http) fn with_key<T, U>(made: Made<T>, shown: impl FnOnce(T) -> U) -> WithKey<U> {
    WithKey { resource: shown(made.resource), key: made.key.map(SecretText) }
}

/// What was made: 201, where it is, its version. Never stored on the way, since it may hold a key.
pub(in crate::http) struct Created<T> {
    /// The answer's body.
    pub(in crate::http) body: T,
    /// Where it can be seen from now on; `None` where it cannot.
    pub(in crate::http) location: Option<String>,
    /// Its version, where it has one.
    pub(in crate::http) version: Option<i64>,
}

impl<T> Created<T> {
    /// Something that lives below its collection under `name`.
    pub(in crate::http) fn below(at: &str, name: &str, version: Option<i64>, body: T) -> Self {
        Self { body, location: Some(format!("{at}/{name}")), version }
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::CREATED, JsonAnswer(self.body)).into_response();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            response.headers_mut().insert(LOCATION, location);
        }
        if let Some(version) = self.version {
            version::tag(&mut response, version);
        }
        response
    }
}
