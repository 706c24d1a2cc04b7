//! `/v1/upstream-providers`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::wire::patch::Patch;
use crate::wire::secret_text::SecretText;

/// `POST /v1/upstream-providers`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUpstreamProvider {
    /// A uid of your own, 2 to 48 characters of `[A-Za-z0-9_-]`; ours where absent. It is in the redirect URI and never
    /// reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "okta")]
    pub uid: Option<String>,
    /// What the sign-in page calls it, 1 to 200 characters.
    #[schema(example = "Acme")]
    pub name: String,
    /// Its issuer, byte for byte the `iss` of its ID tokens.
    #[schema(example = "https://acme.okta.com")]
    pub issuer: String,
    /// What it knows us by.
    #[schema(example = "0oa1b2c3")]
    pub client_id: String,
    /// Our secret there; absent for a public client. Never shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretText>,
    /// Scopes asked for beside `openid`, at most 20; `profile` and `email` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20, example = json!(["profile", "email", "groups"]))]
    pub scopes: Option<Vec<String>>,
    /// The claim of the ID token that lists a person's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "groups")]
    pub groups_claim: Option<String>,
    /// The domains whose e-mail addresses it vouches for, at most 100; none where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 100, example = json!(["acme.example"]))]
    pub email_domains: Option<Vec<String>>,
    /// How long a session lasts after the sign-in behind it: 900 to 2592000; 43200 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 900, maximum = 2_592_000)]
    pub session_seconds: Option<u32>,
    /// Whether only people whose address the provider has verified may sign in; `false` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_verified_email: Option<bool>,
}

/// `PATCH /v1/upstream-providers/{uid}`; `null` goes back to the value of a new provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUpstreamProvider {
    /// Another name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// What it knows us by from now on.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub client_id: Patch<String>,
    /// Our new secret there; `null` makes us a public client.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub client_secret: Patch<SecretText>,
    /// Other scopes.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    pub scopes: Patch<Vec<String>>,
    /// Another claim for groups, or none.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>)]
    pub groups_claim: Patch<String>,
    /// Other domains. Whoever joined by one that is taken off stays a member.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub email_domains: Patch<Vec<String>>,
    /// Another length of later sessions.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<u32>, minimum = 900, maximum = 2_592_000)]
    pub session_seconds: Patch<u32>,
    /// Whether only people whose address the provider has verified may sign in.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub require_verified_email: Patch<bool>,
    /// `true` stops sign-ins there, and everything in sessions that began there.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<bool>)]
    pub disabled: Patch<bool>,
}

/// A provider at which people sign in, without our secret there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamProvider {
    /// Stable, never reused.
    pub uid: String,
    /// What the sign-in page calls it.
    pub name: String,
    /// Its issuer.
    pub issuer: String,
    /// What it knows us by.
    pub client_id: String,
    /// Whether we have a secret there.
    pub has_client_secret: bool,
    /// The redirect URI to be registered there: this provider's alone.
    pub redirect_uri: String,
    /// The back-channel logout URI to be registered there.
    pub backchannel_logout_uri: String,
    /// Scopes asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// The domains whose e-mail addresses it vouches for.
    pub email_domains: Vec<String>,
    /// How long a session lasts after the sign-in behind it.
    pub session_seconds: u32,
    /// Whether only people whose address the provider has verified may sign in.
    pub require_verified_email: bool,
    /// Since when it is known.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Since when nobody signs in there, if so.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<OffsetDateTime>,
    /// Counts changes; also the `ETag`.
    pub version: i64,
}
