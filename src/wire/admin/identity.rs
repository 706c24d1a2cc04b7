//! `/v1/users/{user}/identities`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// `POST /v1/users/{user}/identities`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateIdentity {
    /// The provider's uid.
    #[schema(example = "okta")]
    pub provider_uid: String,
    /// The provider's name for the person, the `sub` of its ID tokens: 1 to 255 characters.
    #[schema(example = "00u1b2c3")]
    pub subject: String,
}

/// Who a person is at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// The provider's uid.
    pub provider_uid: String,
    /// The provider's name for the person.
    pub subject: String,
    /// By whose credential it was linked; absent where the person joined by signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When they last signed in there.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub signed_in_at: Option<OffsetDateTime>,
}

/// Who a person is at every provider there is, in the order of provider and subject; at most 50.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identities {
    /// The identities.
    pub items: Vec<Identity>,
}
