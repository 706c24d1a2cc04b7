//! `POST /v1/identity-tokens`: the mint.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::secret_text::SecretText;

/// What a token is asked for. Every member may be absent; the subject comes from the credential alone, but for a
/// platform key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    /// For whom; the first of the team's list by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sts.amazonaws.com")]
    pub audience: Option<String>,
    /// 60 to 3600; 300 by default. Shortened to the caps of team and audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 3600)]
    pub lifetime_seconds: Option<u32>,
    /// For whom, with a platform key and only then: `user:<uid>` or `service_account:<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "service_account:robot")]
    pub on_behalf_of: Option<String>,
    /// In which team, for a person in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_uid: Option<String>,
    /// The role to bind a token for STS to; the one of the provider settings by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "arn:aws:iam::111122223333:role/bedrock")]
    pub role_arn: Option<String>,
}

/// A minted token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MintedToken {
    /// The signed JWT.
    pub token: SecretText,
    /// When it really ends.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Its `iss`.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audience: String,
    /// Its `jti`, to find its audit row by.
    pub token_id: String,
}
