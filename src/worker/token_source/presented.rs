//! Where a request carries its token: `Authorization: Bearer`, `x-api-key`, or the session token of a signature.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use percent_encoding::percent_decode_str;

use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::secret::Secret;
use crate::worker::error::WorkerError;
use crate::worker::refusal::Refusal;

/// The access key id of the pair that carries a token to clients which can only sign. Not one of AWS's forms.
pub const RESERVED_KEY_ID: &str = "BREVETTOKEN00000000";

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Members of a query that sign a URL (SigV4 query parameters), in lower case.
const QUERY_SIGNATURE: [&str; 4] = ["x-amz-signature", "x-amz-credential", "x-amz-algorithm", "x-amz-security-token"];

/// What a request carries: an identity token, or the bearer of a run.
#[derive(Debug, Clone)]
pub enum Presented {
    /// An identity token, not verified yet.
    Token(Secret),
    /// A well-formed bearer of a run; whose, only the issuer can tell.
    Bearer(OpaqueCredential),
}

/// The one token or bearer of a request. What stands in several places must be the same in all of them.
///
/// The signature of a signed request is not checked: its secret is known to nobody in particular, and the token is
/// a bearer by itself. It is never forwarded either.
pub fn presented(headers: &HeaderMap, query: Option<&str>) -> Result<Presented, WorkerError> {
    if query.is_some_and(signs) {
        return Err(WorkerError::refused(Refusal::QuerySignature, "the URL carries a signature"));
    }
    let mut found = Vec::new();
    for value in values(headers, &AUTHORIZATION)? {
        found.push(of_authorization(value, headers)?);
    }
    found.extend(values(headers, &API_KEY)?);
    found.extend(values(headers, &SECURITY_TOKEN)?);
    let Some(first) = found.first() else {
        return Err(WorkerError::refused(Refusal::CallerMissing, "no Authorization, x-api-key or signature"));
    };
    if found.iter().any(|other| other != first) {
        return Err(WorkerError::refused(Refusal::CallerSeveral, "two credentials differ"));
    }
    match CredentialKind::ALL.into_iter().find(|kind| first.starts_with(kind.prefix())) {
        None => Ok(Presented::Token(Secret::new((*first).to_owned()))),
        Some(CredentialKind::Run) => OpaqueCredential::parse(first)
            .map(Presented::Bearer)
            .map_err(|error| WorkerError::refused(Refusal::TokenInvalid, format!("the bearer of a run {error}"))),
        Some(kind) => Err(WorkerError::refused(Refusal::NotIdentityToken, format!("a {kind} was sent"))),
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, WorkerError> {
    let text = |value: &'a http::HeaderValue| {
        value.to_str().map_err(|_| WorkerError::refused(Refusal::TokenInvalid, format!("{name} is not ASCII text")))
    };
    headers.get_all(name).iter().map(text).collect()
}

/// The token that an `Authorization` stands for. Schemes are compared without case (RFC 9110, section 11.1).
fn of_authorization<'a>(value: &'a str, headers: &'a HeaderMap) -> Result<&'a str, WorkerError> {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        let token = rest.trim();
        return if token.is_empty() {
            Err(WorkerError::refused(Refusal::CallerMissing, "Authorization: Bearer without a token"))
        } else {
            Ok(token)
        };
    }
    if !scheme.starts_with("AWS4-") {
        return Err(WorkerError::refused(Refusal::CallerScheme, "Authorization must be Bearer or AWS4-HMAC-SHA256"));
    }
    let credential = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="));
    if credential.and_then(|scope| scope.split('/').next()) != Some(RESERVED_KEY_ID) {
        return Err(WorkerError::refused(
            Refusal::OwnAwsKeys,
            format!("the access key id of a request to this worker is {RESERVED_KEY_ID}"),
        ));
    }
    let token = values(headers, &SECURITY_TOKEN)?.first().copied();
    token.ok_or_else(|| WorkerError::refused(Refusal::SessionTokenMissing, "X-Amz-Security-Token is missing"))
}

fn signs(query: &str) -> bool {
    query.split('&').any(|member| {
        let name = member.split('=').next().unwrap_or_default();
        let name: Cow<'_, str> = percent_decode_str(name).decode_utf8_lossy();
        QUERY_SIGNATURE.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;

    fn of(headers: &[(&str, &str)], query: Option<&str>) -> Result<String, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        match presented(&map, query) {
            Ok(Presented::Token(token)) => Ok(token.expose().to_owned()),
            Ok(Presented::Bearer(bearer)) => Ok(bearer.secret().expose().to_owned()),
            Err(WorkerError::Refused { why, .. }) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    const OURS: &str = "AWS4-HMAC-SHA256 Credential=BREVETTOKEN00000000/20260101/us-east-1/bedrock/aws4_request, \
                        SignedHeaders=host, Signature=00";
    const THEIRS: &str = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/bedrock/aws4_request, \
                          SignedHeaders=host, Signature=00";

    #[test]
    fn a_token_is_found_where_clients_put_it() {
        for headers in [
            &[("authorization", "Bearer a.b.c")][..],
            &[("authorization", "bearer  a.b.c ")],
            &[("x-api-key", "a.b.c")],
            &[("authorization", OURS), ("x-amz-security-token", "a.b.c")],
            &[("authorization", "Bearer a.b.c"), ("x-api-key", "a.b.c")],
        ] {
            assert_eq!(of(headers, None).as_deref(), Ok("a.b.c"), "{headers:?}");
        }
        assert_eq!(of(&[("x-api-key", "a.b.c")], Some("x=1")).as_deref(), Ok("a.b.c"));
        let bearer = OpaqueCredential::generate(CredentialKind::Run, &SeededEntropy::new(1));
        let text = bearer.secret().expose();
        assert_eq!(of(&[("x-api-key", text)], None).as_deref(), Ok(text));
    }

    #[test]
    fn threat_26_anything_doubtful_is_refused_by_name() {
        let bearer = ("authorization", "Bearer a.b.c");
        for (headers, query, why) in [
            (&[][..], None, Refusal::CallerMissing),
            (&[("authorization", "Bearer ")], None, Refusal::CallerMissing),
            (&[("authorization", "Basic YTpi")], None, Refusal::CallerScheme),
            (&[("authorization", "")], None, Refusal::CallerScheme),
            (&[bearer, ("x-api-key", "d.e.f")], None, Refusal::CallerSeveral),
            (&[bearer, ("authorization", "Bearer d.e.f")], None, Refusal::CallerSeveral),
            (&[("x-api-key", "a"), ("x-api-key", "b")], None, Refusal::CallerSeveral),
            (&[bearer, ("x-amz-security-token", "d.e.f")], None, Refusal::CallerSeveral),
            (
                &[("authorization", OURS), ("x-amz-security-token", "a"), ("x-api-key", "b")],
                None,
                Refusal::CallerSeveral,
            ),
            (&[("authorization", OURS)], None, Refusal::SessionTokenMissing),
            (&[("authorization", THEIRS), ("x-amz-security-token", "a.b.c")], None, Refusal::OwnAwsKeys),
            (&[("authorization", THEIRS)], None, Refusal::OwnAwsKeys),
            (&[("authorization", "AWS4-HMAC-SHA256 Signature=0")], None, Refusal::OwnAwsKeys),
            (
                &[("authorization", "AWS4-ECDSA-P256-SHA256 Credential=BREVETTOKEN000000000/x")],
                None,
                Refusal::OwnAwsKeys,
            ),
            (&[("authorization", "Bearer bvt_sa_xyz")], None, Refusal::NotIdentityToken),
            (&[("x-api-key", "bvt_wk_xyz")], None, Refusal::NotIdentityToken),
            (&[("x-api-key", "bvt_run_xyz")], None, Refusal::TokenInvalid),
            (&[bearer], Some("X-Amz-Signature=00"), Refusal::QuerySignature),
            (&[bearer], Some("a=b&x-amz-credential=c"), Refusal::QuerySignature),
            (&[bearer], Some("X%2DAmz%2DSecurity%2DToken=c"), Refusal::QuerySignature),
        ] {
            assert_eq!(of(headers, query), Err(why), "{headers:?} {query:?}");
        }
    }
}
