//! `/v1/teams/{team}/roles`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /v1/teams/{team}/roles`: the whole list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    /// At most 100 roles.
    pub items: Vec<RoleRule>,
}

/// A role that principals may name when they mint, beside the one in the provider settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRule {
    /// The role.
    #[schema(example = "arn:aws:iam::111122223333:role/bedrock")]
    pub role_arn: String,
    /// Who may name it: `["everyone"]`, `["user"]` (all people), `["service_account"]` (all agents), or
    /// a list of `user:<uid>` and `service_account:<uid>`, at most 100.
    #[schema(example = json!(["service_account:nightly"]))]
    pub principals: Vec<String>,
}

/// A team's roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Roles {
    /// The list.
    pub items: Vec<RoleRule>,
    /// The team's version, also the `ETag`.
    pub version: i64,
}
