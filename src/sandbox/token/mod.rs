//! Identity tokens as STS judges them: the JWS, the issuer's documents, the claims.
//!
//! Verifies over aws-lc-rs by itself; shares nothing with `crypto`, which signs. Knows no roles and no policies.
//! The order of the checks decides which of several faults is reported: claims present → provider known →
//! audience well-formed → key found → signature → times → audience registered → AWS claims.
//! May import: domain, fetch.

mod certificate;
mod claims;
mod issuer;
mod jwk;
mod jws;
mod material;

pub(super) use claims::{Claims, Roles, check_tags};
pub(super) use issuer::{Origin, read_keys};
pub(super) use jws::Jws;

use super::error::AwsError;

pub(super) fn not_validated() -> AwsError {
    AwsError::invalid_token(
        "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for requirements.",
    )
}

/// The two spaces are AWS's.
fn no_key() -> AwsError {
    AwsError::invalid_token(
        "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
    )
}
