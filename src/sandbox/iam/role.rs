//! Roles as IAM keeps them.

use std::collections::BTreeMap;

use super::date;
use super::provider::tag_list;
use crate::domain::role_arn::RoleArn;
use crate::iam::document::{Document, Kind};
use crate::sandbox::account::{Role, State};
use crate::sandbox::error::AwsError;
use crate::sandbox::identifier::unique_id;
use crate::sandbox::parts::Sandbox;
use crate::sandbox::query::Query;
use crate::sandbox::xml::Element;

/// Characters of a trust policy, white space apart (IAM's default quota).
const TRUST_POLICY_MAX: usize = 2048;
/// Characters of all inline policies of a role, white space apart.
const ROLE_POLICIES_MAX: usize = 10240;

/// What a new role brings, by call or from the configuration.
pub(in crate::sandbox) struct NewRole<'a> {
    pub(in crate::sandbox) account: &'a str,
    pub(in crate::sandbox) name: &'a str,
    pub(in crate::sandbox) path: &'a str,
    pub(in crate::sandbox) trust: &'a str,
    pub(in crate::sandbox) max_session_seconds: i64,
    pub(in crate::sandbox) tags: Vec<(String, String)>,
}

impl NewRole<'_> {
    /// Checks the rules and keeps the role; its ARN.
    pub(in crate::sandbox) fn register(self, sandbox: &Sandbox, state: &mut State) -> Result<String, AwsError> {
        let arn = format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name);
        if RoleArn::parse(&arn).is_err() || !self.path.starts_with('/') || !self.path.ends_with('/') {
            let rule = "Member must satisfy regular expression pattern: [\\w+=,.@-]+";
            return Err(AwsError::constraint(self.name, "roleName", rule));
        }
        if state.role_named(self.account, self.name).is_some() {
            let message = format!("Role with name {} already exists.", self.name);
            return Err(AwsError::new(409, "EntityAlreadyExists", message));
        }
        let role = Role {
            id: unique_id("AROA", &*sandbox.entropy),
            name: self.name.to_owned(),
            path: self.path.to_owned(),
            trust: trust_policy(self.trust)?,
            policies: BTreeMap::new(),
            max_session_seconds: max_session(self.max_session_seconds)?,
            tags: self.tags.into_iter().collect(),
            created_at: sandbox.clock.now(),
            arn: arn.clone(),
        };
        state.roles.insert(arn.clone(), role);
        Ok(arn)
    }
}

/// Attaches an inline permission policy.
pub(in crate::sandbox) fn attach(role: &mut Role, name: &str, text: &str) -> Result<(), AwsError> {
    let document =
        Document::parse(text, Kind::Permission).map_err(|error| AwsError::malformed_policy(error.to_string()))?;
    let others = role.policies.iter().filter(|(known, _)| *known != name).map(|(_, policy)| size(&policy.to_json()));
    if others.sum::<usize>() + size(text) > ROLE_POLICIES_MAX {
        let message = format!("Maximum policy size of {ROLE_POLICIES_MAX} bytes exceeded for role {}", role.name);
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    role.policies.insert(name.to_owned(), document);
    Ok(())
}

fn size(policy: &str) -> usize {
    policy.chars().filter(|c| !c.is_whitespace()).count()
}

fn trust_policy(text: &str) -> Result<Document, AwsError> {
    if size(text) > TRUST_POLICY_MAX {
        let message = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_MAX}");
        return Err(AwsError::new(409, "LimitExceeded", message));
    }
    Document::parse(text, Kind::Trust).map_err(|error| AwsError::malformed_policy(error.to_string()))
}

fn max_session(seconds: i64) -> Result<i64, AwsError> {
    let rule = match seconds {
        3600..=43200 => return Ok(seconds),
        ..3600 => "Member must have value greater than or equal to 3600",
        43201.. => "Member must have value less than or equal to 43200",
    };
    Err(AwsError::constraint(&seconds.to_string(), "maxSessionDuration", rule))
}

pub(super) fn create(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let role = NewRole {
        account: &sandbox.account_id,
        name: query.required("RoleName", 1, 64)?,
        path: query.optional("Path", 1, 512)?.unwrap_or("/"),
        trust: query.required("AssumeRolePolicyDocument", 1, 131_072)?,
        max_session_seconds: query.number("MaxSessionDuration", 3600, 43200)?.unwrap_or(3600),
        tags: query.tags("Tags"),
    };
    let arn = role.register(sandbox, state)?;
    Ok(Element::new("CreateRoleResult").children(state.roles.get(&arn).map(describe)))
}

pub(super) fn get(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    Ok(Element::new("GetRoleResult").child(describe(find(sandbox, state, query)?)))
}

pub(super) fn list(state: &State) -> Element {
    let members = state.roles.values().map(|role| fields(Element::new("member"), role));
    Element::new("ListRolesResult").child(Element::new("Roles").children(members)).text("IsTruncated", "false")
}

pub(super) fn update(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let seconds = query.number("MaxSessionDuration", 3600, 43200)?;
    let role = find(sandbox, state, query)?;
    role.max_session_seconds = seconds.unwrap_or(role.max_session_seconds);
    Ok(Element::new("UpdateRoleResult"))
}

pub(super) fn update_trust(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<(), AwsError> {
    let trust = query.required("PolicyDocument", 1, 131_072)?;
    let role = find(sandbox, state, query)?;
    role.trust = trust_policy(trust)?;
    Ok(())
}

pub(super) fn delete(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<(), AwsError> {
    let role = find(sandbox, state, query)?;
    if !role.policies.is_empty() {
        return Err(AwsError::new(409, "DeleteConflict", "Cannot delete entity, must delete policies first."));
    }
    let arn = role.arn.clone();
    state.roles.remove(&arn);
    Ok(())
}

pub(super) fn put_policy(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<(), AwsError> {
    let (name, text) = (query.required("PolicyName", 1, 128)?, query.required("PolicyDocument", 1, 131_072)?);
    attach(find(sandbox, state, query)?, name, text)
}

pub(super) fn get_policy(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let name = query.required("PolicyName", 1, 128)?;
    let role = find(sandbox, state, query)?;
    let policy = role.policies.get(name).ok_or_else(|| no_policy(name))?;
    Ok(Element::new("GetRolePolicyResult")
        .text("RoleName", &role.name)
        .text("PolicyName", name)
        .text("PolicyDocument", encoded(policy)))
}

pub(super) fn list_policies(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let role = find(sandbox, state, query)?;
    let names = role.policies.keys().fold(Element::new("PolicyNames"), |list, name| list.text("member", name));
    Ok(Element::new("ListRolePoliciesResult").child(names).text("IsTruncated", "false"))
}

pub(super) fn delete_policy(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<(), AwsError> {
    let name = query.required("PolicyName", 1, 128)?;
    find(sandbox, state, query)?.policies.remove(name).map(|_| ()).ok_or_else(|| no_policy(name))
}

fn no_policy(name: &str) -> AwsError {
    AwsError::new(404, "NoSuchEntity", format!("The role policy with name {name} cannot be found."))
}

fn find<'s>(sandbox: &Sandbox, state: &'s mut State, query: &Query) -> Result<&'s mut Role, AwsError> {
    let name = query.required("RoleName", 1, 64)?;
    state
        .roles
        .values_mut()
        .find(|role| role.account() == sandbox.account_id && role.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| AwsError::new(404, "NoSuchEntity", format!("The role with name {name} cannot be found.")))
}

fn describe(role: &Role) -> Element {
    fields(Element::new("Role"), role)
}

fn fields(element: Element, role: &Role) -> Element {
    let tags: Vec<_> = role.tags.clone().into_iter().collect();
    element
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", &role.arn)
        .text("CreateDate", date(role.created_at))
        .text("AssumeRolePolicyDocument", encoded(&role.trust))
        .text("MaxSessionDuration", role.max_session_seconds.to_string())
        .child(tag_list("Tags", &tags))
}

/// IAM answers policies URL-encoded (RFC 3986).
fn encoded(document: &Document) -> String {
    percent_encoding::utf8_percent_encode(&document.to_json(), percent_encoding::NON_ALPHANUMERIC).to_string()
}
