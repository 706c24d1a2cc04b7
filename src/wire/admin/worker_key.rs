//! `/v1/worker-keys`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `POST /v1/worker-keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkerKey {
    /// What to call it, 1 to 200 characters.
    #[schema(example = "eu-1")]
    pub name: String,
    /// What callers mint for to be let in: on no team's list, not STS, not the issuer's URL.
    #[schema(example = "https://inference.example.com")]
    pub audience: String,
    /// The teams it serves, at most 1000.
    pub teams: Vec<String>,
}

/// `PATCH /v1/worker-keys/{id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeWorkerKey {
    /// Another list of teams.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>)]
    pub teams: Patch<Vec<String>>,
}

/// A worker's key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerKey {
    /// The key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The worker's audience.
    pub audience: String,
    /// The teams it serves.
    pub teams: Vec<String>,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last seen, to the minute or so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it is revoked, if it is.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
