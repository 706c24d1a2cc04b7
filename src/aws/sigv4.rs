//! Signature version 4, over Amazon's own implementation.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as sign_request};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{HeaderValue, Request};
use time::OffsetDateTime;

use super::credential::TemporaryCredentials;
use crate::domain::region::Region;

/// A request that cannot be signed: a header is not text, or the credentials are none. Its cause would show parts
/// of both, so there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request could not be signed")]
pub struct SigningError;

/// Signs `request` for `service` in `region` as of `now`, all headers it has and the whole body; adds
/// `authorization`, `x-amz-date` and `x-amz-security-token`.
///
/// The path stands in the request as it is sent, percent-encoded once. The canonical request encodes it once more
/// (`:` is sent as `%3A` and signed as `%253A`), as for every service but S3.
pub fn sign(
    request: &mut Request<Bytes>,
    credentials: &TemporaryCredentials,
    service: &str,
    region: &Region,
    now: OffsetDateTime,
) -> Result<(), SigningError> {
    let identity: Identity = Credentials::new(
        &*credentials.access_key_id,
        credentials.secret_access_key.expose(),
        Some(credentials.session_token.expose().to_owned()),
        None,
        "brevet",
    )
    .into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region.as_str())
        .name(service)
        .time(now.into())
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| SigningError)?
        .into();
    let headers: Option<Vec<(&str, &str)>> =
        request.headers().iter().map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.ok_or(SigningError)?.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .map_err(|_| SigningError)?;
    // The signer traces the canonical request, security token included (threat 31).
    let signed = tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
        sign_request(signable, &parameters)
    });
    let (instructions, _) = signed.map_err(|_| SigningError)?.into_parts();
    for header in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| SigningError)?;
        value.set_sensitive(true);
        request.headers_mut().insert(header.name(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use time::macros::datetime;

    fn credentials(token: &str) -> TemporaryCredentials {
        TemporaryCredentials {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: Secret::new("secretsecretsecret".into()),
            session_token: Secret::new(token.into()),
            expires_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn request() -> Request<Bytes> {
        let path = "model/arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Ainference-profile%2Fus.anthropic.claude-v1%3A0/invoke";
        Request::post(format!("https://bedrock-runtime.us-east-1.amazonaws.com/{path}"))
            .header("content-type", "application/json")
            .body(Bytes::from_static(b"{\"a\":1}"))
            .unwrap()
    }

    /// The signature was made by botocore 1.43.11 for the same request, whose canonical path begins
    /// `/model/arn%253Aaws%253A` and holds `%252F`.
    #[test]
    fn an_arn_in_the_path_is_signed_as_botocore_signs_it() {
        let mut request = request();
        let region = Region::parse("us-east-1").unwrap();
        sign(&mut request, &credentials("sessiontoken"), "bedrock", &region, datetime!(2026-01-02 03:04:05 UTC))
            .unwrap();
        assert_eq!(
            request.headers()["authorization"].to_str().unwrap(),
            "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260102/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
             Signature=dbe5624819c2ab4bd0ea27f7d2160c16f770a76a325ea133f9f181f261c4731a"
        );
        assert!(request.headers()["x-amz-security-token"].is_sensitive());
        assert!(!format!("{request:?}").contains("sessiontoken"));
    }

    #[test]
    fn what_cannot_be_a_header_is_refused_not_a_panic() {
        let region = Region::parse("us-east-1").unwrap();
        let signed = sign(&mut request(), &credentials("a\nb"), "bedrock", &region, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(signed, Err(SigningError));
    }
}
