//! `/v1/teams/{team}/service-accounts/{uid}/trust-rules`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `POST …/service-accounts/{uid}/trust-rules`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTrustRule {
    /// What to call it, 1 to 200 characters.
    #[schema(example = "agents in cluster eu-1")]
    pub name: String,
    /// Whose tokens: byte for byte their `iss`.
    #[schema(example = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE")]
    pub issuer: String,
    /// For whom they must be: an audience of this team's own. The default is the issuer URL and `/teams/<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The issuer's public keys, where it cannot be reached: a JWKS. Its discovery document is asked by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// What they must say, all of it; 1 to 20.
    pub conditions: Vec<ClaimCondition>,
    /// Whether one token may be presented more than once; it may not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
}

/// `PATCH …/service-accounts/{uid}/trust-rules/{id}`. The issuer stays: another issuer is another rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTrustRule {
    /// Another name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// Another audience; `null` for the default one.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub audience: Patch<String>,
    /// Other keys; `null` to ask the issuer for them.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Patch<Value>,
    /// Other conditions, in place of all there are.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<ClaimCondition>>)]
    pub conditions: Patch<Vec<ClaimCondition>>,
    /// Other bounds of reuse; `null` for once only.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Reuse>)]
    pub reuse: Patch<Reuse>,
    /// `true` stops everything that was got under it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub disabled: Patch<bool>,
}

/// What one claim must say: exactly one of `equals` and `pattern`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimCondition {
    /// A claim's name, or a JSON pointer (RFC 6901) into nested objects.
    #[schema(example = "/kubernetes.io/namespace")]
    pub claim: String,
    /// The value it must have, of the same type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<ClaimValue>,
    /// The form its text must have, from its first character to its last; `*` stands for one or more characters other
    /// than `/` and `:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "refs/heads/release-*")]
    pub pattern: Option<String>,
}

/// A value of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ClaimValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Flag(bool),
}

/// How often one token may be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// In all.
    #[schema(minimum = 2, maximum = 10_000)]
    pub uses: u32,
    /// All tokens under the rule together, in one minute.
    #[schema(minimum = 1, maximum = 600)]
    pub per_minute: u32,
}

/// Whose tokens stand for a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustRule {
    /// The rule.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whose tokens.
    pub issuer: String,
    /// For whom they must be.
    pub audience: String,
    /// The issuer's keys, where the rule holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// What they must say.
    pub conditions: Vec<ClaimCondition>,
    /// How often one may be presented, where that is more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Since when it says this.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// When a token was last taken under it, to the minute or so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it takes none, if so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
