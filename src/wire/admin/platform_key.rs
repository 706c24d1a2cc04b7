//! `/v1/platform-keys`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `POST /v1/platform-keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePlatformKey {
    /// What to call it, 1 to 200 characters.
    #[schema(example = "backend")]
    pub name: String,
    /// The teams it acts in, at most 1000.
    pub teams: Vec<String>,
    /// What it may do there, none implied by another: `mint_for_service_accounts`, `mint_for_users`, `open_runs`,
    /// `open_runs_for_users`, `register_principals`, `register_teams`.
    #[schema(example = json!(["mint_for_service_accounts"]))]
    pub rights: Vec<String>,
    /// How long it works, at least 60; for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60)]
    pub expires_in_seconds: Option<u32>,
}

/// `PATCH /v1/platform-keys/{id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePlatformKey {
    /// Another name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// Another list of teams.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>)]
    pub teams: Patch<Vec<String>>,
    /// Another list of rights.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>)]
    pub rights: Patch<Vec<String>>,
}

/// A platform backend's key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlatformKey {
    /// The key.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The teams it acts in.
    pub teams: Vec<String>,
    /// What it may do there.
    pub rights: Vec<String>,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when it works; absent for ever.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last seen, to the minute or so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it is revoked, if it is.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
