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

/// The tokens of a session just opened or refreshed, each shown this once; also the answer of the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionTokens {
    /// The access token (`bvt_at_…`), the bearer of every later request.
    pub access_token: SecretText,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: String,
    /// How many seconds it lasts from now: 15 minutes, or what is left of the session.
    #[schema(example = 900)]
    pub expires_in: i64,
    /// The refresh token (`bvt_rt_…`): for the next pair of tokens, once.
    pub refresh_token: SecretText,
    /// The session.
    pub session_id: String,
    /// The person.
    pub user_uid: String,
    /// When the session ends, refreshed or not.
    #[serde(with = "time::serde::rfc3339")]
    pub session_expires_at: OffsetDateTime,
}

/// One of one's own sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionEntry {
    /// The session.
    pub session_id: String,
    /// How it was opened: `enrolment_code`, or `upstream:` and the provider's uid.
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
    /// When it was last used, to about a minute.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// Until when, if it is refreshed.
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
