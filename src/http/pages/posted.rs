//! A form that one of our own pages sent.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, ORIGIN};

use super::query::{once, pairs};
use super::refused::Refusal;
use super::visit::{Visit, page_origin};
use crate::domain::browser::{BrowserSecret, Derived};
use crate::domain::issuer_url::IssuerUrl;
use crate::http::state::IssuerState;

/// A form with the token of the browser that sends it, from a page of ours. Each of origin, token and cookie keeps a
/// foreign page out by itself.
pub(super) struct Posted {
    pub(super) visit: Visit,
    secret: BrowserSecret,
    fields: Vec<(String, String)>,
}

impl Posted {
    /// The browser's secret.
    pub(super) const fn secret(&self) -> &BrowserSecret {
        &self.secret
    }

    /// A field of the form, if it stands there once; without the spaces that pasting leaves around.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        once(&self.fields, name).map(str::trim)
    }
}

impl FromRequest<IssuerState> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, state: &IssuerState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        match read(request, state, &visit).await {
            Ok((secret, fields)) => Ok(Self { visit, secret, fields }),
            Err(refusal) => Err(visit.answer(Err(refusal))),
        }
    }
}

async fn read(
    request: Request,
    state: &IssuerState,
    visit: &Visit,
) -> Result<(BrowserSecret, Vec<(String, String)>), Refusal> {
    if !is_from_us(request.headers(), state.url()) {
        return Err(Refusal::Origin);
    }
    let form = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if form != Some("application/x-www-form-urlencoded") {
        return Err(Refusal::Form);
    }
    let body = Bytes::from_request(request, state).await.map_err(|_| Refusal::Form)?;
    let fields = pairs(&body);
    let secret = visit.secret()?;
    if !once(&fields, "form").is_some_and(|token| secret.matches(Derived::Form, token)) {
        return Err(Refusal::Stale);
    }
    Ok((secret.clone(), fields))
}

/// Every browser sends `Origin` with a form, and those that send `Sec-Fetch-Site` say so themselves.
fn is_from_us(headers: &HeaderMap, url: &IssuerUrl) -> bool {
    let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    matches!(origins.as_slice(), [one] if one.as_bytes() == page_origin(url).as_bytes())
        && site.is_none_or(|site| site == b"same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;

    #[test]
    fn threat_32_only_a_form_of_our_own_origin_is_read() {
        let url = IssuerUrl::parse("https://id.example.com/brevet", Development::Off).unwrap();
        let from = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            is_from_us(&headers, &url)
        };
        assert!(from(&[("origin", "https://id.example.com")]));
        assert!(from(&[("origin", "https://id.example.com"), ("sec-fetch-site", "same-origin")]));
        for pairs in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "http://id.example.com")],
            &[("origin", "https://id.example.com:8443")],
            &[("origin", "https://id.example.com.evil.example")],
            &[("origin", "https://a.id.example.com")],
            &[("origin", "https://id.example.com"), ("origin", "https://evil.example")],
            &[("origin", "https://id.example.com"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://id.example.com"), ("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin")],
        ] {
            assert!(!from(pairs), "{pairs:?}");
        }
    }
}
