//! A browser as far as our pages need one: it keeps the cookie, names host and origin, and reads a form's token.
//! The real one is in `tests/clients/pages_chromium.mjs`.

use std::net::IpAddr;

use axum::body::Body;
use brevet::http::layer::client_address::ClientAddress;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::app::{ADDRESS, Answer, App};

/// The name of the one cookie.
pub(crate) const COOKIE: &str = "__Host-brevet-sign-in";

/// One browser, at one address.
pub(crate) struct Browser<'a> {
    app: &'a App,
    pub(crate) cookie: Option<String>,
    pub(crate) address: IpAddr,
    /// The token of the last form it was shown.
    pub(crate) token: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, cookie: None, address: ADDRESS.parse().unwrap(), token: String::new() }
    }

    /// Opens a page.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &[]).await
    }

    /// Sends a form with the token of the last one, as a page of ours would.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.token.clone();
        let fields = [fields, &[("form", token.as_str())]].concat();
        self.send(Method::POST, path, &fields, &[("origin", "https://id.example.com")]).await
    }

    /// Sends a form with other headers. One that is empty is left out.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::builder().method(&method).uri(format!("/brevet{path}"));
        let usual = [("host", "id.example.com"), ("user-agent", "browser/1")];
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let usual = usual.into_iter().chain(form.into_iter().filter(|_| method == Method::POST));
        let named = |name: &str| headers.iter().any(|(other, _)| *other == name);
        for (name, value) in usual.filter(|(name, _)| !named(name)).chain(headers.iter().copied()) {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("other=1; {COOKIE}={cookie}"));
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ClientAddress(self.address));
        let response = self.app.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        self.learn(&answer);
        answer
    }

    /// Follows where a form led.
    pub(crate) async fn follow(&mut self, answer: &Answer) -> Answer {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer}");
        let path = answer.header("location").unwrap().strip_prefix("/brevet").expect("a page of ours").to_owned();
        self.get(&path).await
    }

    fn learn(&mut self, answer: &Answer) {
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let value = set.strip_prefix(COOKIE).unwrap().strip_prefix('=').unwrap().split(';').next().unwrap();
            self.cookie = (!value.is_empty()).then(|| value.to_owned());
        }
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        if let Some((_, rest)) = page.split_once("name=\"form\" value=\"") {
            rest.split('"').next().unwrap().clone_into(&mut self.token);
        }
    }
}
