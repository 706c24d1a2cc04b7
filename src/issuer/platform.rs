//! For whom a platform asks: within its teams and its rights, and nobody else's.

use super::Issuer;
use super::refusals::{MintError, Unavailable};
use super::standing::Freshness;
use crate::domain::access::{Denied, Minter, MinterIdentity};
use crate::domain::id::TeamUid;
use crate::domain::platform::PlatformRight;
use crate::domain::principal::{ActorType, Principal};
use crate::store::DeadReason;

/// What is asked for in somebody's name: it decides which right a platform needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Mint,
    OpenRun,
}

impl Act {
    const fn right(self, actor: ActorType) -> PlatformRight {
        match (self, actor) {
            (Self::Mint, ActorType::ServiceAccount) => PlatformRight::MintForServiceAccounts,
            (Self::Mint, ActorType::User) => PlatformRight::MintForUsers,
            (Self::OpenRun, ActorType::ServiceAccount) => PlatformRight::OpenRuns,
            (Self::OpenRun, ActorType::User) => PlatformRight::OpenRunsForUsers,
        }
    }
}

/// For whom `minter` asks: itself; only a platform names somebody, and must (threat 20).
pub(super) fn principal(minter: &Minter, named: Option<&Principal>, act: Act) -> Result<Principal, MintError> {
    match (&minter.who, minter.principal(), named) {
        (MinterIdentity::Platform { rights, .. }, _, Some(named)) => {
            let right = act.right(named.actor_type());
            if rights.includes(right) { Ok(named.clone()) } else { Err(MintError::RightMissing(right)) }
        }
        (_, _, Some(_)) => Err(Denied(minter.kind, "no on_behalf_of: only a platform_key names somebody").into()),
        (_, own, None) => own.ok_or(MintError::OnBehalfOfRequired),
    }
}

impl Issuer {
    /// In which of the platform's `teams` the principal is meant. Somebody who is in none of them is nobody: a
    /// platform learns nothing about other teams.
    pub(super) async fn team_for_platform(
        &self,
        teams: &[TeamUid],
        principal: &Principal,
        chosen: Option<&TeamUid>,
        freshness: Freshness,
    ) -> Result<TeamUid, MintError> {
        let shared: Vec<_> = match principal {
            Principal::ServiceAccount(uid) => {
                let account = self.store().service_account(uid).await.map_err(Unavailable::from)?;
                let account = account.filter(|account| teams.contains(&account.team));
                let account = account.ok_or(MintError::PrincipalNotFound)?;
                if account.disabled_at.is_some() {
                    return Err(MintError::Dead(DeadReason::ServiceAccountDisabled));
                }
                vec![account.team]
            }
            Principal::User(uid) => {
                let member = self.teams_of(uid, freshness).await.map_err(Unavailable::from)?;
                let shared: Vec<_> = member.iter().filter(|team| teams.contains(team)).cloned().collect();
                if shared.is_empty() {
                    return Err(MintError::PrincipalNotFound);
                }
                // The audit statement proves the person alive; only why it did not is asked here.
                if freshness == Freshness::Fresh
                    && let Some(user) = self.store().user(uid).await.map_err(Unavailable::from)?
                    && user.disabled_at.is_some()
                {
                    return Err(MintError::Dead(DeadReason::UserDisabled));
                }
                shared
            }
        };
        match (chosen, &*shared) {
            (Some(chosen), shared) if shared.contains(chosen) => Ok(chosen.clone()),
            (Some(_), _) => Err(MintError::TeamNotFound),
            (None, [only]) => Ok(only.clone()),
            (None, several) => Err(MintError::TeamRequired(several.to_vec())),
        }
    }
}
