//! The mint: how a principal's own credential, a run's bearer or a platform key becomes a token.

use super::Issuer;
use super::limits::Party;
use super::platform::{self, Act};
use super::refusals::{MintError, Unavailable};
use super::release::{Authority, Minted, Released};
use super::standing::Freshness;
use crate::domain::access::{Caller, Minter, MinterIdentity};
use crate::domain::audit::{Action, Decision, Event, Origin};
use crate::domain::id::TeamUid;
use crate::domain::policy::{self, MintRequest, Refusal};
use crate::domain::principal::Principal;

/// What a caller of the mint asks for.
#[derive(Debug, Clone, Default)]
pub struct MintCall {
    /// In which team, where there are several.
    pub team: Option<TeamUid>,
    /// In whose name: a platform must say, and nobody else may.
    pub on_behalf_of: Option<Principal>,
    /// Which token.
    pub request: MintRequest,
}

impl Issuer {
    /// Mints a token for `minter` itself, or where it is a platform for whom it names.
    ///
    /// Caller → principal → team → decision → claims → signature beside the commit of the audit row → token. What is
    /// remembered of the team may grant, because the audit statement proves that nothing has changed, but never
    /// refuses: before a refusal everything is read afresh. Nothing after `decide` can widen the grant.
    pub async fn mint(&self, minter: &Minter, call: &MintCall, origin: &Origin) -> Result<Minted, MintError> {
        // Cheap refusals first: whoever comes too often does not wait for a place to be told so. A platform must not use
        // up what others' principals may, and whoever names a team may not be of it: they are counted once that is known.
        let (mut principal_counted, mut team_counted) = (false, false);
        if let Some(principal) = minter.principal() {
            self.count_limited(self.0.limits.principal(&principal), Action::TokenMint, origin)?;
            principal_counted = true;
        }
        if let MinterIdentity::ServiceAccount { team, .. } | MinterIdentity::Run { team, .. } = &minter.who {
            self.count_limited(self.0.limits.team(team), Action::TokenMint, origin)?;
            team_counted = true;
        }
        let party = self.party(minter, call.team.as_ref());
        let place = self.0.admission.enter(&party).await.map_err(Unavailable::from)?;
        let mut minter = minter.clone();
        for freshness in [Freshness::Remembered, Freshness::Fresh, Freshness::Fresh] {
            let principal = match platform::principal(&minter, call.on_behalf_of.as_ref(), Act::Mint) {
                Ok(principal) => principal,
                Err(_) if freshness == Freshness::Remembered => {
                    // Refused or not, it waits for the store from here on, and nobody shall wait for that.
                    place.rest();
                    minter = self.read_again(minter, call, origin).await?;
                    continue;
                }
                Err(error) => return Err(self.refused(&minter, None, call, error, origin).await),
            };
            let decided = match self.standing(&minter, &principal, call.team.as_ref(), freshness).await {
                Ok(standing) => policy::decide(standing.as_policy(self.url()), &call.request, origin.address)
                    .map(|grant| (grant, standing.facts.team.version))
                    .map_err(MintError::from),
                Err(error) => Err(error),
            };
            let (grant, team_version) = match decided {
                Ok(decided) => decided,
                Err(_) if freshness == Freshness::Remembered => {
                    // Refused or not, it waits for the store from here on, and nobody shall wait for that.
                    place.rest();
                    minter = self.read_again(minter, call, origin).await?;
                    continue;
                }
                Err(error) => return Err(self.refused(&minter, Some(principal), call, error, origin).await),
            };
            if !std::mem::replace(&mut principal_counted, true) {
                self.count_limited(self.0.limits.principal(grant.subject().principal()), Action::TokenMint, origin)?;
            }
            if !std::mem::replace(&mut team_counted, true) {
                self.count_limited(self.0.limits.team(grant.subject().team()), Action::TokenMint, origin)?;
            }
            let credential = (minter.kind, minter.credential);
            let authority = Authority { action: Action::TokenMint, credential, team_version, worker: None };
            let released = self.release(grant, authority, origin, &place).await?;
            if let Released::Token(minted) = released {
                return Ok(*minted);
            }
            // Something ended or changed since it was read: the caller's credential, what it hangs on, or the team.
            let record = self.look_again(minter.credential).await?;
            let error = match (record.as_ref().and_then(|record| record.dead), &released) {
                (Some(reason), _) => Some(MintError::Dead(reason)),
                // Decided on what was remembered, it may be refused for something else by now.
                (None, Released::RunExhausted) if freshness == Freshness::Fresh => Some(Refusal::RunExhausted.into()),
                (None, _) => None,
            };
            if let Some(error) = error {
                return Err(self.refused(&minter, Some(principal), call, error, origin).await);
            }
            if let Some(record) = record {
                let caller = Caller { credential: record.id, kind: record.kind, identity: record.identity };
                minter = caller.minter()?;
            }
            self.keys().reload().await?;
        }
        Err(Unavailable::Changing.into())
    }

    /// In whose line `minter` waits: a team's only where it is proven to be of it.
    fn party(&self, minter: &Minter, chosen: Option<&TeamUid>) -> Party {
        match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } | MinterIdentity::Run { team, .. } => Party::Team(team.clone()),
            MinterIdentity::Person { user, .. } => {
                let teams = self.0.teams_of.get(user);
                let team = teams.as_deref().and_then(|teams| match chosen {
                    Some(chosen) => teams.iter().find(|team| *team == chosen),
                    None => teams.first(),
                });
                team.cloned().map_or_else(|| Party::Person(user.clone()), Party::Team)
            }
            MinterIdentity::Platform { teams, .. } => {
                let team = chosen.filter(|team| teams.contains(team)).cloned();
                team.map_or(Party::Credential(minter.credential), Party::Team)
            }
        }
    }

    /// The caller as it is now, so that it is not refused for what it was a moment ago: a platform has other teams or
    /// rights, and who is gone is told that, not what else would stand in the way.
    async fn read_again(&self, minter: Minter, call: &MintCall, origin: &Origin) -> Result<Minter, MintError> {
        let Some(record) = self.look_again(minter.credential).await? else { return Ok(minter) };
        if let Some(reason) = record.dead {
            let principal = minter.principal();
            return Err(self.refused(&minter, principal, call, MintError::Dead(reason), origin).await);
        }
        Ok(Caller { credential: record.id, kind: record.kind, identity: record.identity }.minter()?)
    }

    /// Writes the row of a refusal, and gives the refusal back.
    async fn refused(
        &self,
        minter: &Minter,
        principal: Option<Principal>,
        call: &MintCall,
        error: MintError,
        origin: &Origin,
    ) -> MintError {
        let Some(reason) = error.reason() else { return error };
        let mut event = self.event(Action::TokenMint, Decision::Refused, origin);
        event.reason = Some(reason);
        // A team that the caller is not in does not get the row (threat 41): its admins could read it.
        let team = call.team.as_ref().filter(|_| !matches!(error, MintError::TeamNotFound));
        Self::say_who(&mut event, minter, principal.or_else(|| minter.principal()), team);
        self.record_refusal(event).await;
        error
    }

    /// Says in `event` who asked, for whom and where. Whom a platform names that it may not know of stands in the row,
    /// for the operator; the team only where it is the caller's.
    pub(super) fn say_who(event: &mut Event, minter: &Minter, principal: Option<Principal>, chosen: Option<&TeamUid>) {
        event.credential = Some((minter.kind, minter.credential));
        event.principal = principal;
        event.team = match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } | MinterIdentity::Run { team, .. } => Some(team.clone()),
            MinterIdentity::Person { .. } => chosen.cloned(),
            MinterIdentity::Platform { teams, .. } => chosen.filter(|team| teams.contains(team)).cloned(),
        };
        if let MinterIdentity::Run { run, .. } = &minter.who {
            event.target = Some(format!("run:{run}"));
        }
    }
}
