//! `/v1/teams`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `POST /v1/teams`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTeam {
    /// A uid of your own, 2 to 48 characters of `[A-Za-z0-9_-]`; ours where absent. It is in every `sub` and never reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme")]
    pub uid: Option<String>,
    /// What to call it, 1 to 200 characters; in no token.
    #[schema(example = "Acme")]
    pub name: String,
}

/// `PATCH /v1/teams/{team}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTeam {
    /// Another name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// `true` stops every mint of the team; when the call has returned, none can still commit.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub disabled: Patch<bool>,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Team {
    /// Its stable public name.
    pub uid: String,
    /// What people call it.
    pub name: String,
    /// What role chaining sends as `sts:ExternalId`; ours, read-only, never reused.
    pub external_id: String,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Since when nothing of it mints, if so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<OffsetDateTime>,
    /// Counts every change of the team, its lists, its policy, its provider settings and who serves it; also the `ETag`.
    pub version: i64,
}
