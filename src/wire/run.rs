//! `/v1/runs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::secret_text::SecretText;

/// `POST /v1/runs`. Every member may be absent; nothing of a run is wider than what its principal may.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRun {
    /// For whom, with a platform key and only then: `user:<uid>` or `service_account:<uid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "service_account:robot")]
    pub on_behalf_of: Option<String>,
    /// In which team, for a person in several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_uid: Option<String>,
    /// For whom its bearer mints, at most 20, the first is the default; the first of the team's list where absent. A
    /// worker that serves the team may be named; if it is the only one, the worker takes the bearer itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// The one role that its tokens for STS are bound to; that of the provider settings where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "arn:aws:iam::111122223333:role/bedrock")]
    pub role_arn: Option<String>,
    /// No token of the run lives longer, 60 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 3600)]
    pub lifetime_cap_seconds: Option<u32>,
    /// How many tokens its bearer gets in all, 1 to 1000000000; without a limit where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub tokens_max: Option<u32>,
    /// When it ends, 1 minute to 7 days from now; a day from now where neither this nor `ends_at` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 604_800)]
    pub ends_in_seconds: Option<u32>,
    /// The same as an instant.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<OffsetDateTime>,
    /// What it is called, at most 20 keys and 2048 characters. Those under keys of the team's `session_tag_keys` become
    /// session tags. Keys and values are those of AWS tags; `brevet:` and `aws:` are nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The run's own layer of provider settings, within the team's; its role is `role_arn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_settings: Option<RunSettings>,
}

/// A run's layer of provider settings: fixed for the run. What it leaves out, the layers above say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// `true` switches inference off in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Region of STS and Bedrock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "eu-central-1")]
    pub region: Option<String>,
    /// How long AWS sessions last, 900 to 43200; no longer than outside the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 900, maximum = 43200)]
    pub session_duration_seconds: Option<u32>,
    /// Names that callers may use for model ids, at most 100; each id one of those allowed outside the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<BTreeMap<String, String>>,
    /// Which model ids, inference profiles or ARNs may be called, at most 100, among those allowed outside the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_models: Option<Vec<String>>,
    /// `true` puts session tags into tokens for STS; what is on outside the run stays on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_tags: Option<bool>,
    /// `true` puts a source identity into tokens for STS; what is on outside the run stays on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<bool>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id: 20 letters and digits, in every token of it.
    pub id: String,
    /// In which team.
    pub team_uid: String,
    /// Whose tokens its bearer mints: `user:<uid>` or `service_account:<uid>`.
    pub principal: String,
    /// By which credential it was opened, as `act` names it: `<kind>:<id>`. The run ends with it, or with the session or
    /// key behind it.
    pub opener: String,
    /// For whom its bearer mints.
    pub audiences: Vec<String>,
    /// The one role that its tokens for STS are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// No token of the run lives longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_cap_seconds: Option<u32>,
    /// How many tokens its bearer gets in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<u32>,
    /// How many it has had.
    pub tokens_issued: i64,
    /// What it is called.
    pub labels: BTreeMap<String, String>,
    /// Its own layer of provider settings.
    pub provider_settings: RunSettings,
    /// `open`, `ended` (before its time) or `expired`. An open run whose opener or principal is gone mints nothing.
    #[schema(example = "open")]
    pub state: String,
    /// Since when it exists.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it ends by itself.
    #[serde(with = "time::serde::rfc3339")]
    pub ends_at: OffsetDateTime,
    /// Since when it is over before its time.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<OffsetDateTime>,
}

/// A run just opened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OpenedRun {
    /// The run, as a later `GET` shows it.
    #[serde(flatten)]
    pub run: Run,
    /// Its bearer, shown this once; absent where an `Idempotency-Key` was repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<SecretText>,
}
