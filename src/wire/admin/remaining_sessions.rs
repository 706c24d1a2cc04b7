//! `/v1/teams/{team}/remaining-sessions`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What a disable cannot end: sessions that AWS has opened already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemainingSessions {
    /// One entry for each role that tokens named; none where no token for AWS STS was minted in time.
    pub items: Vec<RoleSessions>,
}

/// Sessions of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleSessions {
    /// The role; absent where tokens were bound to none: then it may be any role whose trust policy admits the subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Whose: `user:<uid>` and `service_account:<uid>`.
    pub principals: Vec<String>,
    /// Until when a token that was minted already still opens a session.
    #[serde(with = "time::serde::rfc3339")]
    pub tokens_until: OffsetDateTime,
    /// Until when a session lasts at the most.
    #[serde(with = "time::serde::rfc3339")]
    pub sessions_until: OffsetDateTime,
    /// Policies that end them now, to be put into the role.
    pub denies: Vec<ReadyDeny>,
}

/// A policy that is ready to be put into a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadyDeny {
    /// What it is called in the role.
    pub name: String,
    /// What it denies, in words.
    pub denies: String,
    /// The policy document.
    pub document: serde_json::Value,
    /// The AWS CLI call that puts it in, where the role is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_command: Option<String>,
    /// The AWS CLI call that takes it out again, where the role is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_command: Option<String>,
}
