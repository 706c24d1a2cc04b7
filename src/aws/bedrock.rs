//! The Bedrock runtime: its endpoints, operations and headers, and how it says no.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::bedrock_fault::BedrockFault;
use crate::domain::endpoint::Endpoint;
use crate::domain::region::Region;
use crate::domain::settings::ModelId;

/// The service name of its signatures, the runtime's too.
pub const SIGNING_NAME: &str = "bedrock";
/// Longest request body that it takes, in bytes.
pub const BODY_MAX: usize = 25_000_000;

/// What a model can be asked, as it stands at the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// InvokeModel.
    Invoke,
    /// InvokeModelWithResponseStream.
    InvokeWithResponseStream,
    /// Converse.
    Converse,
    /// ConverseStream.
    ConverseStream,
    /// CountTokens.
    CountTokens,
}

impl Operation {
    /// Every operation that is passed through.
    pub const ALL: [Self; 5] =
        [Self::Invoke, Self::InvokeWithResponseStream, Self::Converse, Self::ConverseStream, Self::CountTokens];

    /// The last segment of the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::InvokeWithResponseStream => "invoke-with-response-stream",
            Self::Converse => "converse",
            Self::ConverseStream => "converse-stream",
            Self::CountTokens => "count-tokens",
        }
    }

    /// The exact inverse of [`Operation::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }
}

/// The runtime of `region`: what the settings say, else the regional endpoint of its partition.
pub fn endpoint(region: &Region, said: Option<&Endpoint>) -> String {
    match said {
        Some(said) => said.to_string(),
        None => format!("https://bedrock-runtime.{region}.{}", region.partition().dns_suffix()),
    }
}

/// The headers that go upstream; every other header of a caller stays here, its credentials and its own
/// signature first of all.
const REQUEST_HEADERS: [HeaderName; 9] = [
    CONTENT_TYPE,
    ACCEPT,
    HeaderName::from_static("x-amzn-bedrock-accept"),
    HeaderName::from_static("x-amzn-bedrock-content-type"),
    HeaderName::from_static("x-amzn-bedrock-trace"),
    HeaderName::from_static("x-amzn-bedrock-guardrailidentifier"),
    HeaderName::from_static("x-amzn-bedrock-guardrailversion"),
    HeaderName::from_static("x-amzn-bedrock-performanceconfig-latency"),
    HeaderName::from_static("x-amzn-bedrock-service-tier"),
];

/// The headers that come back, beside all that begin with [`RESPONSE_PREFIX`].
const RESPONSE_HEADERS: [HeaderName; 4] = [
    CONTENT_TYPE,
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amzn-errortype"),
    HeaderName::from_static("retry-after"),
];
const RESPONSE_PREFIX: &str = "x-amzn-bedrock-";

/// All but RFC 3986's unreserved characters: a model id or ARN is one label of the path.
const LABEL: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The request for `model`, not signed yet.
pub fn request(
    endpoint: &str,
    operation: Operation,
    model: &ModelId,
    headers: &HeaderMap,
    body: Bytes,
) -> http::Result<Request<Bytes>> {
    let label = utf8_percent_encode(model.as_str(), &LABEL);
    let mut request = Request::post(format!("{endpoint}/model/{label}/{}", operation.as_str())).body(body)?;
    for name in REQUEST_HEADERS {
        // What is no ASCII text cannot be signed, and means nothing to Bedrock.
        if let Some(value) = headers.get(&name).filter(|value| value.to_str().is_ok()) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    Ok(request)
}

/// Those of Bedrock's headers that the caller gets.
pub fn response_headers(headers: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| RESPONSE_HEADERS.contains(name) || name.as_str().starts_with(RESPONSE_PREFIX);
    headers.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An error answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// Why.
    pub fault: BedrockFault,
    /// The exception's bare name, where it is one.
    pub exception: Option<String>,
    /// Bedrock's words.
    pub message: String,
}

/// Reads an error answer: the exception from `x-amzn-ErrorType` or the body's `__type` or `code`, which may carry a
/// namespace before it (`com.amazon…#Name`) and a URL behind it (`Name:http://…`).
pub fn error_answer(status: u16, headers: &HeaderMap, body: &[u8]) -> ErrorAnswer {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |names: &[&str]| names.iter().find_map(|name| body.get(name)?.as_str().map(str::to_owned));
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let exception = header.or_else(|| member(&["__type", "code"])).as_deref().and_then(bare_name);
    let message = member(&["message", "Message"]).unwrap_or_default();
    ErrorAnswer { fault: BedrockFault::of(status, exception.as_deref(), &message), exception, message }
}

fn bare_name(name: &str) -> Option<String> {
    let name = name.rsplit('#').next()?.split(':').next()?.trim();
    let plain = (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(text: &str) -> Region {
        Region::parse(text).unwrap()
    }

    #[test]
    fn an_endpoint_lies_in_the_partition_of_its_region() {
        for (text, host) in [
            ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
            ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "https://bedrock-runtime.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(endpoint(&region(text), None), host);
        }
        let said = Endpoint::parse("https://bedrock-runtime.us-east-1.api.aws", &[]).unwrap();
        assert_eq!(endpoint(&region("us-east-1"), Some(&said)), "https://bedrock-runtime.us-east-1.api.aws");
    }

    #[test]
    fn a_model_is_one_label_of_the_path() {
        for (model, label) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1%3A0"),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.x_y",
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x_y",
            ),
        ] {
            let model = ModelId::parse(model).unwrap();
            let made = request("https://x.example", Operation::ConverseStream, &model, &HeaderMap::new(), Bytes::new())
                .unwrap();
            assert_eq!(made.uri().path(), format!("/model/{label}/converse-stream"));
        }
    }

    #[test]
    fn threat_26_only_listed_headers_go_upstream() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-amzn-bedrock-trace", "ENABLED"),
            ("authorization", "AWS4-HMAC-SHA256 Credential=BREVETTOKEN00000000/…"),
            ("x-api-key", "eyJ"),
            ("x-amz-security-token", "eyJ"),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-content-sha256", "0"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amzn-bedrock-anything-else", "1"),
            ("cookie", "a=b"),
            ("user-agent", "x"),
            ("host", "evil.example"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let model = ModelId::parse("m").unwrap();
        let made = request("https://x.example", Operation::Invoke, &model, &headers, Bytes::new()).unwrap();
        let names: Vec<_> = made.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "x-amzn-bedrock-trace"]);
        let back: HeaderMap = [
            ("x-amzn-requestid", "r"),
            ("x-amzn-bedrock-input-token-count", "3"),
            ("set-cookie", "a=b"),
            ("server", "x"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
        let mut names: Vec<_> = response_headers(&back).keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["x-amzn-bedrock-input-token-count", "x-amzn-requestid"]);
    }

    #[test]
    fn an_exception_is_named_by_header_or_body() {
        let header =
            |value: &str| HeaderMap::from_iter([(HeaderName::from_static("x-amzn-errortype"), value.parse().unwrap())]);
        for (headers, body, exception) in [
            (header("ExpiredTokenException"), "", Some("ExpiredTokenException")),
            (header("ExpiredTokenException:http://internal.amazon.com/coral/"), "", Some("ExpiredTokenException")),
            (
                HeaderMap::new(),
                r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#,
                Some("ExpiredTokenException"),
            ),
            (HeaderMap::new(), r#"{"code":"ExpiredTokenException","Message":"m"}"#, Some("ExpiredTokenException")),
            (HeaderMap::new(), r#"{"__type":7}"#, None),
            (HeaderMap::new(), "<html>", None),
            (header("a b"), "", None),
        ] {
            assert_eq!(error_answer(403, &headers, body.as_bytes()).exception.as_deref(), exception);
        }
        let read = error_answer(403, &header("ExpiredTokenException"), br#"{"message":"gone"}"#);
        assert_eq!((read.fault, read.message.as_str()), (BedrockFault::CredentialsExpired, "gone"));
    }
}
