//! `/v1/teams/{team}/policy`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::patch::Patch;

/// `PATCH /v1/teams/{team}/policy`; `null` goes back to the value of a new team.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePolicy {
    /// No token of the team lives longer, 60 to 3600; a new team has 3600.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 3600)]
    pub lifetime_cap_seconds: Patch<u32>,
    /// `required` binds every token for STS to one role; `off` lets any role that admits the subject take it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "required")]
    pub roles_claim: Patch<String>,
    /// Whether sessions opened with an enrolment code mint for this team; a new team's do.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub enrolment_codes: Patch<bool>,
    /// Which issuer mints from now on: `shared`, or the team's `private` one, which must have been made before; a new
    /// team has `shared`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "private")]
    pub issuer: Patch<String>,
}

/// What a team allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    /// No token of the team lives longer.
    pub lifetime_cap_seconds: u32,
    /// `required` or `off`.
    pub roles_claim: String,
    /// Whether sessions opened with an enrolment code mint for this team.
    pub enrolment_codes: bool,
    /// `shared` or `private`: which issuer mints.
    pub issuer: String,
    /// The team's version, also the `ETag`.
    pub version: i64,
}
