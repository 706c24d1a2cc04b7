//! `/v1/sessions`: redeeming an enrolment code, listing and ending one's own sessions.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::secret_text::SecretText;

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// The enrolment code (`bvt_en_…`): 10 minutes, once.
    pub code: SecretText,
    /// What to call the device, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// A session just opened; its access token is shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OpenedSession {
    /// The access token (`bvt_at_…`), the bearer of every later request.
    pub access_token: SecretText,
    /// When it ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The session.
    pub session_id: String,
    /// The person.
    pub user_uid: String,
}

/// One of one's own sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionEntry {
    /// The session.
    pub session_id: String,
    /// How it was opened: `enrolment_code`.
    pub origin: String,
    /// The device, as the client called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The address it was opened from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// `GET /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The live sessions, newest first.
    pub items: Vec<SessionEntry>,
}
