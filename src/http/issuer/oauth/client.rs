//! How a request names its client and proves it (RFC 6749, section 2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::form::{self, Form};
use crate::domain::secret::Secret;
use crate::http::error::oauth::{OAuthAnswer, OAuthCode};
use crate::issuer::oauth::Presented;

/// The one type of assertion there is (RFC 7523, section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Reads what a request shows of its client: one way only (RFC 6749, section 2.3).
pub fn presented(headers: &HeaderMap, form: &Form) -> Result<Presented, OAuthAnswer> {
    let named = form.get("client_id");
    let (basic, posted, asserted) = (basic(headers)?, form.get("client_secret"), asserted(form)?);
    match (basic, posted, asserted) {
        (None, None, None) => {
            Ok(named.map_or(Presented::Nobody, |client_id| Presented::Named { client_id: client_id.clone() }))
        }
        (Some((client_id, secret)), None, None) => {
            if named.is_some_and(|named| named.expose() != client_id.expose()) {
                return Err(OAuthAnswer::invalid_request("client_id must name the client of Authorization"));
            }
            Ok(Presented::Secret { client_id, secret })
        }
        (None, Some(secret), None) => {
            let client_id = form.require("client_id")?.clone();
            Ok(Presented::Secret { client_id, secret: secret.clone() })
        }
        (None, None, Some(assertion)) => {
            Ok(Presented::Assertion { client_id: named.cloned(), assertion: assertion.clone() })
        }
        _ => {
            let words = "the client must authenticate in one way: Authorization, client_secret or client_assertion";
            Err(OAuthAnswer::invalid_request(words))
        }
    }
}

/// An assertion, which comes with its type or not at all.
fn asserted(form: &Form) -> Result<Option<&Secret>, OAuthAnswer> {
    match (form.get("client_assertion"), form.get("client_assertion_type")) {
        (None, None) => Ok(None),
        (Some(assertion), Some(kind)) if kind.expose() == ASSERTION_TYPE => Ok(Some(assertion)),
        (Some(_), _) => Err(OAuthAnswer::invalid_request(format!("client_assertion_type must be {ASSERTION_TYPE}"))),
        (None, Some(_)) => Err(OAuthAnswer::invalid_request("client_assertion is required beside its type")),
    }
}

/// `Authorization: Basic`: name and secret, each form-encoded before they are joined (RFC 6749, section 2.3.1). Ours
/// hold nothing that the encoding changes, so clients that leave it out are understood too.
fn basic(headers: &HeaderMap) -> Result<Option<(Secret, Secret)>, OAuthAnswer> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(OAuthAnswer::invalid_request("Authorization must stand only once")),
    };
    let refused =
        || OAuthAnswer::new(OAuthCode::InvalidClient, "Authorization must be: Basic <client_id:client_secret>");
    let (scheme, text) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(refused)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused());
    }
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_matches(' ')).map_err(|_| refused())?);
    let pair = std::str::from_utf8(&bytes).map_err(|_| refused())?;
    let (client_id, secret) = pair.split_once(':').ok_or_else(refused)?;
    let decode = |text| form::decode(text).map(Secret::new).ok_or_else(refused);
    Ok(Some((decode(client_id)?, decode(secret)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: Option<&str>, form: &str) -> Result<Presented, OAuthAnswer> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        presented(&headers, &Form::parse(form.as_bytes()).unwrap())
    }

    fn said(authorization: Option<&str>, form: &str) -> String {
        match read(authorization, form) {
            Ok(Presented::Secret { client_id, secret }) => format!("{} {}", client_id.expose(), secret.expose()),
            Ok(Presented::Assertion { client_id, assertion }) => {
                format!("{} {}", client_id.map_or_else(String::new, |id| id.expose().to_owned()), assertion.expose())
            }
            Ok(Presented::Named { client_id }) => client_id.expose().to_owned(),
            Ok(Presented::Nobody) => "nobody".to_owned(),
            Err(answer) => answer.code().as_str().to_owned(),
        }
    }

    #[test]
    fn a_client_is_read_in_one_way_or_refused() {
        let asserted = |assertion: &str, more: &str| {
            format!("client_assertion={assertion}&client_assertion_type={ASSERTION_TYPE}{more}")
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (authorization, form, expected) in [
            (None, "", "nobody"),
            (None, "client_id=a", "a"),
            (None, "client_id=a&client_secret=b", "a b"),
            (None, "client_secret=b", "invalid_request"),
            (Some(basic("a:b")), "", "a b"),
            (Some(basic("a:b")), "client_id=a", "a b"),
            (Some(basic("a:b")), "client_id=c", "invalid_request"),
            (Some(basic("a:b")), "client_secret=b", "invalid_request"),
            // As strict clients encode, and a colon in what is left of the secret.
            (Some(basic("agent%2D1:bvt%5Fsa%5F:x")), "", "agent-1 bvt_sa_:x"),
            (Some(basic("a:b").replace("Basic", "bAsIc")), "", "a b"),
            (None, &asserted("a.b.c", ""), " a.b.c"),
            (None, &asserted("a.b.c", "&client_id=a"), "a a.b.c"),
            (None, &asserted("a.b.c", "&client_secret=b&client_id=a"), "invalid_request"),
            (Some(basic("a:b")), &asserted("a.b.c", ""), "invalid_request"),
            (None, "client_assertion=a.b.c", "invalid_request"),
            (None, "client_assertion=a.b.c&client_assertion_type=saml", "invalid_request"),
            (None, &asserted("", ""), "invalid_request"),
            (Some(basic("a")), "", "invalid_client"),
            (Some(basic("a:%")), "", "invalid_client"),
            (Some("Basic a:b".to_owned()), "", "invalid_client"),
            (Some("Basic".to_owned()), "", "invalid_client"),
            (Some("Bearer x".to_owned()), "", "invalid_client"),
        ] {
            assert_eq!(said(authorization.as_deref(), form), expected, "{authorization:?} {form}");
        }
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, basic("a:b").parse().unwrap());
        headers.append(AUTHORIZATION, basic("a:b").parse().unwrap());
        assert!(presented(&headers, &Form::default()).is_err());
    }
}
