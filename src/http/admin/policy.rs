//! `/v1/teams/{team}/policy`.

use std::collections::BTreeMap;
use std::fmt::Display;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{OfChange, OfRead};
use super::capability::OfTeam;
use crate::domain::address_range::AddressRange;
use crate::domain::authority::{TeamAdmin, TeamReader};
use crate::domain::id::UpstreamUid;
use crate::domain::lifetime::Lifetime;
use crate::domain::session_tag::{TagKey, TagValue};
use crate::domain::team::{
    ADDRESS_RANGES_MAX, MintingIssuer, OWN_TAGS_MAX, PeopleMint, RolesClaim, Team, TeamPolicy, UPSTREAM_PROVIDERS_MAX,
};
use crate::domain::upstream::{EmailDomain, Group, JOINS_MAX, JoinBy, Joining};
use crate::http::error::ProblemAnswer;
use crate::http::extract::Json as Body;
use crate::http::resource::fields::{Faults, Fields};
use crate::http::resource::version::{IfMatch, IfMatchHeader, Versioned};
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
async fn read(OfTeam(admin, team): OfTeam<TeamReader>) -> Result<Versioned<Policy>, ProblemAnswer> {
    Ok(shown(&admin.team(&team).await?))
}

/// Changes what the team allows. `null` goes back to what a new team has.
#[utoipa::path(patch, path = "/v1/teams/{team}/policy", operation_id = "change_policy", tag = "Team rules",
    params(("team" = String, Path, description = "The team's uid"), IfMatchHeader),
    request_body = wire::ChangePolicy,
    responses((status = 200, description = "The policy", body = Policy, headers(("ETag" = String))), OfChange))]
async fn change(
    OfTeam(admin, team): OfTeam<TeamAdmin>,
    IfMatch(expected): IfMatch,
    Body(body): Body<wire::ChangePolicy>,
) -> Result<Versioned<Policy>, ProblemAnswer> {
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
    let (codes, amr) = (Some(body.enrolment_codes), Some(body.amr_claim));
    let providers = list(&mut fields, "upstream_providers", UPSTREAM_PROVIDERS_MAX, body.upstream_providers, |uid| {
        UpstreamUid::parse(&uid)
    });
    if let Some(Patch::Set(providers)) = &providers {
        refuse_repeats(&mut fields, "upstream_providers", providers);
    }
    let joining = body.joins.try_map(|rules| joins(&mut fields, rules).ok_or(())).ok();
    if let Some(Patch::Set(rules)) = &joining {
        refuse_repeats(&mut fields, "joins", rules);
    }
    let people = fields.patch("people_mint", body.people_mint, |word| {
        PeopleMint::parse(&word).ok_or("must be anywhere or in_runs_only")
    });
    let keys = list(&mut fields, "session_tag_keys", OWN_TAGS_MAX, body.session_tag_keys, |key| TagKey::parse(&key));
    if let Some(Patch::Set(keys)) = &keys {
        refuse_repeats(&mut fields, "session_tag_keys", keys);
    }
    let tags = cost_tags(&mut fields, body.cost_tags);
    let ranges = list(&mut fields, "address_ranges", ADDRESS_RANGES_MAX, body.address_ranges, |range| {
        AddressRange::parse(&range)
    });
    if let Some(Patch::Set(ranges)) = &ranges {
        refuse_repeats(&mut fields, "address_ranges", ranges);
    }
    let (cap, claim, codes, providers, amr, joining, issuer, people, keys, tags, ranges) = fields.finish((|| {
        Some((cap?, claim?, codes?, providers?, amr?, joining?, issuer?, people?, keys?, tags?, ranges?))
    })())?;
    Ok(move |policy: &mut TeamPolicy| {
        let new = TeamPolicy::new_team();
        set(&mut policy.lifetime_cap, &cap, new.lifetime_cap);
        set(&mut policy.roles_claim, &claim, new.roles_claim);
        set(&mut policy.enrolment_codes, &codes, new.enrolment_codes);
        set(&mut policy.upstream_providers, &providers, new.upstream_providers);
        set(&mut policy.amr_claim, &amr, new.amr_claim);
        set(&mut policy.joins, &joining, new.joins);
        set(&mut policy.issuer, &issuer, new.issuer);
        set(&mut policy.people_mint, &people, new.people_mint);
        set(&mut policy.session_tag_keys, &keys, new.session_tag_keys);
        set(&mut policy.cost_tags, &tags, new.cost_tags);
        set(&mut policy.address_ranges, &ranges, new.address_ranges);
    })
}

fn joins(fields: &mut Fields, list: Vec<wire::Joining>) -> Option<Vec<Joining>> {
    fields.list("joins", JOINS_MAX, list, |fields, at, rule| {
        let provider = fields.parse(format!("{at}.provider_uid"), UpstreamUid::parse(&rule.provider_uid));
        let by = match (rule.email_domain, rule.group) {
            (Some(domain), None) => {
                fields.parse(format!("{at}.email_domain"), EmailDomain::parse(&domain)).map(JoinBy::EmailDomain)
            }
            (None, Some(group)) => fields.parse(format!("{at}.group"), Group::parse(&group)).map(JoinBy::Group),
            (None, None) | (Some(_), Some(_)) => {
                fields.refuse(at, "must hold exactly one of email_domain and group");
                None
            }
        };
        Some(Joining { provider: provider?, by: by? })
    })
}

fn shown_joining(rule: &Joining) -> wire::Joining {
    let (email_domain, group) = match &rule.by {
        JoinBy::EmailDomain(domain) => (Some(domain.to_string()), None),
        JoinBy::Group(group) => (None, Some(group.as_str().to_owned())),
    };
    wire::Joining { provider_uid: rule.provider.to_string(), email_domain, group }
}

fn list<T, E: Display>(
    fields: &mut Fields,
    field: &str,
    max: usize,
    patch: Patch<Vec<String>>,
    parse: impl Fn(String) -> Result<T, E>,
) -> Option<Patch<Vec<T>>> {
    let entry = |fields: &mut Fields, at: &str, text: String| fields.parse(at, parse(text));
    patch.try_map(|entries| fields.list(field, max, entries, entry).ok_or(())).ok()
}

fn refuse_repeats<T: PartialEq>(fields: &mut Fields, field: &str, entries: &[T]) {
    for (at, entry) in entries.iter().enumerate() {
        if entries[..at].contains(entry) {
            fields.refuse(format!("{field}.{at}"), "must stand only once");
        }
    }
}

fn cost_tags(fields: &mut Fields, patch: Patch<BTreeMap<String, String>>) -> Option<Patch<BTreeMap<TagKey, TagValue>>> {
    let mut tags = BTreeMap::new();
    let mut read = |fields: &mut Fields, given: BTreeMap<String, String>| {
        for (key, value) in given {
            // A key that is no key is not repeated: it may be anything.
            let key =
                fields.parse("cost_tags", TagKey::parse(&key).map_err(|rule| format!("has a key that {rule}")))?;
            let value = fields.parse(format!("cost_tags.{key}"), TagValue::parse(&value))?;
            if tags.contains_key(&key) {
                fields.refuse(format!("cost_tags.{key}"), "must stand only once, in whatever case");
            }
            tags.insert(key, value);
        }
        if tags.len() > OWN_TAGS_MAX {
            fields.refuse("cost_tags", format_args!("must have at most {OWN_TAGS_MAX} entries"));
        }
        Some(std::mem::take(&mut tags))
    };
    patch.try_map(|given| read(fields, given).ok_or(())).ok()
}

fn set<T: Clone>(value: &mut T, patch: &Patch<T>, default: T) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *value = default,
        Patch::Set(new) => value.clone_from(new),
    }
}

fn shown(team: &Team) -> Versioned<Policy> {
    let rules = &team.policy;
    let policy = Policy {
        lifetime_cap_seconds: rules.lifetime_cap.seconds(),
        roles_claim: match rules.roles_claim {
            RolesClaim::Required => "required",
            RolesClaim::Off => "off",
        }
        .to_owned(),
        enrolment_codes: rules.enrolment_codes,
        upstream_providers: rules.upstream_providers.iter().map(ToString::to_string).collect(),
        amr_claim: rules.amr_claim,
        joins: rules.joins.iter().map(shown_joining).collect(),
        issuer: rules.issuer.as_str().to_owned(),
        session_tag_keys: rules.session_tag_keys.iter().map(ToString::to_string).collect(),
        cost_tags: rules.cost_tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        address_ranges: rules.address_ranges.iter().map(ToString::to_string).collect(),
        people_mint: rules.people_mint.as_str().to_owned(),
        version: team.version,
    };
    Versioned(policy, team.version)
}
