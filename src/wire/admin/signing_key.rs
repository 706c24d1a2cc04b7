//! `GET /v1/signing-keys`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A signing key, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its RFC 7638 thumbprint, the `kid` of tokens.
    pub kid: String,
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// Bits of the modulus, or of the field.
    pub bits: u32,
    /// `next`, `active`, `retired`, `gone` or `revoked`, at the time of the answer.
    pub state: String,
    /// Since when the JWKS lists it.
    #[serde(with = "time::serde::rfc3339")]
    pub publish_from: OffsetDateTime,
    /// When it begins to sign, where that is planned.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_from: Option<OffsetDateTime>,
    /// When it ends to sign, where that is set.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_until: Option<OffsetDateTime>,
    /// Until when the JWKS lists it, where that is set.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub publish_until: Option<OffsetDateTime>,
    /// Since when it is distrusted, if it is.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
}

/// Every signing key of the issuer, the signing one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKeys {
    /// The keys; at most a handful, so there are no pages.
    pub items: Vec<SigningKey>,
}
