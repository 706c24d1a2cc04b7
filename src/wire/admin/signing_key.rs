//! `/v1/signing-keys`: the keys, what is to come of them, and what an operator may do.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A signing key, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its RFC 7638 thumbprint, the `kid` of tokens.
    pub kid: String,
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// Bits of the modulus, or of the field.
    pub bits: u32,
    /// `next`, `active`, `retired`, `gone` or `revoked`, at the time of the answer.
    pub state: String,
    /// Since when the JWKS lists it.
    #[serde(with = "time::serde::rfc3339")]
    pub publish_from: OffsetDateTime,
    /// When it begins to sign, where that is planned.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_from: Option<OffsetDateTime>,
    /// When it ends to sign, where that is set.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_until: Option<OffsetDateTime>,
    /// Until when the JWKS lists it, where that is set.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub publish_until: Option<OffsetDateTime>,
    /// Since when it is distrusted, if it is.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<OffsetDateTime>,
    /// Since when it is seen at the public `jwks_uri` without a gap, if it is.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub seen_from: Option<OffsetDateTime>,
}

/// A page of the issuer's signing keys, the signing one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigningKeys {
    /// At most `limit` keys.
    pub items: Vec<SigningKey>,
    /// What to send as `after` for the next page; absent on the last one. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What is wrong at the public `jwks_uri`: no hand-over is planned while it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When the public `jwks_uri` was last looked at and answered.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<OffsetDateTime>,
    /// Replicas that have not confirmed the keys as they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed_replicas: Vec<String>,
}

/// The numbers by which keys follow each other, in seconds.
#[expect(clippy::struct_field_names, reason = "durations carry their unit on the wire")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeySchedule {
    /// How long the public documents may be cached.
    pub max_age_seconds: u32,
    /// How far an exported copy of them may lag behind.
    pub export_lag_seconds: u32,
    /// How far a replica's clock may be off the database's.
    pub clock_error_seconds: u32,
    /// The oldest reading of the keys that a replica may sign with.
    pub oldest_snapshot_seconds: u32,
    /// From publication to the first signature.
    pub publish_before_sign_seconds: u32,
    /// From the last signature to the end of publication.
    pub keep_after_sign_seconds: u32,
    /// From one first signature to the next.
    pub rotation_period_seconds: u32,
}

/// `PATCH /v1/signing-keys/schedule`; omitted keeps. Numbers that would leave a verifier without a key are refused with
/// the arithmetic.
#[expect(clippy::struct_field_names, reason = "durations carry their unit on the wire")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeKeySchedule {
    /// How long the public documents may be cached, 60 to 86400; under an issuer of development from 1 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
    /// How far an exported copy of them may lag behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export_lag_seconds: Option<u32>,
    /// How far a replica's clock may be off the database's, 1 to 60; more than 5 is margin in the sums, since beyond 5
    /// a replica does not sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_error_seconds: Option<u32>,
    /// The oldest reading of the keys that a replica may sign with, 10 to 3600; under an issuer of development from 1
    /// on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_snapshot_seconds: Option<u32>,
    /// From publication to the first signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_before_sign_seconds: Option<u32>,
    /// From the last signature to the end of publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_after_sign_seconds: Option<u32>,
    /// From one first signature to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_period_seconds: Option<u32>,
}

/// What is to come if every replica runs and the public `jwks_uri` shows what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyPlan {
    /// When this was thought out.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    /// How far ahead it looks.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// The numbers behind it.
    pub schedule: KeySchedule,
    /// The keys that there are and those that will be made, with the instants that they will have; what is over is left
    /// out.
    pub keys: Vec<PlannedKey>,
    /// Every change, in order.
    pub changes: Vec<PlannedChange>,
    /// Whether any verifier is left behind.
    pub proof: PlanProof,
}

/// A key as it will have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedKey {
    /// Its name: the kid, or `new-1`, `new-2` and so on where it is still to be made.
    pub key: String,
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// Bits of the modulus, or of the field.
    pub bits: u32,
    /// Since when the JWKS lists it.
    #[serde(with = "time::serde::rfc3339")]
    pub publish_from: OffsetDateTime,
    /// When it begins to sign.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_from: Option<OffsetDateTime>,
    /// When it ends to sign.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub sign_until: Option<OffsetDateTime>,
    /// Until when the JWKS lists it.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub publish_until: Option<OffsetDateTime>,
}

/// One dated change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedChange {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Of which key.
    pub key: String,
    /// `published`, `signs`, `retires` or `leaves`.
    pub change: String,
}

/// Tokens of the whole plan tried on every copy of the JWKS that a verifier may hold while they live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanProof {
    /// Whether every token finds its key in every copy.
    pub holds: bool,
    /// How many keys sign within the plan.
    pub turns: usize,
    /// How old a copy may be: max-age, export lag and clock error together.
    pub oldest_copy_seconds: i64,
    /// How long a token may be verified after it was signed.
    pub longest_life_seconds: i64,
    /// How many pairs of a token and a copy were tried: all at which anything changes.
    pub tried: u64,
    /// Pairs that fail, at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<PlanGap>,
}

/// A token that fails with a copy of the JWKS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanGap {
    /// The token's key.
    pub key: String,
    /// When it was signed.
    #[serde(with = "time::serde::rfc3339")]
    pub signed_at: OffsetDateTime,
    /// As of when the copy is.
    #[serde(with = "time::serde::rfc3339")]
    pub copy_of: OffsetDateTime,
}

/// `POST /v1/signing-keys/prepare`: the kind of the next standby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareKey {
    /// `RS256` or `ES256`.
    pub algorithm: String,
    /// 2048, 3072 or 4096 for RS256, 256 for ES256; the smallest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Only tell whether it would be refused.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/signing-keys/rotate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Only tell whether it would be refused.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/signing-keys/{kid}/distrust`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DistrustKey {
    /// Only tell what it would do.
    #[serde(default)]
    pub dry_run: bool,
    /// Do it though verifiers fail meanwhile; without it such a distrust is refused.
    #[serde(default)]
    pub accept_outage: bool,
}

/// `POST /v1/signing-keys/replace-all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceAllKeys {
    /// `RS256` or `ES256`; that of the signing key where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// 2048, 3072 or 4096 for RS256, 256 for ES256; the smallest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// Only tell what it would do.
    #[serde(default)]
    pub dry_run: bool,
    /// Do it though every verifier with a cached JWKS fails meanwhile; without it it is refused.
    #[serde(default)]
    pub accept_outage: bool,
}

/// What an operation on the keys did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyOperation {
    /// Whether it was done; `false` for a dry run.
    pub done: bool,
    /// The key that signs then, where it is made already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_kid: Option<String>,
    /// Which verifiers fail, and until when; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outage: Option<KeyOutage>,
    /// Keys that sign no more, and until when their tokens are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedKey>,
    /// What AWS goes on accepting, where keys were distrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aftermath: Option<Aftermath>,
    /// The keys as they are then; as they are, for a dry run.
    pub keys: Vec<SigningKey>,
}

/// A key that signs no more, whose tokens are accepted for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedKey {
    /// The key.
    pub kid: String,
    /// Until when some verifier may take a token of it: while its last token lives, or where it is distrusted while the
    /// JWKS may be cached.
    #[serde(with = "time::serde::rfc3339")]
    pub tokens_until: OffsetDateTime,
    /// Until when the JWKS lists it, where it still does.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub published_until: Option<OffsetDateTime>,
}

/// Verifiers with a JWKS from before the new signing key refuse its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyOutage {
    /// Until when verifiers that honour max-age fail, exported copies included.
    #[serde(with = "time::serde::rfc3339")]
    pub until: OffsetDateTime,
    /// Until when any other may: the wait that the schedule gives a key before it signs.
    #[serde(with = "time::serde::rfc3339")]
    pub surely_until: OffsetDateTime,
}

/// What the world goes on accepting of a distrusted key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Aftermath {
    /// Until when verifiers with a cached JWKS take the keys' tokens, forged ones too.
    #[serde(with = "time::serde::rfc3339")]
    pub tokens_until: OffsetDateTime,
    /// Until when AWS sessions that such tokens opened may last: a role's longest session, 12 hours, after that.
    #[serde(with = "time::serde::rfc3339")]
    pub sessions_until: OffsetDateTime,
    /// Replicas that had not confirmed the change when the answer was written: they may publish the key until they do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconfirmed_replicas: Vec<String>,
    /// What to do in the accounts, for every role that any team's settings or list names.
    pub roles: Vec<RoleAftermath>,
}

/// How to end the sessions of one role, and how to find them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoleAftermath {
    /// The role.
    pub role_arn: String,
    /// The teams that name it.
    pub teams: Vec<String>,
    /// The policy that ends every session opened before `tokens_until`; until then the role is closed to all.
    #[schema(value_type = Object)]
    pub deny_policy: serde_json::Value,
    /// The AWS CLI call that puts it into the role.
    pub deny_command: String,
    /// The AWS CLI call that takes it out again, after `sessions_until`.
    pub undo_command: String,
    /// The AWS CLI call that lists the sessions opened since the key was first published.
    pub cloudtrail_command: String,
    /// The Athena query that shows them and what they did.
    pub athena_query: String,
}

/// `GET /v1/signing-keys/documents`: the public documents as they are now, for a copy on a CDN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicDocuments {
    /// The documents, in the order in which a copy must change.
    pub items: Vec<PublicDocument>,
    /// How soon a copy must be made again: the schedule's export lag.
    pub export_again_within_seconds: u32,
}

/// One public document and how to serve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublicDocument {
    /// Its path on the issuer's host.
    pub path: String,
    /// Its text.
    pub body: String,
    /// `Content-Type`.
    pub content_type: String,
    /// `Cache-Control`.
    pub cache_control: String,
    /// `ETag`.
    pub etag: String,
}
