//! `/v1/teams/{team}/audiences`.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfRead};
use super::capability::OfTeam;
use crate::domain::audience::Audience;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::lifetime::Lifetime;
use crate::domain::team::{AUDIENCES_MAX, AudienceRule, Team};
use crate::http::error::ProblemAnswer;
use crate::http::extract::Json as Body;
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::wire::admin::audience as wire;
use crate::wire::admin::audience::Audiences;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read, set))
}

/// Shows for whom the team's principals may mint.
#[utoipa::path(get, path = "/v1/teams/{team}/audiences", operation_id = "read_audiences", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "The list", body = Audiences, headers(("ETag" = String))), OfRead))]
async fn read(OfTeam(admin, team): OfTeam<TeamReader>) -> Result<Versioned<Audiences>, ProblemAnswer> {
    Ok(shown(&admin.team(&team).await?))
}

/// Sets for whom the team's principals may mint. The issuer's own URL and workers' audiences are refused.
#[utoipa::path(put, path = "/v1/teams/{team}/audiences", operation_id = "set_audiences", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = wire::SetAudiences,
    responses((status = 200, description = "The list", body = Audiences, headers(("ETag" = String))), OfChange))]
async fn set(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::SetAudiences>,
) -> Result<Versioned<Audiences>, ProblemAnswer> {
    let audiences = asked(body).map_err(ProblemAnswer::fields)?;
    let edit = |policy: &mut crate::domain::team::TeamPolicy| policy.audiences.clone_from(&audiences);
    Ok(shown(&admin.change_policy(&team, expected, edit).await?))
}

fn asked(body: wire::SetAudiences) -> Result<Vec<AudienceRule>, Faults> {
    let mut fields = Fields::default();
    if body.items.is_empty() {
        fields.refuse("items", "must have at least one entry");
    }
    let rules = fields.list("items", AUDIENCES_MAX, body.items, |fields, at, rule| {
        let audience = fields.parse(format!("{at}.audience"), Audience::parse(&rule.audience));
        let cap = fields.optional(&format!("{at}.lifetime_cap_seconds"), rule.lifetime_cap_seconds, Lifetime::new);
        Some(AudienceRule { audience: audience?, lifetime_cap: cap? })
    });
    if let Some(rules) = &rules {
        for (at, rule) in rules.iter().enumerate() {
            if rules[..at].iter().any(|other| other.audience == rule.audience) {
                fields.refuse(format!("items.{at}.audience"), "must stand only once");
            }
        }
    }
    fields.finish(rules)
}

fn shown(team: &Team) -> Versioned<Audiences> {
    let rule = |rule: &AudienceRule| wire::AudienceRule {
        audience: rule.audience.to_string(),
        lifetime_cap_seconds: rule.lifetime_cap.map(Lifetime::seconds),
    };
    let items = team.policy.audiences.iter().map(rule).collect();
    Versioned(Audiences { items, version: team.version }, team.version)
}
