//! Signature Version 4 in the `Authorization` header, verified by computing it again.
//!
//! Source: IAM User Guide, "Create a signed AWS API request". Written apart from the signer the worker uses.

use std::fmt::Write as _;

use aws_lc_rs::{constant_time, digest, hmac};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use time::{Date, OffsetDateTime, PrimitiveDateTime, macros::format_description};

use super::account::{Session, State};
use super::error::AwsError;
use crate::domain::region::Region;
use crate::domain::secret::Secret;

/// How far a request's date may be off.
const SKEW: time::Duration = time::Duration::minutes(15);

/// What the signature must be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Sts,
    Iam,
    Bedrock,
}

impl Service {
    const fn signing_name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Iam => "iam",
            Self::Bedrock => "bedrock",
        }
    }

    /// Each service names the same fault in its own way.
    fn refusal(self, fault: Fault) -> AwsError {
        let query = self != Self::Bedrock;
        let (status, code) = match (fault.class, query) {
            (Class::Unsigned, true) => (403, "MissingAuthenticationToken"),
            (Class::Unsigned, false) => (403, "MissingAuthenticationTokenException"),
            (Class::Incomplete, true) => (400, "IncompleteSignature"),
            (Class::Incomplete, false) => (400, "IncompleteSignatureException"),
            (Class::UnknownKey, true) => (403, "InvalidClientTokenId"),
            (Class::UnknownKey, false) => (403, "UnrecognizedClientException"),
            (Class::Expired, true) => (403, "ExpiredToken"),
            (Class::Expired, false) => (403, "ExpiredTokenException"),
            (Class::Wrong, true) => (403, "SignatureDoesNotMatch"),
            (Class::Wrong, false) => (403, "InvalidSignatureException"),
        };
        AwsError::new(status, code, fault.message)
    }
}

/// Who signed.
#[derive(Debug, Clone)]
pub(super) enum Signer {
    /// The account's administrator: the key pair that the stand-in starts with.
    Administrator,
    /// A role session.
    Session(Box<Session>),
}

/// A request whose signature holds.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) signer: Signer,
    pub(super) region: String,
}

/// The administrator's long-term key pair.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// `AKIA…`
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: Secret,
}

struct Fault {
    class: Class,
    message: String,
}

#[derive(Clone, Copy)]
enum Class {
    Unsigned,
    Incomplete,
    UnknownKey,
    Expired,
    Wrong,
}

fn fault(class: Class, message: impl Into<String>) -> Fault {
    Fault { class, message: message.into() }
}

/// The `Authorization` header's parts.
struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

/// Verifies the signature over `head` and `body` and tells who signed.
pub(super) fn verify(
    head: &Parts,
    body: &[u8],
    service: Service,
    administrator: &KeyPair,
    state: &State,
    now: OffsetDateTime,
) -> Result<Signed, AwsError> {
    check(head, body, service, administrator, state, now).map_err(|fault| service.refusal(fault))
}

fn check(
    head: &Parts,
    body: &[u8],
    service: Service,
    administrator: &KeyPair,
    state: &State,
    now: OffsetDateTime,
) -> Result<Signed, Fault> {
    let text = head
        .headers
        .get("authorization")
        .ok_or_else(|| fault(Class::Unsigned, "Request is missing Authentication Token"))?
        .to_str()
        .unwrap_or_default();
    let authorization = read(text)?;
    let sent_at = single(&head.headers, "x-amz-date")
        .ok_or_else(|| fault(Class::Incomplete, "Authorization header requires existence of a 'X-Amz-Date' header."))?;
    check_scope(&authorization, service, sent_at)?;
    check_date(sent_at, now)?;
    check_signed_headers(&authorization, &head.headers)?;

    let token = single(&head.headers, "x-amz-security-token");
    let unknown = || fault(Class::UnknownKey, "The security token included in the request is invalid.");
    let (secret, signer) = if authorization.access_key_id == administrator.access_key_id {
        if token.is_some() {
            return Err(unknown());
        }
        (&administrator.secret_access_key, Signer::Administrator)
    } else {
        let session = state.sessions.get(authorization.access_key_id).ok_or_else(unknown)?;
        if !equal(token.unwrap_or_default(), session.token.expose()) {
            return Err(unknown());
        }
        (&session.secret, Signer::Session(Box::new(session.clone())))
    };
    let expected = sign(&authorization, sent_at, &canonical_request(head, body, service, &authorization), secret);
    if !equal(authorization.signature, &expected) {
        return Err(fault(
            Class::Wrong,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    // After the signature: only who holds the secret learns that it expired.
    if let Signer::Session(session) = &signer
        && session.expires_at <= now
    {
        return Err(fault(Class::Expired, "The security token included in the request is expired"));
    }
    Ok(Signed { signer, region: authorization.region.to_owned() })
}

fn read(text: &str) -> Result<Authorization<'_>, Fault> {
    let incomplete =
        |what: &str| fault(Class::Incomplete, format!("Authorization header requires '{what}' parameter."));
    let parameters = text
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or_else(|| fault(Class::Incomplete, "Authorization header must begin with AWS4-HMAC-SHA256."))?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for parameter in parameters.split(',') {
        match parameter.trim().split_once('=') {
            Some(("Credential", value)) => credential = Some(value),
            Some(("SignedHeaders", value)) => signed_headers = Some(value),
            Some(("Signature", value)) => signature = Some(value),
            _ => return Err(fault(Class::Incomplete, "Authorization header has an unknown parameter.")),
        }
    }
    let credential: Vec<&str> = credential.ok_or_else(|| incomplete("Credential"))?.split('/').collect();
    let [access_key_id, date, region, service, "aws4_request"] = credential[..] else {
        return Err(fault(
            Class::Incomplete,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
        ));
    };
    Ok(Authorization {
        access_key_id,
        date,
        region,
        service,
        signed_headers: signed_headers.ok_or_else(|| incomplete("SignedHeaders"))?.split(';').collect(),
        signature: signature.ok_or_else(|| incomplete("Signature"))?,
    })
}

fn check_scope(authorization: &Authorization<'_>, service: Service, sent_at: &str) -> Result<(), Fault> {
    let name = service.signing_name();
    if authorization.service != name {
        return Err(fault(Class::Wrong, format!("Credential should be scoped to correct service: '{name}'.")));
    }
    // IAM itself takes us-east-1 alone, which clients learn from its address; one that was pointed elsewhere signs in
    // the region it was given.
    if Region::parse(authorization.region).is_err() {
        return Err(fault(Class::Wrong, "Credential should be scoped to a valid region."));
    }
    if !sent_at.starts_with(authorization.date)
        || Date::parse(authorization.date, format_description!("[year][month][day]")).is_err()
    {
        return Err(fault(
            Class::Wrong,
            format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}'.",
                authorization.date
            ),
        ));
    }
    Ok(())
}

fn check_date(sent_at: &str, now: OffsetDateTime) -> Result<(), Fault> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let date = PrimitiveDateTime::parse(sent_at, format)
        .map_err(|_| {
            fault(
                Class::Incomplete,
                "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601",
            )
        })?
        .assume_utc();
    let shown = |date: OffsetDateTime| date.format(format).unwrap_or_default();
    if date + SKEW < now {
        let message = format!(
            "Signature expired: {sent_at} is now earlier than {} ({} - 15 min.)",
            shown(now - SKEW),
            shown(now)
        );
        return Err(fault(Class::Wrong, message));
    }
    if date > now + SKEW {
        let message = format!(
            "Signature not yet current: {sent_at} is still later than {} ({} + 15 min.)",
            shown(now + SKEW),
            shown(now)
        );
        return Err(fault(Class::Wrong, message));
    }
    Ok(())
}

/// The host and every `x-amz-` header sent must be signed, or they could be exchanged on the way.
fn check_signed_headers(authorization: &Authorization<'_>, headers: &HeaderMap) -> Result<(), Fault> {
    let must_be_signed = |name: &str| name == "host" || name.starts_with("x-amz-");
    let unsigned: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| must_be_signed(name) && !authorization.signed_headers.contains(name))
        .collect();
    let host_signed = authorization.signed_headers.contains(&"host");
    if unsigned.is_empty() && host_signed {
        Ok(())
    } else {
        let message =
            format!("'{}' must be a 'SignedHeader' in the AWS Authorization.", unsigned.first().unwrap_or(&"host"));
        Err(fault(Class::Wrong, message))
    }
}

fn canonical_request(head: &Parts, body: &[u8], service: Service, authorization: &Authorization<'_>) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n",
        head.method,
        canonical_path(head.uri.path(), service),
        canonical_query(head.uri.query())
    );
    for name in &authorization.signed_headers {
        let values: Vec<String> = head
            .headers
            .get_all(*name)
            .iter()
            .map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        // HTTP/2 carries the host as a pseudo-header.
        let value = match (*name, values.is_empty()) {
            ("host", true) => head.uri.authority().map(ToString::to_string).unwrap_or_default(),
            _ => values.join(","),
        };
        let _ = writeln!(text, "{name}:{value}");
    }
    format!(
        "{text}\n{}\n{}",
        authorization.signed_headers.join(";"),
        hex(digest::digest(&digest::SHA256, body).as_ref())
    )
}

/// The path as sent, each segment encoded once more: `:` travels as `%3A` and is signed as `%253A`. The query
/// protocol's services are only ever called at `/`.
fn canonical_path(path: &str, service: Service) -> String {
    match service {
        Service::Sts | Service::Iam => path.to_owned(),
        Service::Bedrock => encode(path, |byte| byte == b'/'),
    }
}

fn canonical_query(query: Option<&str>) -> String {
    let mut pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.unwrap_or_default().replace('+', "%2B").as_bytes())
            .map(|(name, value)| (encode(&name, |_| false), encode(&value, |_| false)))
            .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) || keep(b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn sign(authorization: &Authorization<'_>, sent_at: &str, canonical_request: &str, secret: &Secret) -> String {
    let Authorization { date, region, service, .. } = authorization;
    let hash = hex(digest::digest(&digest::SHA256, canonical_request.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{sent_at}\n{date}/{region}/{service}/aws4_request\n{hash}");
    let keyed = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut key = keyed(format!("AWS4{}", secret.expose()).as_bytes(), date);
    for part in [region, service, "aws4_request"] {
        key = keyed(key.as_ref(), part);
    }
    hex(keyed(key.as_ref(), &to_sign).as_ref())
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn equal(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_encoded_twice_for_bedrock_and_the_query_sorted() {
        let path = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke";
        assert_eq!(canonical_path(path, Service::Bedrock), "/model/anthropic.claude-3-haiku-20240307-v1%253A0/invoke");
        assert_eq!(canonical_query(Some("b=2&a=x%20y&a=1&c")), "a=1&a=x%20y&b=2&c=");
        assert_eq!(canonical_query(None), "");
    }

    #[test]
    fn the_published_signing_example_comes_out() {
        // IAM User Guide, "Examples of how to derive a signing key": the signature of the ListUsers request.
        let head = axum::http::Request::get("/?Action=ListUsers&Version=2010-05-08")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("host", "iam.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let authorization = read("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7").ok().unwrap();
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned());
        let canonical = canonical_request(&head, b"", Service::Iam, &authorization);
        assert_eq!(sign(&authorization, "20150830T123600Z", &canonical, &secret), authorization.signature);
    }
}
