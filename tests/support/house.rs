//! A whole issuer as an operator finds it: [`App`], its first administrator, and both listeners.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use brevet::domain::clock::Clock as _;
use brevet::domain::clock::ManualClock;
use brevet::domain::secret::Secret;
use brevet::http::{admin, issuer, whole};
use brevet::issuer::bootstrap::{self, Host};
use brevet::issuer::limits::LimitNumbers;
use brevet::limit::rate::Rate;
use brevet::store::Target;
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::app::{App, Options};
use super::postgres::TestDatabase;

/// One issuer and what it lives in.
pub(crate) struct House {
    pub(crate) app: App,
    pub(crate) clock: Arc<ManualClock>,
    /// The first administrator's key.
    pub(crate) first: String,
    public: Router,
    admin: Router,
    same: Router,
    _database: Option<TestDatabase>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Public,
    Admin,
    /// `BREVET_ADMIN_LISTEN=same`.
    Same,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// A header's text, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Status and body in one text: what a table compares. Of a problem its code and detail.
    pub(crate) fn short(&self) -> String {
        let body = self.json();
        match body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:brevet:problem:")) {
            Some(code) => format!("{} {code}: {}", self.status.as_u16(), body["detail"].as_str().unwrap_or_default()),
            None => format!("{} {}", self.status.as_u16(), self.text),
        }
    }
}

impl House {
    /// Over SQLite.
    pub(crate) async fn new() -> Self {
        Self::over(None).await
    }

    /// Over PostgreSQL where a database is given.
    pub(crate) async fn over(database: Option<TestDatabase>) -> Self {
        let target = database.as_ref().map(|database| Target::Postgres { url: Secret::new(database.url()) });
        // One test sends more bad bearers from one address than a minute's limit allows.
        let failures = Rate::new(600_000, 100_000).unwrap();
        let limits = LimitNumbers { failures, ..Options::default().limits };
        let app = App::with(Options { target, limits, ..Options::default() }).await;
        // PostgreSQL has a clock of its own, and a replica that is off it mints nothing.
        if let Some(now) = app.store.database_time().await.unwrap() {
            app.clock.set(now.replace_nanosecond(0).unwrap());
            app.issuer.round().await;
        }
        let host = Host { clock: app.clock.clone(), entropy: app.entropy.clone() };
        let first = bootstrap::administrator(&app.store, app.issuer.id(), &host).await.unwrap().expect("nobody yet");
        let state = app.state.clone().allowing_endpoints(vec!["http://127.0.0.1:4566".to_owned()]);
        Self {
            clock: Arc::clone(&app.clock),
            first: first.key.expose().to_owned(),
            public: issuer::router(state.clone()),
            admin: admin::router(state.clone()),
            same: whole::router(state),
            app,
            _database: database,
        }
    }

    /// [`House::catch_up`] where the clock is soon so far behind that nothing is signed: on a machine that is slow.
    async fn keep_up(&self) {
        if let Some(theirs) = self.app.store.database_time().await.ok().flatten()
            && theirs - self.clock.now() > time::Duration::seconds(2)
            && theirs - self.clock.now() < time::Duration::MINUTE
        {
            self.catch_up().await;
        }
    }

    /// Brings the clock up to the database's, where that has one: it goes on while keys are made.
    pub(crate) async fn catch_up(&self) {
        if let Some(theirs) = self.app.store.database_time().await.unwrap() {
            self.clock.advance((theirs - self.clock.now()).max(time::Duration::ZERO));
            self.app.issuer.round().await;
        }
    }

    /// What a listener serves.
    pub(crate) fn router(&self, listener: Listener) -> Router {
        match listener {
            Listener::Public => &self.public,
            Listener::Admin => &self.admin,
            Listener::Same => &self.same,
        }
        .clone()
    }

    /// Sends a request to a listener; `path` is below the issuer URL's own.
    pub(crate) async fn send(&self, listener: Listener, request: Request<Body>) -> Answer {
        let answer = self.router(listener).oneshot(request).await.expect("a router always answers");
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// A request of the admin API under `bearer`.
    pub(crate) async fn call(&self, bearer: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_with(bearer, method, path, body, &[]).await
    }

    /// The same with more headers.
    pub(crate) async fn call_with(
        &self,
        bearer: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.keep_up().await;
        self.send(Listener::Admin, request(bearer, method, path, body, headers)).await
    }

    /// The same by the first administrator.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(&self.first, method, path, body).await
    }

    /// A change by the first administrator that must succeed.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<Value>) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        let request = request(&self.first, method, path, body, &[]);
        async move {
            self.keep_up().await;
            let answer = self.send(Listener::Admin, request).await;
            assert!(answer.status.is_success(), "{place}: {}", answer.short());
            answer.json()
        }
    }

    /// A token for `bearer`, by the mint.
    pub(crate) async fn mint(&self, bearer: &str, body: Value) -> Answer {
        self.keep_up().await;
        self.send(Listener::Public, request(bearer, "POST", "/v1/identity-tokens", Some(body), &[])).await
    }
}

/// A request below the issuer URL's path; without a bearer where it is empty.
pub(crate) fn request(
    bearer: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
    headers: &[(&str, &str)],
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(format!("/brevet{path}"));
    if !bearer.is_empty() {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    request.body(body).expect("a sound request")
}
