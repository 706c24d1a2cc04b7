//! The IAM calls that set the stand-in up: OIDC providers, roles, their policies.
//!
//! Source: IAM API Reference, version 2010-05-08; verdicts and words as recorded from the real service.
//! May import: the stand-in's state and requests; iam (the policy documents).

mod provider;
mod role;

pub(super) use provider::Registration;
pub(super) use role::{NewRole, attach};

use super::account::State;
use super::error::AwsError;
use super::parts::Sandbox;
use super::query::Query;
use super::xml::Element;

pub(super) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// The calls there are, each with the name of its answer.
pub(super) const ANSWERS: &[(&str, &str)] = &[
    ("CreateOpenIDConnectProvider", "CreateOpenIDConnectProviderResponse"),
    ("GetOpenIDConnectProvider", "GetOpenIDConnectProviderResponse"),
    ("ListOpenIDConnectProviders", "ListOpenIDConnectProvidersResponse"),
    ("DeleteOpenIDConnectProvider", "DeleteOpenIDConnectProviderResponse"),
    ("AddClientIDToOpenIDConnectProvider", "AddClientIDToOpenIDConnectProviderResponse"),
    ("RemoveClientIDFromOpenIDConnectProvider", "RemoveClientIDFromOpenIDConnectProviderResponse"),
    ("UpdateOpenIDConnectProviderThumbprint", "UpdateOpenIDConnectProviderThumbprintResponse"),
    ("TagOpenIDConnectProvider", "TagOpenIDConnectProviderResponse"),
    ("UntagOpenIDConnectProvider", "UntagOpenIDConnectProviderResponse"),
    ("ListOpenIDConnectProviderTags", "ListOpenIDConnectProviderTagsResponse"),
    ("CreateRole", "CreateRoleResponse"),
    ("GetRole", "GetRoleResponse"),
    ("ListRoles", "ListRolesResponse"),
    ("UpdateRole", "UpdateRoleResponse"),
    ("UpdateAssumeRolePolicy", "UpdateAssumeRolePolicyResponse"),
    ("DeleteRole", "DeleteRoleResponse"),
    ("PutRolePolicy", "PutRolePolicyResponse"),
    ("GetRolePolicy", "GetRolePolicyResponse"),
    ("ListRolePolicies", "ListRolePoliciesResponse"),
    ("DeleteRolePolicy", "DeleteRolePolicyResponse"),
];

/// One call, by name; `None` for a name that the stand-in does not have. The result element is absent for the calls
/// that answer nothing.
pub(super) fn call(
    action: &str,
    sandbox: &Sandbox,
    state: &mut State,
    query: &Query,
) -> Option<Result<Option<Element>, AwsError>> {
    let answer = match action {
        "CreateOpenIDConnectProvider" => provider::create(sandbox, state, query).map(Some),
        "GetOpenIDConnectProvider" => provider::get(state, query).map(Some),
        "ListOpenIDConnectProviders" => Ok(Some(provider::list(state))),
        "DeleteOpenIDConnectProvider" => provider::delete(state, query).map(|()| None),
        "AddClientIDToOpenIDConnectProvider" => provider::add_client_id(state, query).map(|()| None),
        "RemoveClientIDFromOpenIDConnectProvider" => provider::remove_client_id(state, query).map(|()| None),
        "UpdateOpenIDConnectProviderThumbprint" => provider::update_thumbprints(state, query).map(|()| None),
        "TagOpenIDConnectProvider" => provider::tag(state, query).map(|()| None),
        "UntagOpenIDConnectProvider" => provider::untag(state, query).map(|()| None),
        "ListOpenIDConnectProviderTags" => provider::list_tags(state, query).map(Some),
        "CreateRole" => role::create(sandbox, state, query).map(Some),
        "GetRole" => role::get(sandbox, state, query).map(Some),
        "ListRoles" => Ok(Some(role::list(state))),
        "UpdateRole" => role::update(sandbox, state, query).map(Some),
        "UpdateAssumeRolePolicy" => role::update_trust(sandbox, state, query).map(|()| None),
        "DeleteRole" => role::delete(sandbox, state, query).map(|()| None),
        "PutRolePolicy" => role::put_policy(sandbox, state, query).map(|()| None),
        "GetRolePolicy" => role::get_policy(sandbox, state, query).map(Some),
        "ListRolePolicies" => role::list_policies(sandbox, state, query).map(Some),
        "DeleteRolePolicy" => role::delete_policy(sandbox, state, query).map(|()| None),
        _ => return None,
    };
    Some(answer)
}

fn date(at: time::OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    whole.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
