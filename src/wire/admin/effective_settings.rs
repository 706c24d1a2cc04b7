//! `GET /v1/effective-settings`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A value and who said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// `team`, `service_account` or `run`; `default` where no layer said it.
    pub layer: String,
}

/// What the layers of provider settings come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveSettings {
    /// The layer that switched inference off, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_by: Option<String>,
    /// Why inference cannot run, as a stable word; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Region of STS and Bedrock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Sourced<String>>,
    /// The role of the first hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<Sourced<String>>,
    /// How long its sessions last.
    pub session_duration_seconds: Sourced<u32>,
    /// Names for model ids.
    pub models: Sourced<BTreeMap<String, String>>,
    /// Which models may be called; absent allows all that the role allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_models: Option<Sourced<Vec<String>>>,
    /// Whether tokens for STS carry session tags.
    pub session_tags: Sourced<bool>,
    /// Whether tokens for STS carry a source identity.
    pub source_identity: Sourced<bool>,
    /// Bedrock's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Sourced<String>>,
    /// STS's endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<Sourced<String>>,
    /// The `iss` of tokens minted for the team.
    #[serde(default)]
    pub issuer: String,
    /// The team's external id: ours, read-only.
    pub external_id: String,
    /// The team's version.
    pub version: i64,
}
