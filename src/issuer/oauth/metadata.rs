//! The document by which OAuth clients find the token endpoint (RFC 8414).

use serde_json::{Map, Value, json};

use super::GrantType;
use super::client::AUTHENTICATION_METHODS;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::signing_key::Algorithm;
use crate::issuer::publish::{Document, JWKS_PATH};

/// The path of the document, under the issuer URL.
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/oauth2/token";
/// The path of the device authorization endpoint (RFC 8628).
pub const DEVICE_AUTHORIZATION_PATH: &str = "/oauth2/device_authorization";
/// The path of the revocation endpoint.
pub const REVOCATION_PATH: &str = "/oauth2/revoke";

/// What both documents say of the endpoints there are: this one and the discovery document.
pub fn endpoints(issuer: &IssuerUrl) -> Map<String, Value> {
    let algorithms = Algorithm::ALL.map(Algorithm::as_str);
    // People's terminals are a public client (RFC 8414, section 2: `none`).
    let methods: Vec<_> = AUTHENTICATION_METHODS.into_iter().chain(["none"]).collect();
    let members = json!({
        "device_authorization_endpoint": issuer.join(DEVICE_AUTHORIZATION_PATH),
        "token_endpoint": issuer.join(TOKEN_PATH),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": issuer.join(REVOCATION_PATH),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The document, the same bytes on every replica. It depends on the issuer URL alone.
///
/// `response_types_supported` must be there and must not be empty (RFC 8414, sections 2 and 3.2), though nothing is
/// asked at an authorization endpoint until there is one: it says what one will take.
pub fn document(issuer: &IssuerUrl) -> Document {
    let mut members = endpoints(issuer);
    members.insert("issuer".to_owned(), json!(issuer.as_str()));
    members.insert("jwks_uri".to_owned(), json!(issuer.join(JWKS_PATH)));
    members.insert("response_types_supported".to_owned(), json!(["code"]));
    Document::new(Value::Object(members).to_string())
}
