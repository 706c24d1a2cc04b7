//! `GET /v1/audit`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// One audit row. It holds no token and no key, nor anything they could be computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its id.
    pub id: String,
    /// When it was decided.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What was attempted, such as `token.mint`.
    pub action: String,
    /// `allowed` or `refused`.
    pub decision: String,
    /// Why, as a stable word; absent where allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The kind of credential that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_kind: Option<String>,
    /// The credential that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
    /// Whose that credential is: `administrator:<id>`, `user:<uid>` or `service_account:<uid>`, where it is known still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// The worker key that presented a caller's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_key_id: Option<String>,
    /// In which team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_uid: Option<String>,
    /// For whom: `user:<uid>` or `service_account:<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// What was made, changed or deleted: `<kind>:<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The token, where one was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<AuditToken>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The client's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// How many like events the row stands for; 1, except for counted refusals of unknown credentials.
    pub count: u32,
}

/// The token a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditToken {
    /// Its audience.
    pub audience: String,
    /// Its lifetime.
    pub lifetime_seconds: u32,
    /// Its `jti`.
    pub token_id: String,
    /// Its key.
    pub kid: String,
    /// The role it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// SHA-256 of `header.payload`, 64 hexadecimal digits: whoever holds the token can compute it.
    pub signing_input_sha256: String,
}
