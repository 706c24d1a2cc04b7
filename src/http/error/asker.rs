//! Who is refused, as far as it is proven: refusals are counted by it (`layer::pace`), from whatever network they are asked.

use crate::domain::access::{Caller, Identity, Minter, MinterIdentity};
use crate::domain::id::{CredentialId, TeamUid};

/// Who is refused. A worker is nobody here: its callers are of many teams, and none shall wait for another's refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asker {
    /// Somebody of this one team.
    Team(TeamUid),
    /// Whoever may be of several teams, or of none.
    Credential(CredentialId),
}

impl Asker {
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

    /// Who mints, or opens a run.
    pub fn of_minter(minter: &Minter) -> Self {
        match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } | MinterIdentity::Run { team, .. } => Self::Team(team.clone()),
            MinterIdentity::Person { .. } | MinterIdentity::Platform { .. } => Self::Credential(minter.credential),
        }
    }
}
