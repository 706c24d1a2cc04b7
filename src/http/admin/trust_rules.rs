//! `/v1/teams/{team}/service-accounts/{uid}/trust-rules`.

use axum::Json;
use http::StatusCode;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfCreate, OfDelete, OfList, OfRead};
use super::capability::OfTeam;
use super::names;
use crate::domain::audience::Audience;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::claim_condition::{ClaimPath, Condition, ConditionError, Expected, Pattern};
use crate::domain::label;
use crate::domain::trust::{self, CONDITIONS_MAX, KeySource};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::resource::create::{Create, Created, IdempotencyHeader};
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::page::{self, PageOf, PageQuery};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::issuer::admin as issuer;
use crate::wire::admin::page::Page;
use crate::wire::admin::trust_rule::{ChangeTrustRule, ClaimCondition, ClaimValue, CreateTrustRule, Reuse, TrustRule};
use crate::wire::patch::Patch;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change, delete))
}

/// Lists an agent's trust rules.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}/trust-rules", operation_id = "list_trust_rules",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), PageQuery),
    responses((status = 200, description = "A page of trust rules", body = Page<TrustRule>), OfList))]
async fn list(
    OfTeam(admin, team): OfTeam<TeamReader>,
    Segments((_, uid)): Segments<(String, String)>,
    PageOf(page): PageOf,
) -> Result<Json<Page<TrustRule>>, ProblemAnswer> {
    let rules = admin.trust_rules(&team, &names::uid(&uid)?, &page).await?;
    Ok(Json(page::answer(rules, shown)))
}

/// Lets tokens of a foreign issuer stand for an agent.
#[utoipa::path(post, path = "/v1/teams/{team}/service-accounts/{uid}/trust-rules", operation_id = "create_trust_rule",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), IdempotencyHeader),
    request_body = CreateTrustRule,
    responses((status = 201, description = "The trust rule", body = TrustRule, headers(("Location" = String), ("ETag" = String))), OfCreate))]
async fn create(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    Segments((_, uid)): Segments<(String, String)>,
    request: Create<CreateTrustRule>,
) -> Result<Created<TrustRule>, ProblemAnswer> {
    let uid = names::uid(&uid)?;
    let new = new(request.body).map_err(ProblemAnswer::fields)?;
    let made = shown(admin.create_trust_rule(&team, &uid, new, request.repeatable).await?);
    Ok(Created::below(&request.at, &made.id.clone(), Some(made.version), made))
}

/// Shows a trust rule.
#[utoipa::path(get, path = "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", operation_id = "read_trust_rule",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The trust rule", body = TrustRule, headers(("ETag" = String))), OfRead))]
async fn read(
    OfTeam(admin, team): OfTeam<TeamReader>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
) -> Result<Versioned<TrustRule>, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "trust rule")?);
    let rule = shown(admin.trust_rule(&team, &uid, id).await?);
    Ok(Versioned(rule.clone(), rule.version))
}

/// Changes, disables or enables a trust rule. What was got under it mints nothing from then on, unless only its name
/// changes.
#[utoipa::path(patch, path = "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}", operation_id = "change_trust_rule",
    tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The rule's id"), IfMatchHeader),
    request_body = ChangeTrustRule,
    responses((status = 200, description = "The trust rule", body = TrustRule, headers(("ETag" = String))), OfChange))]
async fn change(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ChangeTrustRule>,
) -> Result<Versioned<TrustRule>, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "trust rule")?);
    let change = asked(body).map_err(ProblemAnswer::fields)?;
    let rule = shown(admin.change_trust_rule(&team, &uid, id, expected, change).await?);
    Ok(Versioned(rule.clone(), rule.version))
}

/// Deletes a trust rule. When it has returned, nothing that was got under it mints.
#[utoipa::path(delete, path = "/v1/teams/{team}/service-accounts/{uid}/trust-rules/{id}",
    operation_id = "delete_trust_rule", tag = "Service accounts",
    params(("team" = String, Path, description = "The team's uid"), ("uid" = String, Path, description = "The service account's uid"), ("id" = String, Path, description = "The rule's id"), IfMatchHeader),
    responses((status = 204, description = "It is deleted"), OfDelete))]
async fn delete(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    Segments((_, uid, id)): Segments<(String, String, String)>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ProblemAnswer> {
    let (uid, id) = (names::uid(&uid)?, names::handle(&id, "trust rule")?);
    admin.delete_trust_rule(&team, &uid, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The rule that a body asks for, or each of its faults.
pub fn new(body: CreateTrustRule) -> Result<issuer::NewTrustRule, Faults> {
    let mut fields = Fields::default();
    let name = fields.name(&body.name);
    let audience = fields.optional("audience", body.audience, |text| Audience::parse(&text));
    let keys = fields.optional("jwks", body.jwks, keys);
    let conditions = conditions(&mut fields, body.conditions);
    let reuse = body.reuse.map_or(trust::Reuse::Once, bounds);
    let new = || {
        let keys = keys?.unwrap_or(KeySource::Discovery);
        Some(issuer::NewTrustRule {
            name: name?,
            issuer: body.issuer,
            audience: audience?,
            keys,
            conditions: conditions?,
            reuse,
        })
    };
    fields.finish(new())
}

fn asked(body: ChangeTrustRule) -> Result<issuer::ChangeTrustRule, Faults> {
    let mut fields = Fields::default();
    let name = fields.required_patch("name", body.name, |name| label::name(&name));
    let audience = fields.patch("audience", body.audience, |text| Audience::parse(&text));
    let keys = fields.patch("jwks", body.jwks, keys);
    let list = fields.required_patch("conditions", body.conditions, Ok::<_, &str>);
    let conditions = list.and_then(|list| match list {
        None => Some(None),
        Some(list) => conditions(&mut fields, list).map(Some),
    });
    let disabled = fields.required_patch("disabled", body.disabled, Ok::<_, &str>);
    let change = || {
        Some(issuer::ChangeTrustRule {
            name: name?,
            audience: match audience? {
                Patch::Keep => None,
                Patch::Clear => Some(None),
                Patch::Set(audience) => Some(Some(audience)),
            },
            keys: match keys? {
                Patch::Keep => None,
                Patch::Clear => Some(KeySource::Discovery),
                Patch::Set(keys) => Some(keys),
            },
            conditions: conditions?,
            reuse: match body.reuse {
                Patch::Keep => None,
                Patch::Clear => Some(trust::Reuse::Once),
                Patch::Set(reuse) => Some(bounds(reuse)),
            },
            disabled: disabled?,
        })
    };
    fields.finish(change())
}

fn keys(jwks: Value) -> Result<KeySource, &'static str> {
    if jwks.is_object() { Ok(KeySource::Fixed(jwks.to_string())) } else { Err("must be a JWKS, a JSON object") }
}

const fn bounds(Reuse { uses, per_minute }: Reuse) -> trust::Reuse {
    trust::Reuse::Bounded { uses, per_minute }
}

fn conditions(fields: &mut Fields, list: Vec<ClaimCondition>) -> Option<Vec<Condition>> {
    fields.list("conditions", CONDITIONS_MAX, list, |fields, at, condition| {
        let claim = fields.parse(format!("{at}.claim"), ClaimPath::parse(&condition.claim));
        let expected = match (condition.equals, condition.pattern) {
            (Some(value), None) => fields.parse(format!("{at}.equals"), value_of(value)),
            (None, Some(text)) => fields.parse(format!("{at}.pattern"), Pattern::parse(&text).map(Expected::Pattern)),
            (None, None) | (Some(_), Some(_)) => {
                fields.refuse(at, "must hold exactly one of equals and pattern");
                None
            }
        };
        Some(Condition { claim: claim?, expected: expected? })
    })
}

fn value_of(value: ClaimValue) -> Result<Expected, ConditionError> {
    match value {
        ClaimValue::Text(text) => Expected::text(&text),
        ClaimValue::Integer(number) => Ok(Expected::Integer(number)),
        ClaimValue::Flag(flag) => Ok(Expected::Flag(flag)),
    }
}

fn shown(record: trust::TrustRuleRecord) -> TrustRule {
    let rule = &record.rule;
    TrustRule {
        id: record.id.to_string(),
        issuer: rule.issuer().to_string(),
        audience: rule.audience().to_string(),
        jwks: match rule.keys() {
            KeySource::Discovery => None,
            KeySource::Fixed(jwks) => serde_json::from_str(jwks).ok(),
        },
        conditions: rule.conditions().iter().map(shown_condition).collect(),
        reuse: match rule.reuse() {
            trust::Reuse::Once => None,
            trust::Reuse::Bounded { uses, per_minute } => Some(Reuse { uses, per_minute }),
        },
        name: record.name,
        created_at: record.created_at,
        updated_at: record.updated_at,
        last_used_at: record.last_used_at,
        disabled_at: record.disabled_at,
        version: record.version,
    }
}

fn shown_condition(condition: &Condition) -> ClaimCondition {
    let (equals, pattern) = match &condition.expected {
        Expected::Text(text) => (Some(ClaimValue::Text(text.clone())), None),
        Expected::Integer(number) => (Some(ClaimValue::Integer(*number)), None),
        Expected::Flag(flag) => (Some(ClaimValue::Flag(*flag)), None),
        Expected::Pattern(pattern) => (None, Some(pattern.as_str().to_owned())),
    };
    ClaimCondition { claim: condition.claim.as_str().to_owned(), equals, pattern }
}
