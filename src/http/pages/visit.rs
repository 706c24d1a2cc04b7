//! One request of a browser: at our own address, with whatever secret it carries.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::HeaderName;
use http::header::HOST;
use http::request::Parts;

use super::cookie;
use super::page::Frame;
use super::refused::{Refusal, refused};
use crate::domain::audit::Origin;
use crate::domain::browser::BrowserSecret;
use crate::domain::issuer_url::IssuerUrl;
use crate::http::extract::ClientOrigin;
use crate::http::layer::request_id::RequestId;
use crate::http::state::IssuerState;

const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// A request that named our host. A page that another name leads to could be framed by that name's owner, or read by
/// a script of theirs once the name leads elsewhere (DNS rebinding, threat 32).
pub(super) struct Visit {
    pub(super) frame: Frame,
    pub(super) secret: Option<BrowserSecret>,
    pub(super) origin: Origin,
    pub(super) query: Vec<u8>,
    reference: String,
}

impl Visit {
    /// The browser's secret, which it must have by now.
    pub(super) fn secret(&self) -> Result<&BrowserSecret, Refusal> {
        self.secret.as_ref().ok_or(Refusal::Over)
    }

    /// The answer, or the page that says why there is none.
    pub(super) fn answer(&self, answer: Result<Response, Refusal>) -> Response {
        answer.unwrap_or_else(|refusal| refused(self.frame.clone(), &self.reference, refusal))
    }
}

impl FromRequestParts<IssuerState> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, Response> {
        let Ok(ClientOrigin(origin)) = ClientOrigin::from_request_parts(parts, state).await;
        let reference = parts.extensions.get::<RequestId>().map(|id| id.0.to_string()).unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default().as_bytes().to_vec();
        let secret = cookie::read(&parts.headers);
        let visit = Self { frame: Frame::of(state.url()), secret, origin, query, reference };
        if !is_ours(parts, state.url()) {
            return Err(visit.answer(Err(Refusal::Host(state.url().clone()))));
        }
        if !is_looked_at(parts) {
            return Err(visit.answer(Err(Refusal::Embedded)));
        }
        Ok(visit)
    }
}

/// HTTP/2 names the host in `:authority`, HTTP/1.1 in `Host`; where both stand there, both must be ours. The port may
/// be left out or not (RFC 9110, section 4.2.3).
fn is_ours(parts: &Parts, url: &IssuerUrl) -> bool {
    let ours = |named: &str| {
        let named = if url.is_loopback() { named } else { named.strip_suffix(":443").unwrap_or(named) };
        named.eq_ignore_ascii_case(url.authority())
    };
    let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    let mut named: Vec<_> =
        parts.headers.get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes())).collect();
    named.extend(authority.map(Into::into));
    !named.is_empty() && named.iter().all(|named| ours(named))
}

/// Whether a person looks at what is asked for (Fetch Metadata, section 2.1): a popular website could else have its
/// visitors' browsers begin one way after another, as pictures of it that nobody sees, until nobody can begin one.
/// Browsers that do not say so are believed.
fn is_looked_at(parts: &Parts) -> bool {
    parts.headers.get_all(DESTINATION).iter().all(|destination| destination.as_bytes() == b"document")
}

/// What a browser calls the origin of our pages (RFC 6454, section 6.1).
pub(super) fn page_origin(url: &IssuerUrl) -> String {
    let scheme = if url.is_loopback() { "http" } else { "https" };
    format!("{scheme}://{}", url.authority())
}
