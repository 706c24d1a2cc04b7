//! What every grant is asked with, and what none that gives an access token takes.

use super::form::Form;
use crate::domain::audit::Origin;
use crate::http::error::oauth::{OAuthAnswer, OAuthCode};
use crate::issuer::oauth::Presented;

/// What a grant is asked with.
pub(super) struct Asked {
    pub(super) presented: Presented,
    pub(super) form: Form,
    pub(super) origin: Origin,
}

/// Refuses what would narrow an access token down. An answer that said nothing of it would say that it was granted
/// as asked for (RFC 6749, section 5.1).
pub(super) fn refuse_narrowing(form: &Form) -> Result<(), OAuthAnswer> {
    if form.get("scope").is_some() {
        let words = "there are no scopes here: leave scope out; the team's policy says what may be minted";
        return Err(OAuthAnswer::new(OAuthCode::InvalidScope, words));
    }
    if form.get("resource").is_some() || form.get("audience").is_some() {
        let words = "access tokens are for this issuer only: leave resource and audience out, and name the audience at \
                     the mint";
        return Err(OAuthAnswer::new(OAuthCode::InvalidTarget, words));
    }
    Ok(())
}
