//! A client of an issuer that really listens: JSON and forms over the guarded connections, as many as are asked for.

use brevet::fetch::{self, FetchError, Limits, Reach};
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};

/// Connections to one address. Clones share them.
#[derive(Clone)]
pub(crate) struct Caller {
    client: fetch::Client,
    url: String,
    bearer: String,
}

impl Caller {
    pub(crate) fn new(url: &str, bearer: &str) -> Self {
        let limits = Limits { total: std::time::Duration::from_mins(1), ..Limits::default() };
        let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
        let client = fetch::Client::new(settings).expect("a client");
        Self { client, url: url.to_owned(), bearer: bearer.to_owned() }
    }

    /// The same connections with another credential; none where it is empty.
    pub(crate) fn with(&self, bearer: &str) -> Self {
        Self { bearer: bearer.to_owned(), ..self.clone() }
    }

    /// One request; the answer's status, and its body where that is JSON.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let body = body.map(|body| ("application/json", body.to_string()));
        self.send(method, path, body).await
    }

    /// One that must succeed.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<Value>) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            let (status, answer) = self.call(method, path, body.as_ref()).await;
            assert!(status.is_success(), "{place}: {method} {path}: {status} {answer}");
            answer
        }
    }

    /// A form of the OAuth endpoints that must succeed.
    pub(crate) async fn form(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let (status, answer) = self.send("POST", path, Some(("application/x-www-form-urlencoded", form))).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// The same, whatever comes of it; `None` where no answer came.
    pub(crate) fn try_form(
        &self,
        path: &'static str,
        form: Vec<(&'static str, String)>,
    ) -> impl Future<Output = Option<(StatusCode, Value)>> + Send + 'static {
        let caller = self.clone();
        async move {
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            caller.try_send("POST", path, Some(("application/x-www-form-urlencoded", form))).await.ok()
        }
    }

    /// A session of a person by a code of an operator's, which this caller is: the access token, and the session's id.
    pub(crate) async fn sign_in(&self, user: &str) -> (String, String) {
        let code = self.must("POST", "/v1/enrolment-codes", Some(json!({ "user_uid": user }))).await;
        let opened = self.with("").must("POST", "/v1/sessions", Some(json!({ "code": code["code"] }))).await;
        (text(&opened, "access_token"), text(&opened, "session_id"))
    }

    async fn send(&self, method: &str, path: &str, body: Option<(&str, String)>) -> (StatusCode, Value) {
        self.try_send(method, path, body).await.unwrap_or_else(|fault| panic!("{method} {path}: {fault}"))
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<(StatusCode, Value), FetchError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !self.bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.bearer));
        }
        let body = body.map(|(kind, body)| {
            request = std::mem::take(&mut request).header("content-type", kind);
            Bytes::from(body)
        });
        let request = request.body(body.unwrap_or_default()).expect("a sound request");
        let answer = self.client.send(request).await?;
        Ok((answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default()))
    }
}

/// A member of an answer that is text.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}")).to_owned()
}
