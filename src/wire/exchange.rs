//! `/v1/worker/exchange` and `/v1/worker/liveness`: what a worker gets for a caller's live token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::secret_text::SecretText;

/// `POST /v1/worker/exchange`, with the worker key as bearer.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRequest {
    /// The caller's identity token, minted for this worker's audience, or the bearer of a run opened for it alone.
    pub token: SecretText,
}

/// What the worker may do for the caller.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Exchange {
    /// An identity token for STS, bound to `settings.role_arn`.
    pub identity_token: SecretText,
    /// When that token ends.
    #[serde(with = "time::serde::rfc3339")]
    pub identity_token_expires_at: OffsetDateTime,
    /// The `jti` of that token.
    pub token_id: String,
    /// The caller's `sub`.
    pub subject: String,
    /// The caller's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When that run ends by itself.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub run_ends_at: Option<OffsetDateTime>,
    /// The RoleSessionName to use.
    pub session_name: String,
    /// The effective settings.
    pub settings: WorkerSettings,
    /// Their version: another one means that cached credentials and settings are out of date.
    pub settings_version: i64,
    /// After how long liveness must be checked again, also on a cache hit.
    pub recheck_after_seconds: u32,
}

/// The effective provider settings, as the worker needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerSettings {
    /// Region of STS and Bedrock.
    pub region: String,
    /// The role of the first hop.
    pub role_arn: String,
    /// STS `DurationSeconds`.
    pub session_duration_seconds: u32,
    /// Names that callers may use for model ids.
    pub models: BTreeMap<String, String>,
    /// Which model ids or ARNs may be called; absent allows all that the role allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_models: Option<Vec<String>>,
    /// Whether the identity token carries session tags.
    pub session_tags: bool,
    /// Whether the identity token carries a source identity.
    pub source_identity: bool,
    /// Bedrock, where it is not the regional default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// STS, where it is not the regional default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts_endpoint: Option<String>,
}

/// `POST /v1/worker/liveness`: are these callers still what they were? At most 100 tokens.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LivenessRequest {
    /// Callers' live tokens for this worker's audience, and bearers of runs opened for it alone.
    pub tokens: Vec<SecretText>,
}

/// The answers, in the order of the tokens.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LivenessAnswer {
    /// One for each token.
    pub items: Vec<Liveness>,
}

/// Whether one caller may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Liveness {
    /// Whether principal, membership, team, credential and session are alive and inference is on.
    pub alive: bool,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The current version of the settings, where alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_version: Option<i64>,
}
