//! Who may administer what: the capabilities of the admin API, made here and nowhere else.
//!
//! Operators may do everything, auditors of the installation read everything. In a team its admins rule and its
//! auditors read, by the live session of a person; platform keys register principals in the teams of their list.
//! Agents, runs and workers hold none of these, ever.

use super::access::{Caller, Denied, Identity, Operator};
use super::credential::CredentialKind;
use super::id::{AdministratorId, CredentialId, SessionId, TeamUid, UserUid};
use super::platform::PlatformRight;
use super::role::{InstallationRole, TeamRole};

/// By which credential and which office something is administered. What it may do, the capability says that it was
/// taken out of.
#[derive(Debug, Clone)]
pub struct Authority {
    credential: CredentialId,
    kind: CredentialKind,
    office: Office,
}

/// What makes a caller an administrator of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Office {
    /// The installation is theirs.
    Operator(AdministratorId),
    /// They may see the installation.
    Auditor(AdministratorId),
    /// A person with a role in a team.
    Member {
        /// The person.
        user: UserUid,
        /// By which session.
        session: SessionId,
        /// What they may do in the team that was asked about; `None` where no team was.
        role: Option<TeamRole>,
    },
    /// A platform backend.
    Platform {
        /// The teams it may act in.
        teams: Vec<TeamUid>,
    },
}

impl Authority {
    fn of(caller: &Caller, office: Office) -> Self {
        Self { credential: caller.credential, kind: caller.kind, office }
    }

    /// The credential, for the audit row.
    pub const fn credential(&self) -> (CredentialKind, CredentialId) {
        (self.kind, self.credential)
    }

    /// What makes the caller an administrator.
    pub const fn office(&self) -> &Office {
        &self.office
    }

    /// Whether it is an operator's.
    pub const fn is_operator(&self) -> bool {
        matches!(self.office, Office::Operator(_))
    }

    /// What a caller of a lesser office is told of a member that only operators set.
    pub const fn operator_only(&self) -> Result<(), Denied> {
        if self.is_operator() { Ok(()) } else { Err(Denied(self.kind, OPERATOR)) }
    }
}

impl From<Operator> for Authority {
    fn from(operator: Operator) -> Self {
        let Operator { administrator, credential } = operator;
        Self { credential, kind: CredentialKind::Administrator, office: Office::Operator(administrator) }
    }
}

const OPERATOR: &str = "an operator's administrator key";
const READER: &str = "an administrator's key, of an operator or an auditor";
const TEAM_ADMIN: &str = "an operator's administrator key, or the session of an admin of the team";
const TEAM_READER: &str = "an administrator's key, or the session of an admin or auditor of the team";
const REGISTRAR: &str =
    "an operator's administrator key, the session of an admin of the team, or a platform key that registers principals";
const REGISTRY: &str = "an administrator's key, the session of an admin or auditor of the team, or a platform key that \
                        registers principals";
const FOUNDER: &str = "an operator's administrator key, or a platform key that registers teams";
const PEOPLE: &str = "an operator's administrator key, or a platform key that registers principals";
const ENROLLER: &str = "an operator's administrator key, or the session of an admin of the person's only team";

/// What the store knows of a person in a team, asked on each request: who was demoted has lost at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// What they may do there.
    pub role: TeamRole,
    /// Whether the team is switched off.
    pub team_disabled: bool,
    /// Whether the team accepts how their session was opened (threat 38).
    pub sign_in_accepted: bool,
}

impl Seat {
    /// Whether it is that of an admin who may change something in the team now.
    pub fn rules(self) -> bool {
        self.role == TeamRole::Admin && self.sign_in_accepted && !self.team_disabled
    }
}

/// Why a capability is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// The caller may know of it, and may not do it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The caller may not know whether there is such a team.
    #[error("no such team")]
    Hidden,
    /// The team is switched off: its own admins change nothing until an operator switches it on.
    #[error("the team is disabled; an operator can enable it")]
    TeamDisabled,
    /// The team does not accept how the session was opened.
    #[error("the team does not accept sessions opened with an enrolment code")]
    SignInNotAccepted,
}

/// A right that does not hang on one team.
pub trait InstallationCapability: Sized + Send {
    /// The right, where the caller has it.
    fn of(caller: &Caller) -> Result<Self, Denied>;
    /// By what.
    fn into_authority(self) -> Authority;
}

/// A right in one team.
pub trait TeamCapability: Sized + Send {
    /// The right, where the caller has it. `seat` is what the store knows of a person in that team; where it knows
    /// nothing, they may not know of the team. `team` is `None` where the request names none that could exist.
    fn of(caller: &Caller, team: Option<&TeamUid>, seat: Option<Seat>) -> Result<Self, Withheld>;
    /// By what.
    fn into_authority(self) -> Authority;
}

macro_rules! capability {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(Authority);
    };
}

capability!(
    /// May see the whole installation: operators and auditors.
    InstallationReader
);
capability!(
    /// May make teams: operators, and platform keys with that right.
    TeamFounder
);
capability!(
    /// May make people known: operators, and platform keys that register principals.
    PeopleRegistrar
);
capability!(
    /// May ask for an enrolment code: operators for anyone; admins of a team for those who are in it alone, which
    /// the use case asks the store about.
    Enroller
);
capability!(
    /// Rules one team: operators, and its admins.
    TeamAdmin
);
capability!(
    /// May see one team and its audit rows: those, its auditors, and auditors of the installation.
    TeamReader
);
capability!(
    /// Registers people and agents in one team: who rules it, and platform keys that list it.
    Registrar
);
capability!(
    /// May see whom a [`Registrar`] registered.
    RegistryReader
);

impl InstallationCapability for InstallationReader {
    fn of(caller: &Caller) -> Result<Self, Denied> {
        administrator(caller, InstallationRole::Auditor).map(Self).ok_or(Denied(caller.kind, READER))
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl InstallationCapability for TeamFounder {
    fn of(caller: &Caller) -> Result<Self, Denied> {
        let right = PlatformRight::RegisterTeams;
        let found = administrator(caller, InstallationRole::Operator).or_else(|| platform(caller, right));
        found.map(Self).ok_or(Denied(caller.kind, FOUNDER))
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl InstallationCapability for PeopleRegistrar {
    fn of(caller: &Caller) -> Result<Self, Denied> {
        let right = PlatformRight::RegisterPrincipals;
        let found = administrator(caller, InstallationRole::Operator).or_else(|| platform(caller, right));
        found.map(Self).ok_or(Denied(caller.kind, PEOPLE))
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl InstallationCapability for Enroller {
    fn of(caller: &Caller) -> Result<Self, Denied> {
        let person = || {
            let (user, session) = person(caller)?;
            Some(Authority::of(caller, Office::Member { user: user.clone(), session, role: None }))
        };
        let found = administrator(caller, InstallationRole::Operator).or_else(person);
        found.map(Self).ok_or(Denied(caller.kind, ENROLLER))
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl TeamCapability for TeamAdmin {
    fn of(caller: &Caller, _: Option<&TeamUid>, seat: Option<Seat>) -> Result<Self, Withheld> {
        match administrator(caller, InstallationRole::Operator) {
            Some(authority) => Ok(Self(authority)),
            None => ruler(caller, seat, TEAM_ADMIN).map(Self),
        }
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl TeamCapability for TeamReader {
    fn of(caller: &Caller, _: Option<&TeamUid>, seat: Option<Seat>) -> Result<Self, Withheld> {
        match administrator(caller, InstallationRole::Auditor) {
            Some(authority) => Ok(Self(authority)),
            None => seated(caller, seat, &[TeamRole::Auditor, TeamRole::Admin], TEAM_READER).map(Self),
        }
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl TeamCapability for Registrar {
    fn of(caller: &Caller, team: Option<&TeamUid>, seat: Option<Seat>) -> Result<Self, Withheld> {
        if let Some(authority) = administrator(caller, InstallationRole::Operator) {
            return Ok(Self(authority));
        }
        match lists(caller, team) {
            Some(listed) => listed.map(Self),
            None => ruler(caller, seat, REGISTRAR).map(Self),
        }
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

impl TeamCapability for RegistryReader {
    fn of(caller: &Caller, team: Option<&TeamUid>, seat: Option<Seat>) -> Result<Self, Withheld> {
        if let Some(authority) = administrator(caller, InstallationRole::Auditor) {
            return Ok(Self(authority));
        }
        match lists(caller, team) {
            Some(listed) => listed.map(Self),
            None => seated(caller, seat, &[TeamRole::Auditor, TeamRole::Admin], REGISTRY).map(Self),
        }
    }
    fn into_authority(self) -> Authority {
        self.0
    }
}

/// The authority of an administrator whose role includes `least`.
fn administrator(caller: &Caller, least: InstallationRole) -> Option<Authority> {
    let Identity::Administrator { id, role } = &caller.identity else { return None };
    match (role, least) {
        (InstallationRole::Operator, _) => Some(Authority::of(caller, Office::Operator(*id))),
        (InstallationRole::Auditor, InstallationRole::Auditor) => Some(Authority::of(caller, Office::Auditor(*id))),
        (InstallationRole::Auditor, InstallationRole::Operator) => None,
    }
}

/// Who calls, where it is a person by a live session of their own.
pub const fn person(caller: &Caller) -> Option<(&UserUid, SessionId)> {
    match &caller.identity {
        Identity::Person { user, session, .. } => Some((user, *session)),
        Identity::Administrator { .. }
        | Identity::ServiceAccount { .. }
        | Identity::Worker { .. }
        | Identity::Run { .. }
        | Identity::Platform { .. } => None,
    }
}

/// A person in one of `roles`. Of a team that they are not in they may not know; of their own they may.
fn seated(caller: &Caller, seat: Option<Seat>, roles: &[TeamRole], needs: &'static str) -> Result<Authority, Withheld> {
    let (user, session) = person(caller).ok_or(Denied(caller.kind, needs))?;
    let seat = seat.ok_or(Withheld::Hidden)?;
    if !roles.contains(&seat.role) {
        return Err(Denied(caller.kind, needs).into());
    }
    if !seat.sign_in_accepted {
        return Err(Withheld::SignInNotAccepted);
    }
    Ok(Authority::of(caller, Office::Member { user: user.clone(), session, role: Some(seat.role) }))
}

/// An admin of a team that is switched on.
fn ruler(caller: &Caller, seat: Option<Seat>, needs: &'static str) -> Result<Authority, Withheld> {
    let authority = seated(caller, seat, &[TeamRole::Admin], needs)?;
    if seat.is_some_and(|seat| seat.team_disabled) { Err(Withheld::TeamDisabled) } else { Ok(authority) }
}

/// `None` where the caller is no platform; a team off its list is none that it may know of.
fn lists(caller: &Caller, team: Option<&TeamUid>) -> Option<Result<Authority, Withheld>> {
    let Identity::Platform { teams, .. } = &caller.identity else { return None };
    let registers = platform(caller, PlatformRight::RegisterPrincipals);
    Some(match registers {
        None => Err(Denied(caller.kind, REGISTRAR).into()),
        Some(_) if !team.is_some_and(|team| teams.contains(team)) => Err(Withheld::Hidden),
        Some(authority) => Ok(authority),
    })
}

fn platform(caller: &Caller, right: PlatformRight) -> Option<Authority> {
    let Identity::Platform { teams, rights } = &caller.identity else { return None };
    rights.includes(right).then(|| Authority::of(caller, Office::Platform { teams: teams.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::id::{RunId, ServiceAccountUid};
    use crate::domain::platform::PlatformRights;
    use crate::domain::principal::Principal;
    use crate::domain::session::{Authentication, SessionOrigin};
    use uuid::Uuid;

    fn caller(kind: CredentialKind, identity: Identity) -> Caller {
        Caller { credential: CredentialId::new(Uuid::from_u128(1)), kind, identity }
    }

    fn administrator_in(role: InstallationRole) -> Caller {
        let id = AdministratorId::new(Uuid::from_u128(2));
        caller(CredentialKind::Administrator, Identity::Administrator { id, role })
    }

    fn a_person() -> Caller {
        let (user, session) = (UserUid::parse("ada").unwrap(), SessionId::new(Uuid::from_u128(3)));
        let by = Authentication { origin: SessionOrigin::EnrolmentCode, amr: Vec::new() };
        caller(CredentialKind::Access, Identity::Person { user, session, by })
    }

    fn a_platform(rights: &[PlatformRight]) -> Caller {
        let rights: PlatformRights = rights.iter().copied().collect();
        caller(CredentialKind::Platform, Identity::Platform { teams: vec![team("acme")], rights })
    }

    fn team(uid: &str) -> TeamUid {
        TeamUid::parse(uid).unwrap()
    }

    /// Those who never administer: agents by key, by token and in a run, people in a run, workers.
    fn agents() -> Vec<Caller> {
        let agent = || Identity::ServiceAccount { uid: ServiceAccountUid::parse("robot").unwrap(), team: team("acme") };
        let run = |principal: &str| Identity::Run {
            run: RunId::parse("0123456789abcdefABCD").unwrap(),
            team: team("acme"),
            principal: Principal::parse(principal).unwrap(),
        };
        let worker = Identity::Worker { teams: vec![team("acme")], audience: Audience::parse("w").unwrap() };
        vec![
            caller(CredentialKind::ServiceAccount, agent()),
            caller(CredentialKind::Access, agent()),
            caller(CredentialKind::Run, run("service_account:robot")),
            caller(CredentialKind::Run, run("user:ada")),
            caller(CredentialKind::Worker, worker),
        ]
    }

    fn may<C: TeamCapability>(caller: &Caller, seat: Option<Seat>) -> &'static str {
        match C::of(caller, Some(&team("acme")), seat) {
            Ok(_) => "may",
            Err(Withheld::Denied(_)) => "denied",
            Err(Withheld::Hidden) => "hidden",
            Err(Withheld::TeamDisabled) => "team disabled",
            Err(Withheld::SignInNotAccepted) => "sign-in",
        }
    }

    /// Rules, reads, registers, reads the register.
    fn all(caller: &Caller, seat: Option<Seat>) -> [&'static str; 4] {
        [
            may::<TeamAdmin>(caller, seat),
            may::<TeamReader>(caller, seat),
            may::<Registrar>(caller, seat),
            may::<RegistryReader>(caller, seat),
        ]
    }

    const OPEN: Seat = Seat { role: TeamRole::Admin, team_disabled: false, sign_in_accepted: true };

    #[test]
    fn threat_21_each_office_has_its_rights_in_a_team_and_no_more() {
        let everything = ["may"; 4];
        let reads = ["denied", "may", "denied", "may"];
        assert_eq!(all(&administrator_in(InstallationRole::Operator), None), everything);
        assert_eq!(all(&administrator_in(InstallationRole::Auditor), None), reads);
        let person = a_person();
        assert_eq!(all(&person, Some(OPEN)), everything);
        assert_eq!(all(&person, Some(Seat { role: TeamRole::Auditor, ..OPEN })), reads);
        assert_eq!(all(&person, Some(Seat { role: TeamRole::Member, ..OPEN })), ["denied"; 4]);
        assert_eq!(all(&person, None), ["hidden"; 4], "a team they are not in");
        let off = Seat { team_disabled: true, ..OPEN };
        assert_eq!(all(&person, Some(off)), ["team disabled", "may", "team disabled", "may"]);
        let foreign = Seat { sign_in_accepted: false, ..OPEN };
        assert_eq!(all(&person, Some(foreign)), ["sign-in"; 4]);
    }

    #[test]
    fn threat_21_a_platform_registers_in_its_teams_and_rules_nowhere() {
        let platform = a_platform(&[PlatformRight::RegisterPrincipals]);
        assert_eq!(all(&platform, None), ["denied", "denied", "may", "may"]);
        let elsewhere = |caller: &Caller| {
            let other = team("other");
            [Some(&other), None].map(|team| {
                matches!(Registrar::of(caller, team, None), Err(Withheld::Hidden))
                    && matches!(RegistryReader::of(caller, team, None), Err(Withheld::Hidden))
            })
        };
        assert_eq!(elsewhere(&platform), [true, true]);
        let minting = a_platform(&[PlatformRight::MintForUsers, PlatformRight::RegisterTeams, PlatformRight::OpenRuns]);
        assert_eq!(all(&minting, None), ["denied"; 4]);
        assert!(TeamFounder::of(&minting).is_ok() && TeamFounder::of(&platform).is_err());
        assert!(PeopleRegistrar::of(&platform).is_ok() && PeopleRegistrar::of(&minting).is_err());
        assert!(InstallationReader::of(&platform).is_err() && Enroller::of(&platform).is_err());
    }

    #[test]
    fn threat_21_agents_runs_and_workers_hold_nothing_whatever_seat_is_found_for_them() {
        for caller in agents() {
            for seat in [None, Some(OPEN)] {
                assert_eq!(all(&caller, seat), ["denied"; 4], "{caller:?}");
            }
            assert!(InstallationReader::of(&caller).is_err() && TeamFounder::of(&caller).is_err(), "{caller:?}");
            assert!(PeopleRegistrar::of(&caller).is_err() && Enroller::of(&caller).is_err(), "{caller:?}");
            assert!(caller.operator().is_err(), "{caller:?}");
        }
    }

    #[test]
    fn an_auditor_of_the_installation_changes_nothing() {
        let auditor = administrator_in(InstallationRole::Auditor);
        assert!(InstallationReader::of(&auditor).is_ok());
        assert!(TeamFounder::of(&auditor).is_err() && PeopleRegistrar::of(&auditor).is_err());
        assert!(Enroller::of(&auditor).is_err() && auditor.operator().is_err());
        let authority = InstallationReader::of(&auditor).unwrap().into_authority();
        assert!(!authority.is_operator() && authority.operator_only().is_err());
    }
}
