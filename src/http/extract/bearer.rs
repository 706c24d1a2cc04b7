//! Bearers, and what they may do.

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::origin::ClientOrigin;
use crate::domain::access::{Caller, Denied, Exchanger, Minter, Operator, RunKeeper, RunOpener, SessionOwner};
use crate::http::error::authenticate::INVALID;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::state::IssuerState;
use crate::issuer::callers::Known;

/// A right that a handler holds, made of a caller that has it: no handler acts for a caller without one.
pub trait Capability: Sized + Send {
    /// Whether what it does ends in an audit statement, which proves the credential alive. Then the credential
    /// may come from memory; else it is asked of the store.
    const PROVEN_LATER: bool;

    /// The right, where the caller has it.
    fn of(known: &Known) -> Result<Self, Denied>;
}

impl Capability for Known {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        Ok(known.clone())
    }
}

impl Capability for Caller {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        Ok(known.caller.clone())
    }
}

impl Capability for Operator {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.operator()
    }
}

impl Capability for SessionOwner {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.session_owner()
    }
}

impl Capability for Minter {
    const PROVEN_LATER: bool = true;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.minter()
    }
}

impl Capability for RunOpener {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.run_opener()
    }
}

impl Capability for RunKeeper {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.run_keeper()
    }
}

impl Capability for Exchanger {
    const PROVEN_LATER: bool = true;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.exchanger()
    }
}

/// The right to ask whether callers are alive. No audit row is written for the answer, so that nothing would prove
/// a remembered worker key alive.
pub struct LivenessAsker(pub Exchanger);

impl Capability for LivenessAsker {
    const PROVEN_LATER: bool = false;
    fn of(known: &Known) -> Result<Self, Denied> {
        known.caller.exchanger().map(Self)
    }
}

/// The right `C` of whoever presents the bearer in `Authorization` (RFC 6750, section 2.1). No cookie, query or
/// body member is ever read for it.
pub struct Bearer<C>(pub C);

impl<C: Capability> FromRequestParts<IssuerState> for Bearer<C> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        let ClientOrigin(origin) = match ClientOrigin::from_request_parts(parts, state).await {
            Ok(origin) => origin,
            Err(never) => match never {},
        };
        let bearer = bearer(parts)?;
        let issuer = state.issuer()?;
        let known = if C::PROVEN_LATER {
            issuer.recognise(bearer, &origin).await?
        } else {
            issuer.authenticate(bearer, &origin).await?
        };
        match C::of(&known) {
            Ok(right) => Ok(Self(right)),
            Err(denied) => {
                issuer.record_denied(&known.caller, denied, &origin).await;
                Err(denied.into())
            }
        }
    }
}

fn bearer(parts: &Parts) -> Result<&str, ProblemAnswer> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(header), None) => header,
        (None, _) => {
            // RFC 6750, section 3.1: without credentials the challenge names no error.
            return Err(ProblemAnswer::new(Code::CredentialRequired, "Authorization must be: Bearer <credential>")
                .challenge("Bearer"));
        }
        (Some(_), Some(_)) => return Err(ProblemAnswer::field("Authorization", "must stand only once")),
    };
    let invalid =
        || ProblemAnswer::new(Code::InvalidCredential, "Authorization must be: Bearer <credential>").challenge(INVALID);
    let (scheme, credential) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid)?;
    // The scheme's case does not count (RFC 9110, section 11.1).
    if scheme.eq_ignore_ascii_case("bearer") { Ok(credential.trim_matches(' ')) } else { Err(invalid()) }
}
