//! The Security Token Service: `AssumeRoleWithWebIdentity`, `AssumeRole`, `GetCallerIdentity`.
//!
//! Source: STS API Reference, version 2011-06-15; verdicts and words as recorded from the real service.
//! May import: the stand-in's state, tokens and signatures; iam.

mod assume_role;
mod grant;
mod web_identity;

pub(super) use assume_role::assume_role;
pub(super) use web_identity::assume_role_with_web_identity;

use super::account::{Account, Session};
use super::authorize::administrator_arn;
use super::signature::{Signed, Signer};
use super::xml::Element;

pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The most that packed policies, tags and context may fill, in bytes. The service reports percents of an undisclosed
/// size; this one fits the percentages recorded.
const PACKED_LIMIT: usize = 3200;

pub(super) fn get_caller_identity(signed: &Signed, account: &str) -> Element {
    let result = Element::new("GetCallerIdentityResult");
    match &signed.signer {
        Signer::Administrator => result
            .text("Arn", administrator_arn(account))
            .text("UserId", "AIDAADMINISTRATOR0000")
            .text("Account", account),
        Signer::Session(session) => {
            result.text("Arn", session.arn()).text("UserId", session.user_id()).text("Account", session.account())
        }
    }
}

/// `Credentials` and `AssumedRoleUser`, as both calls answer them.
fn credentials(session: &Session) -> [Element; 2] {
    let expires = session.expires_at.replace_nanosecond(0).unwrap_or(session.expires_at);
    let expiration = expires.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    [
        Element::new("AssumedRoleUser").text("Arn", session.arn()).text("AssumedRoleId", session.user_id()),
        Element::new("Credentials")
            .text("AccessKeyId", &session.access_key_id)
            .text("SecretAccessKey", session.secret.expose())
            .text("SessionToken", session.token.expose())
            .text("Expiration", expiration),
    ]
}

/// The role asked for and whether it exists, in one look at the state.
fn find_role(account: &Account, role_arn: &str) -> Option<super::account::Role> {
    account.lock().roles.get(role_arn).cloned()
}
