//! `/v1/signing-keys`: the keys, and what an operator does with them.

use axum::Json;
use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Admin;
use super::answers::{OfKeyChange, OfList};
use super::capability::Of;
use crate::domain::authority::InstallationReader;
use crate::domain::id::TeamUid;
use crate::domain::key_schedule::STS_TOLERANCE;
use crate::domain::lifetime::LIFETIME_MAX;
use crate::domain::rotation::Outage;
use crate::domain::signing_key::{Algorithm, KeyKind, KeyState, Kid};
use crate::http::error::{Code, ProblemAnswer};
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageQuery};
use crate::http::resource::query::Members;
use crate::http::state::IssuerState;
use crate::issuer::admin::{self, KeyAdministration, KeyAt, KeysChanged};
use crate::store::{Page, Replica};
use crate::wire::admin::signing_key::{
    AcceptedKey, Aftermath, DistrustKey, KeyOperation, KeyOutage, PrepareKey, ReplaceAllKeys, RoleAftermath, RotateKey,
    SigningKey, SigningKeys,
};

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(prepare))
        .routes(routes!(rotate))
        .routes(routes!(distrust))
        .routes(routes!(replace_all))
}

/// Whose keys, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what OfTeam reads")]
pub(super) struct TeamQuery {
    /// The team whose private issuer's keys are meant; those of the shared issuer where absent.
    team: Option<String>,
}

/// Whose keys are meant.
pub(super) struct OfTeam(pub(super) Option<TeamUid>);

impl<S: Sync> FromRequestParts<S> for OfTeam {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["team"], &mut fields);
        let team = fields.optional("team", members.take("team"), |text| TeamUid::parse(&text));
        fields.finish(team.map(Self)).map_err(ProblemAnswer::fields)
    }
}

/// Whose keys, and which of them.
struct PageOfTeam(Option<TeamUid>, Page);

impl<S: Sync> FromRequestParts<S> for PageOfTeam {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemAnswer> {
        let mut fields = Fields::default();
        let mut members = Members::read(parts, &["team", "limit", "after"], &mut fields);
        let team = fields.optional("team", members.take("team"), |text| TeamUid::parse(&text));
        let page = page::read(&mut members, &mut fields);
        fields.finish(team.zip(page).map(|(team, page)| Self(team, page))).map_err(ProblemAnswer::fields)
    }
}

/// Lists the issuer's signing keys and what they are now: the signing one first, then those to come, then the rest.
#[utoipa::path(get, path = "/v1/signing-keys", operation_id = "list_signing_keys", tag = "Signing keys",
    params(TeamQuery, PageQuery),
    responses((status = 200, description = "A page of keys, without anything secret", body = SigningKeys), OfList))]
async fn list(
    Of(admin): Of<InstallationReader>,
    PageOfTeam(team, page): PageOfTeam,
) -> Result<Json<SigningKeys>, ProblemAnswer> {
    let seen = admin.keys_of(team.as_ref()).await?.page(&page).await?;
    Ok(Json(SigningKeys {
        items: seen.keys.iter().map(shown).collect(),
        next: seen.after.map(page::wrapped),
        warnings: seen.warnings,
        looked_at: seen.looked_at,
        unconfirmed_replicas: replicas(&seen.unconfirmed),
    }))
}

/// Replaces the next standby by one of another algorithm or size. It waits its time, so that nothing breaks; a change
/// of the algorithm is the rotation to it.
#[utoipa::path(post, path = "/v1/signing-keys/prepare", operation_id = "prepare_signing_key", tag = "Signing keys",
    params(TeamQuery), request_body = PrepareKey,
    responses((status = 200, description = "It is made and published", body = KeyOperation), OfKeyChange))]
async fn prepare(
    Admin(admin): Admin,
    OfTeam(team): OfTeam,
    Body(body): Body<PrepareKey>,
) -> Result<Json<KeyOperation>, ProblemAnswer> {
    let kind = kind(Some(&body.algorithm), body.bits).map_err(ProblemAnswer::fields)?.unwrap_or_default();
    let keys = admin.keys_of(team.as_ref()).await?;
    if body.dry_run {
        keys.would_prepare(kind).await?;
        return Ok(Json(operation(&keys, None, None).await?));
    }
    let done = keys.prepare(kind).await?;
    Ok(Json(operation(&keys, Some(done), None).await?))
}

/// Moves signing to the standby now. Refused with 409 and the date while any verifier may hold a JWKS without it.
#[utoipa::path(post, path = "/v1/signing-keys/rotate", operation_id = "rotate_signing_key", tag = "Signing keys",
    params(TeamQuery), request_body = RotateKey,
    responses((status = 200, description = "The standby signs", body = KeyOperation), OfKeyChange))]
async fn rotate(
    Admin(admin): Admin,
    OfTeam(team): OfTeam,
    Body(body): Body<RotateKey>,
) -> Result<Json<KeyOperation>, ProblemAnswer> {
    let keys = admin.keys_of(team.as_ref()).await?;
    if body.dry_run {
        keys.would_rotate().await?;
        return Ok(Json(operation(&keys, None, None).await?));
    }
    let done = keys.rotate().await?;
    Ok(Json(operation(&keys, Some(done), None).await?))
}

/// Distrusts one key for ever, because it may be stolen: it leaves the JWKS at once. Where it signs, signing moves to
/// the standby in the same transaction, however young that is; if verifiers fail for it, `accept_outage` must say that
/// they may.
#[utoipa::path(post, path = "/v1/signing-keys/{kid}/distrust", operation_id = "distrust_signing_key",
    tag = "Signing keys", params(("kid" = String, Path, description = "The key"), TeamQuery),
    request_body = DistrustKey,
    responses((status = 200, description = "What was done, or would be", body = KeyOperation), OfKeyChange))]
async fn distrust(
    Admin(admin): Admin,
    OfTeam(team): OfTeam,
    Segments(kid): Segments<String>,
    Body(body): Body<DistrustKey>,
) -> Result<Json<KeyOperation>, ProblemAnswer> {
    let kid = Kid::parse(&kid).map_err(|_| ProblemAnswer::new(Code::NotFound, "no such signing key"))?;
    let keys = admin.keys_of(team.as_ref()).await?;
    if body.dry_run {
        let outage = keys.would_distrust(&kid).await?;
        return Ok(Json(operation(&keys, None, outage).await?));
    }
    let done = keys.distrust(&kid, body.accept_outage).await?;
    Ok(Json(operation(&keys, Some(done), None).await?))
}

/// Distrusts every key for ever, and publishes and signs with new ones at once: for a stolen store or key-encryption
/// key. Every verifier that holds a JWKS from before fails meanwhile, and `accept_outage` must say that they may.
#[utoipa::path(post, path = "/v1/signing-keys/replace-all", operation_id = "replace_all_signing_keys",
    tag = "Signing keys", params(TeamQuery), request_body = ReplaceAllKeys,
    responses((status = 200, description = "What was done, or would be", body = KeyOperation), OfKeyChange))]
async fn replace_all(
    Admin(admin): Admin,
    OfTeam(team): OfTeam,
    Body(body): Body<ReplaceAllKeys>,
) -> Result<Json<KeyOperation>, ProblemAnswer> {
    let kind = kind(body.algorithm.as_deref(), body.bits).map_err(ProblemAnswer::fields)?;
    let keys = admin.keys_of(team.as_ref()).await?;
    if body.dry_run {
        let outage = keys.would_replace_all().await?;
        return Ok(Json(operation(&keys, None, Some(outage)).await?));
    }
    let done = keys.replace_all(kind, body.accept_outage).await?;
    Ok(Json(operation(&keys, Some(done), None).await?))
}

/// The kind that an algorithm and a size name; `None` where neither is said.
fn kind(algorithm: Option<&str>, bits: Option<u32>) -> Result<Option<KeyKind>, Faults> {
    let mut fields = Fields::default();
    let Some(algorithm) = algorithm else {
        if bits.is_some() {
            fields.refuse("bits", "goes only with algorithm");
        }
        return fields.finish(Some(None));
    };
    let parsed = Algorithm::parse(algorithm).ok_or("must be RS256 or ES256");
    let algorithm = fields.parse("algorithm", parsed);
    let kind = algorithm.and_then(|algorithm| fields.parse("bits", KeyKind::new(algorithm, bits).map_err(|_| SIZES)));
    fields.finish(kind.map(Some))
}

const SIZES: &str = "must be 2048, 3072 or 4096 for RS256 and 256 for ES256";

/// What was done, or where `done` is absent what would be, with the keys as they stand.
async fn operation(
    keys: &KeyAdministration,
    done: Option<KeysChanged>,
    outage: Option<Outage>,
) -> Result<KeyOperation, ProblemAnswer> {
    let stand = keys.list().await?.keys;
    let Some(done) = done else {
        let keys = stand.iter().map(shown).collect();
        return Ok(KeyOperation { outage: outage.map(until), ..empty(keys) });
    };
    let mut accepted: Vec<_> = stand.iter().filter_map(retired).collect();
    let mut aftermath = None;
    if let Some(until) = done.accepted_until.filter(|_| !done.distrusted.is_empty()) {
        let distrusted = done.distrusted.iter();
        accepted.extend(distrusted.map(|kid| AcceptedKey {
            kid: kid.to_string(),
            tokens_until: until,
            published_until: None,
        }));
        aftermath = Some(after(keys.aftermath(&done.distrusted, until).await?, &done.unconfirmed));
    }
    Ok(KeyOperation {
        done: true,
        signing_kid: done.signs.map(|kid| kid.to_string()),
        outage: done.outage.map(until),
        accepted,
        aftermath,
        ..empty(stand.iter().map(shown).collect())
    })
}

const fn empty(keys: Vec<SigningKey>) -> KeyOperation {
    KeyOperation { done: false, signing_kid: None, outage: None, accepted: Vec::new(), aftermath: None, keys }
}

const fn until(outage: Outage) -> KeyOutage {
    KeyOutage { until: outage.until, surely_until: outage.surely_until }
}

/// A key whose last tokens live on.
fn retired(KeyAt { key, state }: &KeyAt) -> Option<AcceptedKey> {
    let last = key.times.sign_until.filter(|_| *state == KeyState::Retired)?;
    Some(AcceptedKey {
        kid: key.kid.to_string(),
        tokens_until: last + time::Duration::seconds(i64::from(LIFETIME_MAX + STS_TOLERANCE)),
        published_until: key.times.publish_until,
    })
}

fn after(after: admin::Aftermath, unconfirmed: &[Replica]) -> Aftermath {
    let role = |role: admin::RoleAftermath| RoleAftermath {
        role_arn: role.role.to_string(),
        teams: role.teams.iter().map(ToString::to_string).collect(),
        deny_policy: serde_json::to_value(&role.deny).unwrap_or_default(),
        deny_command: role.deny_command,
        undo_command: role.undo_command,
        cloudtrail_command: role.cloudtrail_command,
        athena_query: role.athena_query,
    };
    Aftermath {
        tokens_until: after.tokens_until,
        sessions_until: after.sessions_until,
        unconfirmed_replicas: replicas(unconfirmed),
        roles: after.roles.into_iter().map(role).collect(),
    }
}

fn replicas(unconfirmed: &[Replica]) -> Vec<String> {
    unconfirmed.iter().map(|replica| replica.id.to_string()).collect()
}

fn shown(KeyAt { key, state }: &KeyAt) -> SigningKey {
    let times = &key.times;
    SigningKey {
        kid: key.kid.to_string(),
        algorithm: key.kind.algorithm().to_string(),
        bits: key.kind.bits(),
        state: state.as_str().to_owned(),
        publish_from: times.publish_from,
        sign_from: times.sign_from,
        sign_until: times.sign_until,
        publish_until: times.publish_until,
        revoked_at: times.revoked_at,
        seen_from: times.seen_from,
    }
}
