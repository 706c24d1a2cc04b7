//! `/v1/teams/{team}/provider-settings`, and the same of one service account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `PATCH …/provider-settings`; `null` makes the layer say nothing, so that the one above or our default holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeProviderSettings {
    /// `true` switches inference off at this layer; nothing falls through to another one.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub disabled: Patch<bool>,
    /// Region of STS and Bedrock, in the partition of `role_arn`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "eu-central-1")]
    pub region: Patch<String>,
    /// The role of the first hop.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "arn:aws:iam::111122223333:role/bedrock")]
    pub role_arn: Patch<String>,
    /// How long its sessions last, 900 to 43200; 3600 by default.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<u32>, minimum = 900, maximum = 43200)]
    pub session_duration_seconds: Patch<u32>,
    /// Names that callers may use for model ids, at most 100.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub models: Patch<BTreeMap<String, String>>,
    /// Which model ids, inference profiles or ARNs may be called, at most 100; absent allows all that the role allows.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_models: Patch<Vec<String>>,
    /// Whether tokens for STS carry session tags; the role must allow `sts:TagSession`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub session_tags: Patch<bool>,
    /// Whether tokens for STS carry a source identity; the role must allow `sts:SetSourceIdentity`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub source_identity: Patch<bool>,
    /// Bedrock, where it is not the regional default: an AWS name, or one the operator listed.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub base_url: Patch<String>,
    /// STS, where it is not the regional default: an AWS name, or one the operator listed.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub sts_endpoint: Patch<String>,
}

/// What one layer says; an absent member inherits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderSettings {
    /// Whether inference is switched off here.
    pub disabled: bool,
    /// Region of STS and Bedrock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The role of the first hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// How long its sessions last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_duration_seconds: Option<u32>,
    /// Names for model ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<BTreeMap<String, String>>,
    /// Which models may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_models: Option<Vec<String>>,
    /// Whether tokens for STS carry session tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_tags: Option<bool>,
    /// Whether tokens for STS carry a source identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<bool>,
    /// Bedrock's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// STS's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
    /// The team's external id: ours, read-only.
    pub external_id: String,
    /// Counts changes of this layer, 0 where it was never written; also the `ETag`.
    pub version: i64,
}
