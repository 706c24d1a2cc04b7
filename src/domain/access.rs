//! Callers and what they may do. A handler of `/v1` holds a typed capability for the act it does, and only
//! this file makes capabilities; those of the admin API are made in `authority.rs`.

use super::audience::Audience;
use super::credential::CredentialKind;
use super::id::{AdministratorId, CredentialId, RunId, ServiceAccountUid, SessionId, TeamUid, UserUid};
use super::platform::PlatformRights;
use super::principal::Principal;
use super::role::InstallationRole;
use super::session::Authentication;

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
        /// How that was opened.
        by: Authentication,
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

/// May mint: tokens of its own principal, of its run, or (a platform) of principals in its teams.
#[derive(Debug, Clone)]
pub struct Minter {
    /// By which credential.
    pub credential: CredentialId,
    /// Of which kind.
    pub kind: CredentialKind,
    /// Person, agent, run or platform.
    pub who: MinterIdentity,
}

impl Minter {
    /// Whose tokens it mints; a platform names each time for whom.
    pub fn principal(&self) -> Option<Principal> {
        match &self.who {
            MinterIdentity::Person { user, .. } => Some(Principal::User(user.clone())),
            MinterIdentity::ServiceAccount { uid, .. } => Some(Principal::ServiceAccount(uid.clone())),
            MinterIdentity::Run { principal, .. } => Some(principal.clone()),
            MinterIdentity::Platform { .. } => None,
        }
    }
}

/// For whom a [`Minter`] mints: itself, never one named in a request; but for a platform, which names principals
/// within its teams and rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MinterIdentity {
    /// A person; the team is chosen per token.
    Person {
        /// Who.
        user: UserUid,
        /// By which session.
        session: SessionId,
        /// How that was opened.
        by: Authentication,
    },
    /// An agent, in its one team.
    ServiceAccount {
        /// Who.
        uid: ServiceAccountUid,
        /// Where.
        team: TeamUid,
    },
    /// The bearer of a run.
    Run {
        /// Which.
        run: RunId,
        /// Where.
        team: TeamUid,
        /// Whose.
        principal: Principal,
    },
    /// A platform backend.
    Platform {
        /// Where.
        teams: Vec<TeamUid>,
        /// What it may do there.
        rights: PlatformRights,
    },
}

/// May open runs: of its own principal, or (a platform) of principals in its teams. A run opens no runs.
#[derive(Debug, Clone)]
pub struct RunOpener(pub Minter);

/// May see and end runs.
#[derive(Debug, Clone)]
pub struct RunKeeper {
    /// By which credential.
    pub credential: CredentialId,
    /// Of which kind.
    pub kind: CredentialKind,
    /// Which runs.
    pub whose: RunsOf,
    /// Whether it may only look.
    pub reads_only: bool,
}

/// Whose runs a [`RunKeeper`] knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunsOf {
    /// Every run of the installation.
    Everyone,
    /// Those of one principal, whoever opened them.
    Principal(Principal),
    /// Those that one platform key opened, in the teams that are on its list when the question is answered.
    OpenedBy(CredentialId),
    /// Those of one team, for who administers or audits it (`domain::authority`).
    InTeam(TeamUid),
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

    /// The right to mint. Administrators and workers have none: they are nobody's principal.
    pub fn minter(&self) -> Result<Minter, Denied> {
        let who = match &self.identity {
            Identity::Person { user, session, by } => {
                MinterIdentity::Person { user: user.clone(), session: *session, by: by.clone() }
            }
            Identity::ServiceAccount { uid, team } => {
                MinterIdentity::ServiceAccount { uid: uid.clone(), team: team.clone() }
            }
            Identity::Run { run, team, principal } => {
                MinterIdentity::Run { run: run.clone(), team: team.clone(), principal: principal.clone() }
            }
            Identity::Platform { teams, rights } => {
                MinterIdentity::Platform { teams: teams.clone(), rights: rights.clone() }
            }
            Identity::Administrator { .. } | Identity::Worker { .. } => {
                return Err(self.denied("an access token, a service account key, a run bearer or a platform key"));
            }
        };
        Ok(Minter { credential: self.credential, kind: self.kind, who })
    }

    /// The right to open runs.
    pub fn run_opener(&self) -> Result<RunOpener, Denied> {
        let minter = self.minter().ok().filter(|minter| !matches!(minter.who, MinterIdentity::Run { .. }));
        minter.map(RunOpener).ok_or_else(|| self.denied("an access token, a service account key or a platform key"))
    }

    /// The right to runs: one's own, those that one's platform key opened, or as an administrator all.
    pub fn run_keeper(&self) -> Result<RunKeeper, Denied> {
        let (whose, reads_only) = match &self.identity {
            Identity::Administrator { role, .. } => (RunsOf::Everyone, *role == InstallationRole::Auditor),
            Identity::Person { user, .. } => (RunsOf::Principal(Principal::User(user.clone())), false),
            Identity::ServiceAccount { uid, .. } => (RunsOf::Principal(Principal::ServiceAccount(uid.clone())), false),
            Identity::Platform { .. } => (RunsOf::OpenedBy(self.credential), false),
            Identity::Worker { .. } | Identity::Run { .. } => {
                return Err(self.denied("an access token, a service account, platform or administrator key"));
            }
        };
        Ok(RunKeeper { credential: self.credential, kind: self.kind, whose, reads_only })
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
        let Identity::Person { user, session, .. } = &self.identity else {
            return Err(self.denied("a person's access token"));
        };
        Ok(SessionOwner { user: user.clone(), session: *session, credential: self.credential })
    }
}
