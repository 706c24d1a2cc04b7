//! `AssumeRoleWithWebIdentity`: a token of an identity provider for a session of a role.

use std::collections::BTreeMap;

use super::grant::{Content, Parameters, describe_session};
use super::{credentials, find_role};
use crate::iam::evaluate::{Caller, Context, Request, Verdict, evaluate};
use crate::sandbox::account::Role;
use crate::sandbox::error::AwsError;
use crate::sandbox::parts::{Call, Sandbox};
use crate::sandbox::query::Query;
use crate::sandbox::token::{Claims, Jws, Origin, Roles, not_validated, read_keys};
use crate::sandbox::xml::Element;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

/// The whole exchange; what it learns on the way goes into `call` for the trail.
pub(in crate::sandbox) async fn assume_role_with_web_identity(
    sandbox: &Sandbox,
    query: &Query,
    call: &mut Call,
) -> Result<Element, AwsError> {
    let parameters = Parameters::read(query)?;
    call.event.resource = Some(parameters.role_arn.to_string());
    let token = query.required("WebIdentityToken", 4, 20000)?;
    check_provider_id(query)?;

    let jws = Jws::parse(token)?;
    let claims = Claims::new(&jws.claims);
    let issuer = claims.issuer()?;
    let (provider_arn, client_ids, origin) = find_provider(sandbox, parameters.role_arn.account(), &issuer)?;
    let audience = claims.audience()?;
    jws.verify(&read_keys(&sandbox.fetch, &origin).await?)?;
    let now = sandbox.clock.now();
    claims.check_times(now.unix_timestamp())?;
    if !client_ids.contains(&audience) {
        return Err(not_validated());
    }
    let subject = claims.subject()?;
    call.event.subject = Some(subject.clone());
    let bound = match claims.roles()? {
        Roles::Unbound => false,
        Roles::Bound(roles) if roles.iter().any(|role| role == parameters.role_arn.as_str()) => true,
        Roles::Bound(_) => {
            return Err(AwsError::invalid_token(
                "The target role ARN is not present in the roles claim of the identity token",
            ));
        }
    };
    let (tags, transitive) = claims.tags()?;
    let source_identity = claims.source_identity()?;

    let url = issuer.split_once("://").map_or(issuer.as_str(), |(_, url)| url);
    let federated = BTreeMap::from([
        ("aws:FederatedProvider".to_owned(), vec![provider_arn.clone()]),
        (format!("{url}:aud"), vec![audience.clone()]),
        (format!("{url}:sub"), vec![subject.clone()]),
        (format!("{url}:amr"), claims.others("amr")),
    ]);
    let content = Content { tags, transitive, source_identity, federated };
    let role = find_role(&sandbox.account, parameters.role_arn.as_str());
    let mut context = call.context.clone();
    context.set_all(&format!("{url}:oaud"), claims.listed_audiences());
    context.set_all(&format!("{url}:email"), claims.others("email"));
    context.set("sts:RoleAuthorizedByIdp", bound.to_string());
    describe(&mut context, &content, &parameters, &provider_arn);
    let role = admit(role, &provider_arn, &content, context)?;

    let seconds = parameters.seconds(&role)?;
    let packed = content.packed(723 + subject.len() + audience.len() + issuer.len(), parameters.policy_length)?;
    let session = content.into_session(&role, parameters, seconds, now, &*sandbox.entropy);
    call.note(&session, seconds);
    let result = Element::new("AssumeRoleWithWebIdentityResult")
        .text("SubjectFromWebIdentityToken", subject)
        .text("Audience", audience)
        .text("Provider", provider_arn)
        .optional("SourceIdentity", session.source_identity.as_deref())
        .text("PackedPolicySize", packed.to_string())
        .text("SessionTokenSize", session.token.expose().len().to_string())
        .text("SessionTokenUtilization", packed.to_string())
        .children(credentials(&session));
    sandbox.account.lock().remember(session, now);
    Ok(result)
}

/// `ProviderId` is for the access tokens of two OAuth providers and must be left out for OIDC.
fn check_provider_id(query: &Query) -> Result<(), AwsError> {
    match query.optional("ProviderId", 4, 2048)? {
        None => Ok(()),
        Some("www.amazon.com") => Err(AwsError::invalid_token("Provided Token is not a Login With Amazon token")),
        Some("graph.facebook.com") => Err(AwsError::invalid_token("Provided Token is not a Facebook access token")),
        Some(_) => Err(AwsError::access_denied(
            "Unrecognized OAuth provider. Do not include a provider parameter when submitting OpenIDConnect ID tokens",
        )),
    }
}

/// The provider registered for `issuer` in the role's account: no account trusts another one's.
fn find_provider(sandbox: &Sandbox, account: &str, issuer: &str) -> Result<(String, Vec<String>, Origin), AwsError> {
    let state = sandbox.account.lock();
    let (arn, provider) = state
        .providers
        .iter()
        .find(|(arn, provider)| provider.issuer() == issuer && arn.split(':').nth(4) == Some(account))
        .ok_or_else(|| {
            AwsError::invalid_token(format!("No OpenIDConnect provider found in your account for {issuer}"))
        })?;
    let origin = Origin {
        issuer: issuer.to_owned(),
        redirects: state.origins.clone().into_iter().collect(),
        loopback: sandbox.loopback_issuers,
    };
    Ok((arn.clone(), provider.client_ids.clone(), origin))
}

/// The condition keys of this call. The caller's account is the provider's; it has no principal ARN.
fn describe(context: &mut Context, content: &Content, parameters: &Parameters, provider_arn: &str) {
    for (key, values) in &content.federated {
        context.set_all(key, values.iter().map(String::as_str));
    }
    context.set("aws:PrincipalAccount", parameters.role_arn.account());
    context.set("aws:PrincipalType", "User");
    context.set("aws:userid", provider_arn);
    describe_session(context, content, parameters);
}

/// Asks the trust policy for each thing the call does. A role that does not exist answers like one that refuses.
fn admit(role: Option<Role>, provider_arn: &str, content: &Content, mut context: Context) -> Result<Role, AwsError> {
    let refused = |action: &str| AwsError::access_denied(format!("Not authorized to perform {action}"));
    let role = role.ok_or_else(|| refused(ACTION))?;
    for (key, value) in &role.tags {
        context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
    }
    let tags = (!content.tags.is_empty()).then_some("sts:TagSession");
    let source_identity = content.source_identity.as_ref().map(|_| "sts:SetSourceIdentity");
    for action in [Some(ACTION), tags, source_identity].into_iter().flatten() {
        let caller = Caller::Federated { provider: provider_arn };
        let request = Request { caller, action, resource: None, context: &context };
        if evaluate([&role.trust], &request) != Verdict::Allow {
            return Err(refused(action));
        }
    }
    Ok(role)
}
