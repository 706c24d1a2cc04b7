//! Audit rows before they are written, with what must still hold when they are.

use crate::domain::audit::Event;
use crate::domain::id::{CredentialId, IssuerId, TokenId};
use crate::domain::signing_key::Kid;

/// An audit row that releases a token, with what must still hold when the row is written.
#[derive(Debug, Clone)]
pub struct Release {
    /// The row; it names team, principal and token.
    pub event: Event,
    /// What must hold.
    pub proof: Proof,
}

/// What the statement proves beside the row's own team and principal being alive.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The principal's own credential: alive, of that principal, its session and membership alive.
    pub credential: CredentialId,
    /// The version of the team that the grant was decided under; any change since stops the token.
    pub team_version: i64,
    /// The issuer.
    pub issuer: IssuerId,
    /// The key that signs: of that issuer, published, signing at the row's time and not revoked; the issuer is the
    /// shared one or the team's own, and no tombstone.
    pub kid: Kid,
    /// The worker key of an exchange: alive, and still listing the team.
    pub also: Option<CredentialId>,
    /// The `jti` that a worker presented: released by that credential for that principal and team, by an issuer that
    /// still is one of the team's. During a change-over it need not be the one that releases now.
    pub original_token: Option<TokenId>,
}

/// One row to be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) proof: Option<Proof>,
}
