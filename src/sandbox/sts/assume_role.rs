//! `AssumeRole`: a signed caller takes on a role, with its transitive tags and source identity.

use std::collections::BTreeMap;

use super::grant::{Content, Parameters, describe_session};
use super::{credentials, find_role};
use crate::iam::evaluate::{Caller, Context, Request, Verdict, evaluate};
use crate::sandbox::account::{Role, Session, Tags};
use crate::sandbox::authorize::{add_principal, administrator_arn, permits};
use crate::sandbox::error::AwsError;
use crate::sandbox::parts::{Call, Sandbox};
use crate::sandbox::query::{Query, is_name};
use crate::sandbox::signature::{Signed, Signer};
use crate::sandbox::token::check_tags;
use crate::sandbox::xml::Element;

pub(in crate::sandbox) fn assume_role(
    sandbox: &Sandbox,
    query: &Query,
    signed: &Signed,
    call: &mut Call,
) -> Result<Element, AwsError> {
    let parameters = Parameters::read(query)?;
    call.event.resource = Some(parameters.role_arn.to_string());
    let external_id = query.optional("ExternalId", 2, 1224)?;
    let requested_transitive: Vec<String> = query.list("TransitiveTagKeys").into_iter().map(str::to_owned).collect();
    let requested = check_tags(query.tags("Tags"), &requested_transitive)?;
    let requested_identity = query.optional("SourceIdentity", 2, 64)?.map(str::to_owned);
    if let Some(text) = requested_identity.as_deref().filter(|text| !is_name(text)) {
        let rule = "Member must satisfy regular expression pattern: [\\w+=,.@-]*";
        return Err(AwsError::constraint(text, "sourceIdentity", rule));
    }
    let from = match &signed.signer {
        Signer::Administrator => None,
        Signer::Session(session) => Some(&**session),
    };
    let content = inherit(from, requested.clone(), requested_transitive, requested_identity.clone())?;

    let mut context = call.context.clone();
    add_principal(&mut context, signed, &sandbox.account_id);
    describe_session(&mut context, &content, &parameters);
    context.set_all("sts:ExternalId", external_id);
    let actions = [
        Some("sts:AssumeRole"),
        (!requested.is_empty()).then_some("sts:TagSession"),
        requested_identity.map(|_| "sts:SetSourceIdentity"),
    ];
    let role = find_role(&sandbox.account, parameters.role_arn.as_str());
    let role = admit(sandbox, role, signed, &parameters, actions.into_iter().flatten(), context)?;

    let now = sandbox.clock.now();
    // Role chaining is limited to an hour, whatever the role allows.
    if from.is_some() && parameters.duration_seconds.is_some_and(|seconds| seconds > 3600) {
        return Err(AwsError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    let seconds = parameters.seconds(&role)?;
    let packed = content.packed(400, parameters.policy_length)?;
    let session = content.into_session(&role, parameters, seconds, now, &*sandbox.entropy);
    call.note(&session, seconds);
    let result = Element::new("AssumeRoleResult")
        .optional("SourceIdentity", session.source_identity.as_deref())
        .text("PackedPolicySize", packed.to_string())
        .children(credentials(&session));
    sandbox.account.lock().remember(session, now);
    Ok(result)
}

/// Tags that the caller's session made transitive come along and cannot be replaced; its source identity stays.
fn inherit(
    from: Option<&Session>,
    mut tags: Tags,
    mut transitive: Vec<String>,
    source_identity: Option<String>,
) -> Result<Content, AwsError> {
    let mut inherited_identity = None;
    if let Some(session) = from {
        for key in &session.transitive {
            let same = |known: &String| known.to_lowercase() == key.to_lowercase();
            if tags.keys().any(same) {
                return Err(AwsError::new(
                    400,
                    "InvalidParameterValue",
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
                ));
            }
            if let Some((key, value)) = session.tags.iter().find(|(known, _)| same(known)) {
                tags.insert(key.clone(), value.clone());
                transitive.push(key.clone());
            }
        }
        inherited_identity.clone_from(&session.source_identity);
        if source_identity.is_some() && inherited_identity.is_some() && source_identity != inherited_identity {
            return Err(AwsError::access_denied("The source identity of a session cannot be changed"));
        }
    }
    Ok(Content {
        tags,
        transitive,
        source_identity: inherited_identity.or(source_identity),
        federated: BTreeMap::new(),
    })
}

/// Both sides must agree: the role's trust policy, and the caller's own policies, unless the trust policy of a role in
/// the same account names the caller itself.
fn admit<'a>(
    sandbox: &Sandbox,
    role: Option<Role>,
    signed: &Signed,
    parameters: &Parameters,
    actions: impl Iterator<Item = &'a str>,
    mut context: Context,
) -> Result<Role, AwsError> {
    let (caller_arn, caller_account, own) = match &signed.signer {
        Signer::Administrator => {
            let arn = administrator_arn(&sandbox.account_id);
            (arn.clone(), sandbox.account_id.clone(), vec![arn])
        }
        Signer::Session(session) => {
            (session.arn(), session.account().to_owned(), vec![session.arn(), session.role_arn.clone()])
        }
    };
    let arn = parameters.role_arn.as_str();
    let partition = parameters.role_arn.partition();
    let root = format!("arn:{partition}:iam::{caller_account}:root");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let names = [own.as_slice(), &[root.as_str(), caller_account.as_str()]].concat();
    for (key, value) in role.iter().flat_map(|role| &role.tags) {
        context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
    }
    for action in actions {
        let refused = || {
            AwsError::access_denied(format!(
                "User: {caller_arn} is not authorized to perform: {action} on resource: {arn}"
            ))
        };
        let trust = &role.as_ref().ok_or_else(refused)?.trust;
        let by = |names: &[&str]| {
            evaluate([trust], &Request { caller: Caller::Aws { names }, action, resource: None, context: &context })
        };
        if by(&names) != Verdict::Allow {
            return Err(refused());
        }
        let is_named = caller_account == parameters.role_arn.account() && by(&own) == Verdict::Allow;
        if !is_named {
            permits(&sandbox.account.lock(), signed, action, arn, &context).map_err(AwsError::access_denied)?;
        }
    }
    role.ok_or_else(|| AwsError::access_denied("Not authorized to perform sts:AssumeRole"))
}
