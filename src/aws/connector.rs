//! The guarded HTTP client as the AWS SDK's transport.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::fetch::{self, FetchError};

/// Sends what the SDK has built through [`fetch::Client`], whose guards and time limits hold.
#[derive(Debug, Clone)]
pub(super) struct Connector(pub(super) fetch::Client);

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (mut head, body) = request.into_parts();
        // Of the SDK's headers STS needs this one. The rest describe the host: its user agent reads AWS_EXECUTION_ENV.
        let content_type = head.headers.remove(CONTENT_TYPE);
        head.headers = HeaderMap::new();
        head.headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        head.extensions = http::Extensions::new();
        let body = Bytes::copy_from_slice(body.bytes().unwrap_or_default());
        let answer = self.0.send(http::Request::from_parts(head, body)).await.map_err(unreached)?;
        let (head, body) = answer.into_parts();
        HttpResponse::try_from(http::Response::from_parts(head, SdkBody::from(body)))
            .map_err(|error| ConnectorError::other(error.into(), None))
    }
}

fn unreached(error: FetchError) -> ConnectorError {
    match error {
        FetchError::Timeout => ConnectorError::timeout(error.into()),
        FetchError::Refused(_) => ConnectorError::user(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().send(request))
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
