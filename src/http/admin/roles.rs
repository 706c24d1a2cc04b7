//! `/v1/teams/{team}/roles`.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfRead};
use super::capability::OfTeam;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::principal::{ActorType, Principal};
use crate::domain::role_arn::RoleArn;
use crate::domain::team::{ROLES_MAX, RoleRule, Team, TeamPolicy, WhoMay};
use crate::http::error::ProblemAnswer;
use crate::http::extract::Json as Body;
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
use crate::http::state::IssuerState;
use crate::wire::admin::role as wire;
use crate::wire::admin::role::Roles;

/// The word for all principals of a team.
const EVERYONE: &str = "everyone";
/// Most principals named in one rule.
const PRINCIPALS_MAX: usize = 100;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read, set))
}

/// Shows which roles principals may name when they mint, beside the one in the provider settings.
#[utoipa::path(get, path = "/v1/teams/{team}/roles", operation_id = "read_roles", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "The list", body = Roles, headers(("ETag" = String))), OfRead))]
async fn read(OfTeam(admin, team): OfTeam<TeamReader>) -> Result<Versioned<Roles>, ProblemAnswer> {
    Ok(shown(&admin.team(&team).await?))
}

/// Sets which roles principals may name, and who.
#[utoipa::path(put, path = "/v1/teams/{team}/roles", operation_id = "set_roles", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = wire::SetRoles,
    responses((status = 200, description = "The list", body = Roles, headers(("ETag" = String))), OfChange))]
async fn set(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::SetRoles>,
) -> Result<Versioned<Roles>, ProblemAnswer> {
    let roles = asked(body).map_err(ProblemAnswer::fields)?;
    let edit = |policy: &mut TeamPolicy| policy.roles.clone_from(&roles);
    Ok(shown(&admin.change_policy(&team, expected, edit).await?))
}

fn asked(body: wire::SetRoles) -> Result<Vec<RoleRule>, Faults> {
    let mut fields = Fields::default();
    let rules = fields.list("items", ROLES_MAX, body.items, |fields, at, rule| {
        let role = fields.parse(format!("{at}.role_arn"), RoleArn::parse(&rule.role_arn));
        let principals = who_may(fields, &format!("{at}.principals"), rule.principals);
        Some(RoleRule { role: role?, principals: principals? })
    });
    fields.finish(rules)
}

fn who_may(fields: &mut Fields, at: &str, words: Vec<String>) -> Option<WhoMay> {
    match words.as_slice() {
        [] => {
            fields.refuse(at, "must have at least one entry");
            None
        }
        [word] if word == EVERYONE => Some(WhoMay::Everyone),
        [word] if ActorType::parse(word).is_some() => ActorType::parse(word).map(WhoMay::Actor),
        _ => {
            let one = |fields: &mut Fields, at: &str, word: String| fields.parse(at, Principal::parse(&word));
            fields.list(at, PRINCIPALS_MAX, words, one).map(WhoMay::These)
        }
    }
}

fn shown(team: &Team) -> Versioned<Roles> {
    let rule = |rule: &RoleRule| wire::RoleRule {
        role_arn: rule.role.to_string(),
        principals: match &rule.principals {
            WhoMay::Everyone => vec![EVERYONE.to_owned()],
            WhoMay::Actor(actor) => vec![actor.to_string()],
            WhoMay::These(list) => list.iter().map(ToString::to_string).collect(),
        },
    };
    let items = team.policy.roles.iter().map(rule).collect();
    Versioned(Roles { items, version: team.version }, team.version)
}
