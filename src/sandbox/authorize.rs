//! What a signed caller may do: the role's permission policies, narrowed by the session policy.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::account::{Session, State};
use super::signature::{Signed, Signer};
use crate::iam::evaluate::{Caller, Context, Request, Verdict, evaluate};

/// The condition keys that every request has.
pub(super) fn request_context(now: OffsetDateTime, region: &str, peer: IpAddr, user_agent: Option<&str>) -> Context {
    let mut context = Context::new();
    context.set("aws:CurrentTime", now.format(&Rfc3339).unwrap_or_default());
    context.set("aws:EpochTime", now.unix_timestamp().to_string());
    context.set("aws:RequestedRegion", region);
    context.set("aws:SourceIp", peer.to_string());
    // The stand-in is plain http on loopback; the service it stands in for is not.
    context.set("aws:SecureTransport", "true");
    context.set("aws:ViaAWSService", "false");
    context.set("aws:PrincipalIsAWSService", "false");
    if let Some(user_agent) = user_agent {
        context.set("aws:UserAgent", user_agent);
    }
    context
}

/// Adds what is known of the caller.
pub(super) fn add_principal(context: &mut Context, signed: &Signed, account: &str) {
    match &signed.signer {
        Signer::Administrator => {
            context.set("aws:PrincipalArn", administrator_arn(account));
            context.set("aws:PrincipalAccount", account);
            context.set("aws:PrincipalType", "User");
        }
        Signer::Session(session) => {
            context.set("aws:PrincipalArn", session.role_arn.as_str());
            context.set("aws:PrincipalAccount", session.account());
            context.set("aws:PrincipalType", "AssumedRole");
            context.set("aws:userid", session.user_id());
            context.set("aws:TokenIssueTime", session.issued_at.format(&Rfc3339).unwrap_or_default());
            if let Some(source_identity) = &session.source_identity {
                context.set("aws:SourceIdentity", source_identity.as_str());
            }
            for (key, value) in &session.tags {
                context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
            }
            for (key, values) in &session.federated {
                context.set_all(key, values.iter().map(String::as_str));
            }
        }
    }
}

/// Whether the caller's own policies let it do `action` on `resource`; the refusal is AWS's sentence.
pub(super) fn permits(
    state: &State,
    signed: &Signed,
    action: &str,
    resource: &str,
    context: &Context,
) -> Result<(), String> {
    let session = match &signed.signer {
        Signer::Administrator => return Ok(()),
        Signer::Session(session) => session,
    };
    let policies = state.roles.get(&session.role_arn).map(|role| &role.policies);
    let request = Request { caller: Caller::Holder, action, resource: Some(resource), context };
    let by_role = evaluate(policies.into_iter().flat_map(|policies| policies.values()), &request);
    let by_session = session.policy.as_deref().map(|policy| evaluate([policy], &request));
    let because = match (by_role, by_session) {
        (Verdict::Allow, None | Some(Verdict::Allow)) => return Ok(()),
        (Verdict::ExplicitDeny, _) => "with an explicit deny in an identity-based policy".to_owned(),
        (_, Some(Verdict::ExplicitDeny)) => "with an explicit deny in a session policy".to_owned(),
        (Verdict::ImplicitDeny, _) => format!("because no identity-based policy allows the {action} action"),
        (Verdict::Allow, Some(Verdict::ImplicitDeny)) => {
            format!("because no session policy allows the {action} action")
        }
    };
    Err(format!("{} {because}", not_authorized(session, action, resource)))
}

/// The beginning of AWS's refusal.
pub(super) fn not_authorized(session: &Session, action: &str, resource: &str) -> String {
    format!("User: {} is not authorized to perform: {action} on resource: {resource}", session.arn())
}

/// The administrator's ARN.
pub(super) fn administrator_arn(account: &str) -> String {
    format!("arn:aws:iam::{account}:user/administrator")
}
