//! A team's policy as its column holds it: our own JSON, read back strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::domain::address_range::AddressRange;
use crate::domain::audience::Audience;
use crate::domain::id::UpstreamUid;
use crate::domain::lifetime::Lifetime;
use crate::domain::principal::{ActorType, Principal};
use crate::domain::role_arn::RoleArn;
use crate::domain::session_tag::{TagKey, TagValue};
use crate::domain::team::{AudienceRule, MintingIssuer, PeopleMint, RoleRule, RolesClaim, TeamPolicy, WhoMay};
use crate::domain::upstream::{EmailDomain, Group, JoinBy, Joining};

const CORRUPT: StoreError = StoreError::Corrupt("policy");

/// Members that came later are absent where a team does not use them: a version that does not know them then still
/// reads the policy, and refuses one whose rules it could not keep.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the document")]
struct PolicyJson {
    audiences: Vec<AudienceJson>,
    roles: Vec<RoleJson>,
    lifetime_cap: u32,
    roles_claim: bool,
    enrolment_codes: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    session_tag_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cost_tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    address_ranges: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    people_mint: Option<String>,
    /// Absent while the shared issuer mints. A version that knows only that one cannot read a policy with it, and so
    /// mints nothing for the team, instead of minting under the wrong issuer.
    #[serde(default, skip_serializing_if = "is_off")]
    private_issuer: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    upstream_providers: Vec<String>,
    #[serde(default, skip_serializing_if = "is_off")]
    amr_claim: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    joins: Vec<JoiningJson>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_off(flag: &bool) -> bool {
    !*flag
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AudienceJson {
    audience: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime_cap: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleJson {
    role: String,
    who: WhoJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhoJson {
    Everyone,
    Actor(String),
    These(Vec<String>),
}

/// `Store::admit` looks for `"provider":"<uid>"` in the text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JoiningJson {
    provider: String,
    by: JoinByJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JoinByJson {
    EmailDomain(String),
    Group(String),
}

pub(super) fn write(policy: &TeamPolicy) -> Result<String, StoreError> {
    let json = PolicyJson {
        audiences: policy.audiences.iter().map(write_audience).collect(),
        roles: policy.roles.iter().map(write_role).collect(),
        lifetime_cap: policy.lifetime_cap.seconds(),
        roles_claim: policy.roles_claim == RolesClaim::Required,
        enrolment_codes: policy.enrolment_codes,
        session_tag_keys: policy.session_tag_keys.iter().map(ToString::to_string).collect(),
        cost_tags: policy.cost_tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        address_ranges: policy.address_ranges.iter().map(ToString::to_string).collect(),
        people_mint: (policy.people_mint != PeopleMint::Anywhere).then(|| policy.people_mint.as_str().to_owned()),
        private_issuer: policy.issuer == MintingIssuer::Private,
        upstream_providers: policy.upstream_providers.iter().map(ToString::to_string).collect(),
        amr_claim: policy.amr_claim,
        joins: policy.joins.iter().map(write_joining).collect(),
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

fn write_joining(rule: &Joining) -> JoiningJson {
    let by = match &rule.by {
        JoinBy::EmailDomain(domain) => JoinByJson::EmailDomain(domain.to_string()),
        JoinBy::Group(group) => JoinByJson::Group(group.as_str().to_owned()),
    };
    JoiningJson { provider: rule.provider.to_string(), by }
}

fn write_audience(rule: &AudienceRule) -> AudienceJson {
    AudienceJson { audience: rule.audience.to_string(), lifetime_cap: rule.lifetime_cap.map(Lifetime::seconds) }
}

fn write_role(rule: &RoleRule) -> RoleJson {
    let who = match &rule.principals {
        WhoMay::Everyone => WhoJson::Everyone,
        WhoMay::Actor(actor) => WhoJson::Actor(actor.to_string()),
        WhoMay::These(list) => WhoJson::These(list.iter().map(ToString::to_string).collect()),
    };
    RoleJson { role: rule.role.as_str().to_owned(), who }
}

pub(super) fn read(text: &str) -> Result<TeamPolicy, StoreError> {
    let json: PolicyJson = serde_json::from_str(text).map_err(|_| CORRUPT)?;
    Ok(TeamPolicy {
        audiences: json.audiences.iter().map(read_audience).collect::<Option<_>>().ok_or(CORRUPT)?,
        roles: json.roles.iter().map(read_role).collect::<Option<_>>().ok_or(CORRUPT)?,
        lifetime_cap: Lifetime::new(json.lifetime_cap).map_err(|_| CORRUPT)?,
        roles_claim: if json.roles_claim { RolesClaim::Required } else { RolesClaim::Off },
        enrolment_codes: json.enrolment_codes,
        session_tag_keys: parsed(&json.session_tag_keys, |key| TagKey::parse(key).ok())?,
        cost_tags: parsed(&json.cost_tags, |(key, value)| {
            Some((TagKey::parse(key).ok()?, TagValue::parse(value).ok()?))
        })?
        .into_iter()
        .collect(),
        address_ranges: parsed(&json.address_ranges, |range| AddressRange::parse(range).ok())?,
        people_mint: json
            .people_mint
            .as_deref()
            .map_or(Some(PeopleMint::Anywhere), PeopleMint::parse)
            .ok_or(CORRUPT)?,
        issuer: if json.private_issuer { MintingIssuer::Private } else { MintingIssuer::Shared },
        upstream_providers: parsed(&json.upstream_providers, |uid| UpstreamUid::parse(uid).ok())?,
        amr_claim: json.amr_claim,
        joins: parsed(&json.joins, read_joining)?,
    })
}

fn parsed<I: IntoIterator, T>(items: I, parse: impl Fn(I::Item) -> Option<T>) -> Result<Vec<T>, StoreError> {
    items.into_iter().map(parse).collect::<Option<_>>().ok_or(CORRUPT)
}

fn read_joining(json: &JoiningJson) -> Option<Joining> {
    let by = match &json.by {
        JoinByJson::EmailDomain(domain) => JoinBy::EmailDomain(EmailDomain::parse(domain).ok()?),
        JoinByJson::Group(group) => JoinBy::Group(Group::parse(group).ok()?),
    };
    Some(Joining { provider: UpstreamUid::parse(&json.provider).ok()?, by })
}

fn read_audience(json: &AudienceJson) -> Option<AudienceRule> {
    let lifetime_cap = json.lifetime_cap.map(Lifetime::new).transpose().ok()?;
    Some(AudienceRule { audience: Audience::parse(&json.audience).ok()?, lifetime_cap })
}

fn read_role(json: &RoleJson) -> Option<RoleRule> {
    let principals = match &json.who {
        WhoJson::Everyone => WhoMay::Everyone,
        WhoJson::Actor(actor) => WhoMay::Actor(ActorType::parse(actor)?),
        WhoJson::These(list) => {
            WhoMay::These(list.iter().map(|text| Principal::parse(text).ok()).collect::<Option<_>>()?)
        }
    };
    Some(RoleRule { role: RoleArn::parse(&json.role).ok()?, principals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_as_it_went() {
        let role = |name: &str| RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{name}")).unwrap();
        let policy = TeamPolicy {
            audiences: vec![
                AudienceRule { audience: Audience::sts(), lifetime_cap: None },
                AudienceRule { audience: Audience::parse("x").unwrap(), lifetime_cap: Lifetime::new(60).ok() },
            ],
            roles: vec![
                RoleRule { role: role("a"), principals: WhoMay::Everyone },
                RoleRule { role: role("b"), principals: WhoMay::Actor(ActorType::User) },
                RoleRule {
                    role: role("c"),
                    principals: WhoMay::These(vec![Principal::parse("service_account:a1").unwrap()]),
                },
            ],
            lifetime_cap: Lifetime::new(900).unwrap(),
            roles_claim: RolesClaim::Off,
            enrolment_codes: false,
            session_tag_keys: vec![TagKey::parse("project").unwrap()],
            cost_tags: [(TagKey::parse("CostCenter").unwrap(), TagValue::parse("").unwrap())].into(),
            address_ranges: vec![AddressRange::parse("10.0.0.0/8").unwrap()],
            people_mint: PeopleMint::InRunsOnly,
            issuer: MintingIssuer::Private,
            upstream_providers: vec![UpstreamUid::parse("okta").unwrap()],
            amr_claim: true,
            joins: vec![
                Joining {
                    provider: UpstreamUid::parse("okta").unwrap(),
                    by: JoinBy::EmailDomain(EmailDomain::parse("acme.example").unwrap()),
                },
                Joining {
                    provider: UpstreamUid::parse("okta").unwrap(),
                    by: JoinBy::Group(Group::parse("eng \" x").unwrap()),
                },
            ],
        };
        for policy in [policy, TeamPolicy::new_team()] {
            assert_eq!(read(&write(&policy).unwrap()), Ok(policy));
        }
    }

    #[test]
    fn a_policy_without_later_members_is_written_as_the_first_version_wrote_it() {
        let first = r#"{"audiences":[{"audience":"sts.amazonaws.com"}],"roles":[],"lifetime_cap":3600,"roles_claim":true,"enrolment_codes":true}"#;
        assert_eq!(write(&TeamPolicy::new_team()).unwrap(), first);
        assert_eq!(read(first), Ok(TeamPolicy::new_team()));
        let end = first.len() - 1;
        for later in [
            r#""people_mint":"never""#,
            r#""session_tag_keys":["brevet:team"]"#,
            r#""cost_tags":{"AWS:x":""}"#,
            r#""address_ranges":["10.0.0.1/8"]"#,
            r#""upstream_providers":["a/b"]"#,
            r#""joins":[{"provider":"okta","by":{"email_domain":"ACME.example"}}]"#,
            r#""joins":[{"provider":"okta","by":{"name":"x"}}]"#,
            r#""something":1"#,
        ] {
            assert_eq!(read(&format!("{},{later}}}", &first[..end])), Err(CORRUPT), "{later}");
        }
    }

    #[test]
    fn the_shared_issuer_is_not_written_so_that_older_versions_read_on() {
        let written = write(&TeamPolicy::new_team()).unwrap();
        assert!(!written.contains("issuer"), "{written}");
    }

    #[test]
    fn what_is_no_policy_is_corrupt_and_never_a_wider_one() {
        let good = write(&TeamPolicy::new_team()).unwrap();
        for bad in
            ["", "{}", "null", &good.replace("3600", "3601"), &good.replace("\"roles\"", "\"rules\""), &good[1..]]
        {
            assert_eq!(read(bad), Err(CORRUPT), "{bad}");
        }
    }
}
