//! The mint: how a principal's own credential becomes a token.

use super::Issuer;
use super::refusals::{MintError, Unavailable};
use super::release::{Authority, Minted};
use super::standing::Freshness;
use crate::domain::access::{Minter, MinterIdentity};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::id::TeamUid;
use crate::domain::policy::{self, MintRequest};

impl Issuer {
    /// Mints a token for `minter` itself, in the team `chosen` or its only one.
    ///
    /// Caller → team → decision → claims → signature beside the commit of the audit row → token. What is
    /// remembered of the team may grant, because the audit statement proves that nothing has changed, but never
    /// refuses: before a refusal everything is read afresh. Nothing after `decide` can widen the grant.
    pub async fn mint(
        &self,
        minter: &Minter,
        chosen: Option<&TeamUid>,
        request: &MintRequest,
        origin: &Origin,
    ) -> Result<Minted, MintError> {
        let _place = self.0.admission.enter().map_err(Unavailable::from)?;
        let within = self.0.limits.principal(&minter.principal());
        self.count_limited(within, Action::TokenMint, origin)?;
        for freshness in [Freshness::Remembered, Freshness::Fresh, Freshness::Fresh] {
            let decided = match self.standing(minter, chosen, freshness).await {
                Ok(standing) => policy::decide(standing.as_policy(self.url(), None), request)
                    .map(|grant| (grant, standing.facts.team.version))
                    .map_err(MintError::from),
                Err(error) => Err(error),
            };
            let (grant, team_version) = match decided {
                Ok(decided) => decided,
                Err(_) if freshness == Freshness::Remembered => continue,
                Err(error) => return Err(self.refused(minter, chosen, error, origin).await),
            };
            self.count_limited(self.0.limits.team(grant.subject().team()), Action::TokenMint, origin)?;
            let credential = (minter.kind, minter.credential);
            let authority = Authority { action: Action::TokenMint, credential, team_version, worker: None };
            if let Some(minted) = self.release(grant, authority, origin).await? {
                return Ok(minted);
            }
            // Something ended or changed since it was read: the caller's credential, or the team.
            let credential = self.look_again(minter.credential).await?;
            if let Some(reason) = credential.and_then(|record| record.dead) {
                return Err(self.refused(minter, chosen, MintError::Dead(reason), origin).await);
            }
            self.keys().reload().await?;
        }
        Err(Unavailable::Changing.into())
    }

    /// Writes the row of a refusal, and gives the refusal back.
    async fn refused(&self, minter: &Minter, chosen: Option<&TeamUid>, error: MintError, origin: &Origin) -> MintError {
        let Some(reason) = error.reason() else { return error };
        let mut event = self.event(Action::TokenMint, Decision::Refused, origin);
        event.reason = Some(reason);
        event.credential = Some((minter.kind, minter.credential));
        event.principal = Some(minter.principal());
        event.team = match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } => Some(team.clone()),
            MinterIdentity::Person { .. } => chosen.cloned(),
        };
        self.record_refusal(event).await;
        error
    }
}
