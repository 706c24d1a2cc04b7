//! `/v1/teams/{team}/policy`.

use std::collections::BTreeMap;

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
    /// The uids of the sign-in providers whose sessions mint for this team, at most 20; a new team lists none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20, example = json!(["okta"]))]
    pub upstream_providers: Patch<Vec<String>>,
    /// Whether people's tokens carry `amr`, how their provider authenticated them; a new team's do not.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub amr_claim: Patch<bool>,
    /// Which of a provider's people come into the team by signing in, at most 50 rules; a new team has none. Whoever was
    /// removed or disabled in the team does not come back so.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<Joining>>, max_items = 50)]
    pub joins: Patch<Vec<Joining>>,
    /// Which issuer mints from now on: `shared`, or the team's `private` one, which must have been made before; a new
    /// team has `shared`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "private")]
    pub issuer: Patch<String>,
    /// Which labels of a run become session tags; a new team lists none. Keys compare without case.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, max_items = 45, example = json!(["project"]))]
    pub session_tag_keys: Patch<Vec<String>>,
    /// Session tags of every token for STS where `session_tags` is on in the provider settings; at most 45 with
    /// `session_tag_keys`. No key begins with `aws:` or `brevet:`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<BTreeMap<String, String>>, example = json!({"CostCenter": "4711"}))]
    pub cost_tags: Patch<BTreeMap<String, String>>,
    /// From where the team's principals may ask for tokens, as addresses or CIDR ranges, at most 50; a new team's
    /// list is empty, which means from everywhere.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, max_items = 50, example = json!(["192.0.2.0/24"]))]
    pub address_ranges: Patch<Vec<String>>,
    /// `anywhere`, as in a new team, or `in_runs_only`: people mint only in runs.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, example = "anywhere")]
    pub people_mint: Patch<String>,
}

/// A rule by which a provider's people come into a team: exactly one of `email_domain` and `group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// The provider's uid.
    #[schema(example = "okta")]
    pub provider_uid: String,
    /// Those with a verified address of this domain, which the operator has tied to the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "acme.example")]
    pub email_domain: Option<String>,
    /// Those with this group, word for word, in the claim that the provider's settings name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
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
    /// The sign-in providers whose sessions mint for this team.
    pub upstream_providers: Vec<String>,
    /// Whether people's tokens carry `amr`.
    pub amr_claim: bool,
    /// Which of a provider's people come into the team by signing in.
    pub joins: Vec<Joining>,
    /// `shared` or `private`: which issuer mints.
    pub issuer: String,
    /// Which labels of a run become session tags.
    pub session_tag_keys: Vec<String>,
    /// Session tags of every token for STS where tags are on.
    pub cost_tags: BTreeMap<String, String>,
    /// From where principals may ask for tokens; from everywhere where empty.
    pub address_ranges: Vec<String>,
    /// `anywhere` or `in_runs_only`.
    pub people_mint: String,
    /// The team's version, also the `ETag`.
    pub version: i64,
}
