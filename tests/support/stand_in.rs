//! A stand-in AWS in this process, requests signed by AWS's own signer, and an issuer to trust.

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a broken expectation is told")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::Router;
use axum::http::{StatusCode, Uri};
use brevet::domain::clock::{Clock, ManualClock};
use brevet::fetch::{Body, Client, Limits, Reach, Settings};
use brevet::sandbox::{Config, Running, start};
use bytes::Bytes;
use http::{Request, Response};

use super::clock::clock;
use super::entropy::SeededEntropy;

/// An access key, temporary or not.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// A running stand-in and a client for it.
pub(crate) struct StandIn {
    pub(crate) running: Running,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) client: Client,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The text of the first element of that name.
    pub(crate) fn text(&self, element: &str) -> Option<String> {
        elements(&self.body, element).into_iter().next()
    }

    /// `Code` and `Message` of a query answer, or the REST ones.
    pub(crate) fn error(&self) -> (String, String) {
        if let Some(code) = self.headers.get("x-amzn-errortype") {
            let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
            return (code.to_str().unwrap().to_owned(), body["message"].as_str().unwrap().to_owned());
        }
        (self.text("Code").unwrap_or_default(), self.text("Message").unwrap_or_default())
    }

    pub(crate) fn keys(&self) -> Keys {
        let text = |name: &str| self.text(name).unwrap_or_else(|| panic!("no {name} in {}", self.body));
        Keys { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: Some(text("SessionToken")) }
    }
}

/// The texts of all elements of that name, unescaped.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let unescape =
        |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    xml.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).map(unescape).collect()
}

impl StandIn {
    pub(crate) async fn start(config: Config) -> Self {
        let clock = Arc::new(clock());
        // Past a whole second, so that rounding shows.
        clock.advance(time::Duration::milliseconds(500));
        let config = Config { listen: "127.0.0.1:0".to_owned(), ..config };
        let running =
            start(config, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededEntropy::new(1))).await.unwrap();
        let limits = Limits { total: Duration::from_mins(1), ..Limits::default() };
        let settings = Settings { reach: Reach::public().and_loopback(), limits, ..Settings::default() };
        let client = Client::new(settings).unwrap();
        Self { running, clock, client }
    }

    /// The stand-in's time, in whole seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    pub(crate) fn administrator(&self) -> Keys {
        let pair = self.running.handle().administrator();
        Keys { id: pair.access_key_id.clone(), secret: pair.secret_access_key.expose().to_owned(), token: None }
    }

    /// A query call without a signature.
    pub(crate) async fn unsigned(&self, parameters: &[(String, String)]) -> Answer {
        self.send(form(&self.running.url(), parameters)).await
    }

    /// A signed query call.
    pub(crate) async fn signed(&self, service: &str, keys: &Keys, parameters: &[(String, String)]) -> Answer {
        let mut request = form(&self.running.url(), parameters);
        self.sign(&mut request, service, "us-east-1", keys);
        self.send(request).await
    }

    /// An IAM call by the administrator.
    pub(crate) async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.signed("iam", &self.administrator(), &call(action, "2010-05-08", parameters)).await
    }

    /// A request to the Bedrock runtime, not yet signed. `model` is encoded as one path segment.
    pub(crate) fn model_request(&self, model: &str, operation: &str, body: &serde_json::Value) -> Request<Bytes> {
        let model: String = percent_encoding::utf8_percent_encode(model, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%2E", ".")
            .replace("%2D", "-");
        Request::post(format!("{}/model/{model}/{operation}", self.running.url()))
            .header("host", self.running.address().to_string())
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap()
    }

    /// Signs with AWS's own signer at the stand-in's time.
    pub(crate) fn sign(&self, request: &mut Request<Bytes>, service: &str, region: &str, keys: &Keys) {
        Self::sign_at(request, service, region, keys, self.seconds());
    }

    pub(crate) fn sign_at(request: &mut Request<Bytes>, service: &str, region: &str, keys: &Keys, seconds: i64) {
        let identity = Credentials::new(&keys.id, &keys.secret, keys.token.clone(), None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(request.body()),
        )
        .unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.apply_to_request_http1x(request);
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let (head, body) = self.client.send(request).await.unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn stream(&self, request: Request<Bytes>) -> Response<Body> {
        self.client.stream(request).await.unwrap()
    }
}

/// `Action`, `Version` and the parameters.
pub(crate) fn call(action: &str, version: &str, parameters: &[(&str, &str)]) -> Vec<(String, String)> {
    [("Action", action), ("Version", version)]
        .iter()
        .chain(parameters)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A form request to the query services.
pub(crate) fn form(url: &str, parameters: &[(String, String)]) -> Request<Bytes> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    Request::post(format!("{url}/"))
        .header("host", url.trim_start_matches("http://"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .unwrap()
}

/// A loopback issuer: paths and the documents at them, which can be exchanged while it runs.
#[derive(Clone, Default)]
pub(crate) struct Issuer(Arc<Mutex<BTreeMap<String, String>>>);

impl Issuer {
    /// Starts it; its base URL.
    pub(crate) async fn start(&self) -> String {
        let documents = Arc::clone(&self.0);
        let serve = move |uri: Uri| async move {
            match documents.lock().unwrap().get(uri.path()) {
                Some(document) => (StatusCode::OK, document.clone()),
                None => (StatusCode::NOT_FOUND, String::new()),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(serve)).await });
        base
    }

    pub(crate) fn publish(&self, path: &str, document: &serde_json::Value) {
        self.0.lock().unwrap().insert(path.to_owned(), document.to_string());
    }
}
