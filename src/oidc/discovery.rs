//! The one member of a discovery document that counts, and the rules it must pass (OpenID Connect Discovery, section 3).

use serde::Deserialize;

use super::error::KeysError;
use crate::domain::foreign_issuer::ForeignIssuer;

/// Longest URL of a JWKS.
const JWKS_URI_MAX: usize = 2000;

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Where the keys of `issuer` are, as its document says.
///
/// The document must name the very issuer that was asked (section 4.3): else whoever can put a file on one host could
/// lend its keys to another issuer.
pub fn jwks_uri(issuer: &ForeignIssuer, document: &[u8]) -> Result<String, KeysError> {
    let document: Document = serde_json::from_slice(document).map_err(|_| KeysError::Document)?;
    if document.issuer != issuer.as_str() {
        return Err(KeysError::OtherIssuer);
    }
    check_uri(&document.jwks_uri, issuer.is_loopback())?;
    Ok(document.jwks_uri)
}

/// Keys come over https; over plain http only from loopback, and only where the issuer itself is one of development's
/// there. Which addresses may be reached is the guard's to say when the connection is made.
pub(super) fn check_uri(uri: &str, loopback: bool) -> Result<(), KeysError> {
    let authority = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    let authority = match (uri.strip_prefix("https://"), uri.strip_prefix("http://")) {
        (Some(rest), _) => authority(rest),
        (None, Some(rest)) => Some(authority(rest)).filter(|at| loopback && is_loopback(at)).unwrap_or_default(),
        (None, None) => String::new(),
    };
    let plain = uri.len() <= JWKS_URI_MAX && uri.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\'));
    if plain && !authority.is_empty() && !authority.contains('@') { Ok(()) } else { Err(KeysError::JwksUri) }
}

/// Whether an authority is one of the two loopback hosts that development knows, with a port or without.
fn is_loopback(authority: &str) -> bool {
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;
    use serde_json::json;

    fn read(issuer: &str, document: &str) -> Result<String, KeysError> {
        jwks_uri(&ForeignIssuer::parse(issuer, Development::On).unwrap(), document.as_bytes())
    }

    #[test]
    fn threat_6_a_document_speaks_for_its_own_issuer_only() {
        let document = |issuer: &str| json!({ "issuer": issuer, "jwks_uri": "https://k.example/jwks" }).to_string();
        let asked = "https://ci.example.com/a";
        assert_eq!(read(asked, &document(asked)).as_deref(), Ok("https://k.example/jwks"));
        for other in [
            "https://ci.example.com/a/",
            "https://ci.example.com/A",
            "https://ci.example.com",
            "https://ci.example.com/a.evil.example",
            "https://ci.example.com/a@evil.example",
            "http://ci.example.com/a",
            "",
        ] {
            assert_eq!(read(asked, &document(other)), Err(KeysError::OtherIssuer), "{other}");
        }
        for bad in
            ["", "[]", "null", "<html>", "{}", r#"{"issuer":1,"jwks_uri":"x"}"#, r#"{"issuer":"x","issuer":"x"}"#]
        {
            assert_eq!(read(asked, bad), Err(KeysError::Document), "{bad}");
        }
    }

    #[test]
    fn threat_22_keys_are_fetched_over_https_from_a_plain_url() {
        let at = |issuer: &str, uri: &str| {
            read(issuer, &json!({ "issuer": issuer, "jwks_uri": uri, "x": [1] }).to_string()).is_ok()
        };
        let issuer = "https://ci.example.com";
        for good in ["https://ci.example.com/jwks", "https://192.0.2.7:6443/openid/v1/jwks", "https://k.example/a?b=c"]
        {
            assert!(at(issuer, good), "{good}");
        }
        let long = format!("https://k.example/{}", "a".repeat(2000));
        for bad in [
            "",
            "/jwks",
            "jwks",
            "https://",
            "https:///jwks",
            "https://?x",
            "http://ci.example.com/jwks",
            "http://127.0.0.1:8080/jwks",
            "file:///etc/passwd",
            "ftp://ci.example.com/jwks",
            "https://user@evil.example/jwks",
            "https://ci.example.com@evil.example/jwks",
            "https://ci.example.com/jwks#x",
            "https://ci.example.com\\@evil.example",
            "https://ci.example.com/a b",
            "https://ci.example.com/\r\nx",
            &long,
        ] {
            assert!(!at(issuer, bad), "{bad}");
        }
        let development = "http://127.0.0.1:8080";
        for good in ["http://127.0.0.1:8080/jwks", "http://localhost:9000/jwks", "https://k.example/jwks"] {
            assert!(at(development, good), "{good}");
        }
        for bad in [
            "http://k.example/jwks",
            "http://10.0.0.1/jwks",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1.evil.example/jwks",
            "http://localhost.evil.example/jwks",
            "http://127.0.0.1@evil.example/jwks",
            "http://127.0.0.1:1@evil.example/jwks",
            "http://[::1]/jwks",
            "http://0.0.0.0/jwks",
            "http://",
        ] {
            assert!(!at(development, bad), "{bad}");
        }
    }
}
