//! `/v1/teams/{team}/policy`.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfRead};
use super::fields::{Faults, Fields};
use super::version::{IfMatch, IfMatchHeader, Versioned};
use super::{Admin, names};
use crate::domain::lifetime::Lifetime;
use crate::domain::team::{MintingIssuer, RolesClaim, Team, TeamPolicy};
use crate::http::error::ProblemAnswer;
use crate::http::extract::{Json as Body, Segments};
use crate::http::state::IssuerState;
use crate::wire::admin::policy as wire;
use crate::wire::admin::policy::Policy;
use crate::wire::patch::Patch;

pub(super) fn router() -> OpenApiRouter<IssuerState> {
    OpenApiRouter::new().routes(routes!(read, change))
}

/// Shows what the team allows.
#[utoipa::path(get, path = "/v1/teams/{team}/policy", operation_id = "read_policy", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid")),
    responses((status = 200, description = "The policy", body = Policy, headers(("ETag" = String))), OfRead))]
async fn read(Admin(admin): Admin, Segments(team): Segments<String>) -> Result<Versioned<Policy>, ProblemAnswer> {
    Ok(shown(&admin.team(&names::uid(&team)?).await?))
}

/// Changes what the team allows. `null` goes back to what a new team has.
#[utoipa::path(patch, path = "/v1/teams/{team}/policy", operation_id = "change_policy", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = wire::ChangePolicy,
    responses((status = 200, description = "The policy", body = Policy, headers(("ETag" = String))), OfChange))]
async fn change(
    Admin(admin): Admin,
    Segments(team): Segments<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangePolicy>,
) -> Result<Versioned<Policy>, ProblemAnswer> {
    let team = names::uid(&team)?;
    let edit = asked(body).map_err(ProblemAnswer::fields)?;
    Ok(shown(&admin.change_policy(&team, expected, edit).await?))
}

fn asked(body: wire::ChangePolicy) -> Result<impl Fn(&mut TeamPolicy) + Send + Sync, Faults> {
    let mut fields = Fields::default();
    let cap = fields.patch("lifetime_cap_seconds", body.lifetime_cap_seconds, Lifetime::new);
    let claim = fields.patch("roles_claim", body.roles_claim, |word| match word.as_str() {
        "required" => Ok(RolesClaim::Required),
        "off" => Ok(RolesClaim::Off),
        _ => Err("must be required or off"),
    });
    let issuer =
        fields.patch("issuer", body.issuer, |word| MintingIssuer::parse(&word).ok_or("must be shared or private"));
    let ((cap, claim), issuer) = fields.finish(cap.zip(claim).zip(issuer))?;
    let codes = body.enrolment_codes;
    Ok(move |policy: &mut TeamPolicy| {
        let new = TeamPolicy::new_team();
        set(&mut policy.lifetime_cap, &cap, new.lifetime_cap);
        set(&mut policy.roles_claim, &claim, new.roles_claim);
        set(&mut policy.enrolment_codes, &codes, new.enrolment_codes);
        set(&mut policy.issuer, &issuer, new.issuer);
    })
}

fn set<T: Copy>(value: &mut T, patch: &Patch<T>, default: T) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *value = default,
        Patch::Set(new) => *value = *new,
    }
}

fn shown(team: &Team) -> Versioned<Policy> {
    let policy = Policy {
        lifetime_cap_seconds: team.policy.lifetime_cap.seconds(),
        roles_claim: match team.policy.roles_claim {
            RolesClaim::Required => "required",
            RolesClaim::Off => "off",
        }
        .to_owned(),
        enrolment_codes: team.policy.enrolment_codes,
        issuer: team.policy.issuer.as_str().to_owned(),
        version: team.version,
    };
    Versioned(policy, team.version)
}
