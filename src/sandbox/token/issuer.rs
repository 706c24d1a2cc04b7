//! An issuer's discovery document and keys, fetched anew for every exchange, as STS was seen to do.

use serde_json::{Map, Value};

use super::jwk::Jwk;
use super::no_key;
use crate::fetch::{Client, FetchError};
use crate::sandbox::error::AwsError;

/// Where an issuer's documents are read.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Origin {
    /// The issuer URL.
    pub(in crate::sandbox) issuer: String,
    /// URLs below the first are read below the second instead.
    pub(in crate::sandbox) redirects: Vec<(String, String)>,
    /// Whether plain http to loopback is taken.
    pub(in crate::sandbox) loopback: bool,
}

impl Origin {
    /// Where `url` is really read; the longest prefix decides, and ends where a path segment does.
    fn real(&self, url: &str) -> String {
        let below = |prefix: &str| {
            let rest = url.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')).then_some(rest)
        };
        self.redirects
            .iter()
            .filter_map(|(from, to)| Some((from.len(), below(from)?, to)))
            .max_by_key(|(length, ..)| *length)
            .map_or_else(
                || url.to_owned(),
                |(_, rest, to)| format!("{}/{}", to.trim_end_matches('/'), rest.trim_start_matches('/')),
            )
    }
}

/// Fetches both documents and brings the keys.
pub(in crate::sandbox) async fn read_keys(client: &Client, origin: &Origin) -> Result<Vec<Jwk>, AwsError> {
    let at = format!("{}/.well-known/openid-configuration", origin.issuer.trim_end_matches('/'));
    let discovery = read(client, origin, &at).await?;
    let jwks_uri = jwks_uri(&discovery, origin).ok_or_else(no_key)?;
    Jwk::read_all(&read(client, origin, jwks_uri).await?).ok_or_else(no_key)
}

async fn read(client: &Client, origin: &Origin, url: &str) -> Result<Map<String, Value>, AwsError> {
    let document = client.document(&origin.real(url)).await.map_err(|error| match error {
        FetchError::Resolve | FetchError::Connect | FetchError::Timeout => AwsError::new(
            400,
            "IDPCommunicationError",
            "The identity provider could not be reached. Retry the request a limited number of times.",
        ),
        FetchError::Refused(_)
        | FetchError::Tls
        | FetchError::TooLarge { .. }
        | FetchError::Broken
        | FetchError::Status(_) => no_key(),
    })?;
    serde_json::from_slice(&document).map_err(|_| no_key())
}

/// The document must name its issuer byte for byte, and have the members without which STS finds no key.
fn jwks_uri<'d>(discovery: &'d Map<String, Value>, origin: &Origin) -> Option<&'d str> {
    let lists = ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"];
    let complete = lists.iter().all(|name| discovery.get(*name).is_some_and(Value::is_array))
        && discovery.get("issuer")?.as_str()? == origin.issuer;
    let uri = discovery.get("jwks_uri")?.as_str()?;
    (complete && (uri.starts_with("https://") || origin.loopback && uri.starts_with("http://"))).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_segments_do_and_the_longest_decides() {
        let origin = Origin {
            issuer: String::new(),
            redirects: [
                ("https://a.example", "http://127.0.0.1:1"),
                ("https://a.example/t/x", "http://127.0.0.1:2/base"),
            ]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .to_vec(),
            loopback: false,
        };
        for (url, real) in [
            ("https://a.example/k", "http://127.0.0.1:1/k"),
            ("https://a.example/t/x/k", "http://127.0.0.1:2/base/k"),
            ("https://a.example/t/xy/k", "http://127.0.0.1:1/t/xy/k"),
            ("https://a.example.evil/k", "https://a.example.evil/k"),
        ] {
            assert_eq!(origin.real(url), real);
        }
    }
}
