//! `/v1/teams/{team}/members`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `POST /v1/teams/{team}/members`: a new person, and what they may do in the team.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMember {
    /// A uid of your own, 2 to 48 characters of `[A-Za-z0-9_-]`; ours where absent. It is in every `sub` and never reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// What to call them, 1 to 200 characters; in no token.
    #[schema(example = "Ada")]
    pub name: String,
    /// For people to recognise them by; links nothing, in no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `member` (where absent), `auditor` or `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "member")]
    pub role: Option<String>,
}

/// `PATCH /v1/teams/{team}/members/{user}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// `member`: mints for themselves. `auditor`: that, and sees what the team's admins see. `admin`: that, and changes
    /// members, agents and rules of the team.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "admin")]
    pub role: Patch<String>,
    /// `true` stops everything of this person in this team.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub disabled: Patch<bool>,
}

/// That a person may act in a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The person.
    pub user_uid: String,
    /// The team.
    pub team_uid: String,
    /// What people call them.
    pub name: String,
    /// For people to recognise them by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `member`, `auditor` or `admin`.
    pub role: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Since when they may do nothing in this team, if so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
