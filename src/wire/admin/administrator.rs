//! `/v1/administrators`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// `POST /v1/administrators`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAdministrator {
    /// What to call it, 1 to 200 characters.
    #[schema(example = "ops")]
    pub name: String,
}

/// An administrator of the installation. It has one key and speaks for no principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Administrator {
    /// The administrator.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its key ends, if it does: the first administrator's does after 24 h, and it is removed when a second one is made.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
