//! Callers and what they may do. A handler of `/v1` holds a typed capability for the act it does, and only
//! this file makes capabilities.

use super::audience::Audience;
use super::credential::CredentialKind;
use super::id::{AdministratorId, CredentialId, RunId, ServiceAccountUid, SessionId, TeamUid, UserUid};
use super::platform::PlatformRights;
use super::principal::Principal;
use super::role::InstallationRole;

/// Who calls, proven by a live credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The credential presented.
    pub credential: CredentialId,
    /// What kind of credential that is.
    pub kind: CredentialKind,
    /// Whose it is.
    pub identity: Identity,
}

/// Whose credential it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// An administrator of the installation.
    Administrator {
        /// Who.
        id: AdministratorId,
        /// What they may do.
        role: InstallationRole,
    },
    /// A person, signed in.
    Person {
        /// Who.
        user: UserUid,
        /// By which session.
        session: SessionId,
    },
    /// An agent.
    ServiceAccount {
        /// Who.
        uid: ServiceAccountUid,
        /// Its one team.
        team: TeamUid,
    },
    /// An inference worker.
    Worker {
        /// The teams it serves.
        teams: Vec<TeamUid>,
        /// Its audience: callers' tokens must be for it.
        audience: Audience,
    },
    /// One run of a principal.
    Run {
        /// Which.
        run: RunId,
        /// In which team.
        team: TeamUid,
        /// Whose.
        principal: Principal,
    },
    /// A platform backend.
    Platform {
        /// The teams it may act in.
        teams: Vec<TeamUid>,
        /// What it may do there.
        rights: PlatformRights,
    },
}

/// The caller may know the operation exists but not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this credential is {}; the operation needs {}", .0.with_article(), .1)]
pub struct Denied(pub CredentialKind, pub &'static str);

/// May administer the installation.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Who, for the audit row.
    pub administrator: AdministratorId,
    /// By which key.
    pub credential: CredentialId,
}

/// May mint tokens of its own principal.
#[derive(Debug, Clone)]
pub struct Minter {
    /// By which credential.
    pub credential: CredentialId,
    /// Of which kind.
    pub kind: CredentialKind,
    /// Person or agent.
    pub who: MinterIdentity,
}

impl Minter {
    /// Whose tokens it mints.
    pub fn principal(&self) -> Principal {
        match &self.who {
            MinterIdentity::Person { user, .. } => Principal::User(user.clone()),
            MinterIdentity::ServiceAccount { uid, .. } => Principal::ServiceAccount(uid.clone()),
        }
    }
}

/// The principal a [`Minter`] mints for: itself, never one named in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MinterIdentity {
    /// A person; the team is chosen per token.
    Person {
        /// Who.
        user: UserUid,
        /// By which session.
        session: SessionId,
    },
    /// An agent, in its one team.
    ServiceAccount {
        /// Who.
        uid: ServiceAccountUid,
        /// Where.
        team: TeamUid,
    },
}

/// May exchange callers' tokens.
#[derive(Debug, Clone)]
pub struct Exchanger {
    /// By which worker key.
    pub credential: CredentialId,
    /// For which teams.
    pub teams: Vec<TeamUid>,
    /// With tokens for which audience.
    pub audience: Audience,
}

/// May see and end its own sessions.
#[derive(Debug, Clone)]
pub struct SessionOwner {
    /// Who.
    pub user: UserUid,
    /// By which session.
    pub session: SessionId,
    /// By which access token.
    pub credential: CredentialId,
}

impl Caller {
    fn denied(&self, needs: &'static str) -> Denied {
        Denied(self.kind, needs)
    }

    /// The right to administer.
    pub fn operator(&self) -> Result<Operator, Denied> {
        let Identity::Administrator { id, role: InstallationRole::Operator } = self.identity else {
            return Err(self.denied("an operator's administrator key"));
        };
        Ok(Operator { administrator: id, credential: self.credential })
    }

    /// The right to mint for oneself. Administrators and workers have none: they are nobody's principal.
    pub fn minter(&self) -> Result<Minter, Denied> {
        let who = match &self.identity {
            Identity::Person { user, session } => MinterIdentity::Person { user: user.clone(), session: *session },
            Identity::ServiceAccount { uid, team } => {
                MinterIdentity::ServiceAccount { uid: uid.clone(), team: team.clone() }
            }
            Identity::Administrator { .. }
            | Identity::Worker { .. }
            | Identity::Run { .. }
            | Identity::Platform { .. } => {
                return Err(self.denied("an access token or a service account key"));
            }
        };
        Ok(Minter { credential: self.credential, kind: self.kind, who })
    }

    /// The right to exchange callers' tokens.
    pub fn exchanger(&self) -> Result<Exchanger, Denied> {
        let Identity::Worker { teams, audience } = &self.identity else {
            return Err(self.denied("a worker key"));
        };
        Ok(Exchanger { credential: self.credential, teams: teams.clone(), audience: audience.clone() })
    }

    /// The right to one's own sessions.
    pub fn session_owner(&self) -> Result<SessionOwner, Denied> {
        let Identity::Person { user, session } = &self.identity else {
            return Err(self.denied("a person's access token"));
        };
        Ok(SessionOwner { user: user.clone(), session: *session, credential: self.credential })
    }
}
