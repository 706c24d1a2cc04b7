//! `/v1/teams/{team}/issuer`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The issuers of a team. Where it has both, both are published and accepted, whichever mints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TeamIssuers {
    /// `shared` or `private`: which one mints, by the team's policy.
    pub mints: String,
    /// The `iss` of tokens minted now, and the URL of the identity provider to register in AWS IAM.
    pub issuer: String,
    /// The installation's own issuer.
    pub shared_issuer: String,
    /// The team's private issuer, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<PrivateIssuer>,
    /// Since when the private issuer is gone, if it is; the team never gets another one.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub private_deleted_at: Option<OffsetDateTime>,
    /// The team's version, also the `ETag`.
    pub version: i64,
}

/// A private issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrivateIssuer {
    /// Its URL, `<issuer>/t/<team>`.
    pub issuer: String,
    /// Where it publishes its keys.
    pub jwks_uri: String,
    /// How long its documents may be cached.
    pub max_age_seconds: u32,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}
