//! The error answer of `/v1`: problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What every member of `type` begins with.
pub const TYPE_PREFIX: &str = "urn:brevet:problem:";

/// An error of `/v1`, sent as `application/problem+json` (RFC 9457). `type` is stable; `detail` is for people
/// and may change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:brevet:problem:` and the stable code.
    pub r#type: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: String,
    /// The request, as it stands in the server's log.
    pub request_id: String,
    /// The members of the request that break a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One member of a request and the rule it breaks.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct FieldError {
    /// The member, as a dotted path.
    pub field: String,
    /// The rule.
    pub rule: String,
}

impl Problem {
    /// The stable code: `type` without its prefix.
    pub fn code(&self) -> &str {
        self.r#type.strip_prefix(TYPE_PREFIX).unwrap_or(&self.r#type)
    }
}
