//! Who asked for what was refused, as far as it is proven: `layer::pace` counts refusals by it.

use super::access::{Caller, Identity, Minter, MinterIdentity};
use super::id::{CredentialId, TeamUid};

/// Who asked. A worker is nobody here: its callers are of many teams, and none shall wait for another's refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requester {
    /// Somebody of this one team.
    Team(TeamUid),
    /// Whoever may be of several teams and has not shown of which, or is of none.
    Credential(CredentialId),
}

impl Requester {
    /// Who calls.
    pub fn of(caller: &Caller) -> Option<Self> {
        match &caller.identity {
            Identity::ServiceAccount { team, .. } | Identity::Run { team, .. } => Some(Self::Team(team.clone())),
            Identity::Worker { .. } => None,
            Identity::Administrator { .. } | Identity::Person { .. } | Identity::Platform { .. } => {
                Some(Self::Credential(caller.credential))
            }
        }
    }

    /// Who mints, or opens a run, having named the team `chosen`. A platform counts as that team where it is on its
    /// list; a person never does, who need not be in it.
    pub fn of_minter(minter: &Minter, chosen: Option<&TeamUid>) -> Self {
        let proven = match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } | MinterIdentity::Run { team, .. } => Some(team),
            MinterIdentity::Platform { teams, .. } => chosen.filter(|team| teams.contains(team)),
            MinterIdentity::Person { .. } => None,
        };
        proven.cloned().map_or(Self::Credential(minter.credential), Self::Team)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::credential::CredentialKind;
    use crate::domain::id::{RunId, ServiceAccountUid, SessionId, UserUid};
    use crate::domain::platform::PlatformRights;
    use crate::domain::principal::Principal;
    use crate::domain::session::{Authentication, SessionOrigin};

    #[test]
    fn threat_24_only_who_is_proven_to_be_of_a_team_is_counted_with_it() {
        let [red, blue, foreign] = ["red", "blue", "foreign"].map(|uid| TeamUid::parse(uid).unwrap());
        let credential = CredentialId::new(Uuid::from_u128(1));
        let (uid, user) = (ServiceAccountUid::parse("agent").unwrap(), UserUid::parse("ada").unwrap());
        let (teams, principal) = (vec![red.clone(), blue.clone()], Principal::User(user.clone()));
        let (of_red, alone) = (Some(Requester::Team(red.clone())), Some(Requester::Credential(credential)));
        let agent = Identity::ServiceAccount { uid, team: red.clone() };
        let run = Identity::Run { run: RunId::parse("0123456789abcdefABCD").unwrap(), team: red.clone(), principal };
        let session = SessionId::new(Uuid::from_u128(3));
        let by = Authentication { origin: SessionOrigin::EnrolmentCode, amr: Vec::new() };
        let person = Identity::Person { user, session, by };
        let platform = Identity::Platform { teams: teams.clone(), rights: PlatformRights::default() };
        let worker = Identity::Worker { teams, audience: Audience::parse("inference").unwrap() };
        for (kind, identity, calls, mints) in [
            (CredentialKind::ServiceAccount, agent, &of_red, Some([&of_red; 3])),
            (CredentialKind::Run, run, &of_red, Some([&of_red; 3])),
            (CredentialKind::Access, person, &alone, Some([&alone; 3])),
            (CredentialKind::Platform, platform, &alone, Some([&alone, &of_red, &alone])),
            (CredentialKind::Worker, worker, &None, None),
        ] {
            let caller = Caller { credential, kind, identity };
            assert_eq!(Requester::of(&caller), *calls, "{kind:?}");
            let counted = caller.minter().ok().map(|minter| {
                [None, Some(&red), Some(&foreign)].map(|chosen| Some(Requester::of_minter(&minter, chosen)))
            });
            assert_eq!(counted, mints.map(|mints| mints.map(Clone::clone)), "{kind:?}");
        }
    }
}
