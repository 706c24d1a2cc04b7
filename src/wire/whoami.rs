//! `GET /v1/whoami`: who the bearer is and what it may mint.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Who the bearer is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The kind of credential: `administrator_key`, `access_token`, `service_account_key` or `worker_key`.
    pub credential_kind: String,
    /// The credential's id.
    pub credential_id: String,
    /// When the credential ends, if it does.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// `user` or `service_account`, where the bearer is a principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_type: Option<String>,
    /// The principal's uid, where the bearer is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_uid: Option<String>,
    /// The teams the bearer may act in or serves.
    pub teams: Vec<WhoamiTeam>,
    /// The version of the server.
    pub server_version: String,
}

/// One team of the bearer and what it may mint there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhoamiTeam {
    /// The team's uid.
    pub team_uid: String,
    /// The team's name.
    pub name: String,
    /// The `iss` of tokens minted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The `sub` of tokens minted there, where the bearer is a principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The audiences it may ask for; the first is the default.
    pub audiences: Vec<String>,
    /// The roles it may name; the first is the default, where there is one.
    pub roles: Vec<String>,
}
