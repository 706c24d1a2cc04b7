//! `/v1/teams/{team}/audiences`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT /v1/teams/{team}/audiences`: the whole list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAudiences {
    /// 1 to 20 audiences; the first is the default.
    pub items: Vec<AudienceRule>,
}

/// One audience that the team's principals may mint for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AudienceRule {
    /// 1 to 255 printable ASCII characters; compared byte for byte.
    #[schema(example = "sts.amazonaws.com")]
    pub audience: String,
    /// No token for it lives longer, 60 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 3600)]
    pub lifetime_cap_seconds: Option<u32>,
}

/// A team's audiences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audiences {
    /// The list; the first is the default.
    pub items: Vec<AudienceRule>,
    /// The team's version, also the `ETag`.
    pub version: i64,
}
