//! Teams and what they allow: audiences, roles, lifetimes, ways to sign in.

use time::OffsetDateTime;

use super::audience::Audience;
use super::id::{ServiceAccountUid, TeamUid, UserUid};
use super::lifetime::Lifetime;
use super::principal::{ActorType, Principal};
use super::role_arn::RoleArn;

/// Most audiences a team may list.
pub const AUDIENCES_MAX: usize = 20;
/// Most roles a team may list.
pub const ROLES_MAX: usize = 100;
/// Most characters of a display name of a team, person, agent or key.
pub const NAME_MAX: usize = 200;

/// A team: whom a token speaks for always acts within one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its stable public name, never reused.
    pub uid: TeamUid,
    /// What people call it; in no token.
    pub name: String,
    /// What it allows.
    pub policy: TeamPolicy,
    /// Sent as `sts:ExternalId` on role chaining; ours, read-only, never reused.
    pub external_id: String,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Since when nothing of it mints, if so.
    pub disabled_at: Option<OffsetDateTime>,
    /// Since when it is a tombstone, if so.
    pub deleted_at: Option<OffsetDateTime>,
    /// Counts every change of the team, its policy or its provider settings; the audit statement proves
    /// that a grant was decided under the current one.
    pub version: i64,
}

/// A person, known to the installation; the teams they act in are memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Stable, never reused.
    pub uid: UserUid,
    /// What people call them; in no token.
    pub name: String,
    /// For people to recognise them by; never an identity, never in a token.
    pub email: Option<String>,
    /// Since when they are known.
    pub created_at: OffsetDateTime,
    /// Since when they may do nothing, if so.
    pub disabled_at: Option<OffsetDateTime>,
    /// Since when they are a tombstone (name and e-mail erased), if so.
    pub deleted_at: Option<OffsetDateTime>,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

/// An agent; it belongs to one team for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Stable, never reused.
    pub uid: ServiceAccountUid,
    /// The team it belongs to.
    pub team: TeamUid,
    /// What people call it; in no token.
    pub name: String,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Since when it mints nothing, if so.
    pub disabled_at: Option<OffsetDateTime>,
    /// Since when it is a tombstone, if so.
    pub deleted_at: Option<OffsetDateTime>,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

/// That a person may act in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The team.
    pub team: TeamUid,
    /// The person.
    pub user: UserUid,
    /// Since when.
    pub created_at: OffsetDateTime,
}

/// What a team allows its principals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamPolicy {
    /// For whom tokens may be minted; the first is the default.
    pub audiences: Vec<AudienceRule>,
    /// Which roles may be asked for beside the one in the provider settings, and by whom.
    pub roles: Vec<RoleRule>,
    /// No token of the team lives longer.
    pub lifetime_cap: Lifetime,
    /// Whether tokens for STS are bound to one role.
    pub roles_claim: RolesClaim,
    /// Whether sessions opened with an enrolment code mint for this team.
    pub enrolment_codes: bool,
    /// Which issuer mints for the team.
    pub issuer: MintingIssuer,
}

/// One audience on a team's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceRule {
    /// The audience.
    pub audience: Audience,
    /// No token for it lives longer.
    pub lifetime_cap: Option<Lifetime>,
}

/// One role that principals may name themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRule {
    /// The role.
    pub role: RoleArn,
    /// Who may name it.
    pub principals: WhoMay,
}

/// A set of principals of one team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhoMay {
    /// Everyone in the team.
    Everyone,
    /// Only people, or only agents.
    Actor(ActorType),
    /// Exactly these.
    These(Vec<Principal>),
}

impl WhoMay {
    /// Whether `principal` is in the set.
    pub fn includes(&self, principal: &Principal) -> bool {
        match self {
            Self::Everyone => true,
            Self::Actor(actor) => *actor == principal.actor_type(),
            Self::These(list) => list.contains(principal),
        }
    }
}

/// Whether a token for STS carries `https://aws.amazon.com/roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolesClaim {
    /// Always exactly one ARN: the default.
    Required,
    /// None, by an audited setting of the team; any role whose trust policy admits the subject then takes the token.
    Off,
}

/// Which issuer mints for a team. Where a team has both, both are published and accepted whichever mints, so that a
/// change from one to the other breaks nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MintingIssuer {
    /// The installation's own: the default. A trust policy must pin the subject.
    Shared,
    /// The team's private one, `<issuer>/t/<team-uid>`, whose keys sign for this team alone: even a trust policy
    /// without a subject admits no other team.
    Private,
}

impl MintingIssuer {
    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Private => "private",
        }
    }

    /// The exact inverse of [`MintingIssuer::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Shared, Self::Private].into_iter().find(|which| which.as_str() == text)
    }
}

impl TeamPolicy {
    /// The policy of a new team: tokens for STS, bound to the role of the settings.
    pub fn new_team() -> Self {
        Self {
            audiences: vec![AudienceRule { audience: Audience::sts(), lifetime_cap: None }],
            roles: Vec::new(),
            lifetime_cap: Lifetime::MAX,
            roles_claim: RolesClaim::Required,
            enrolment_codes: true,
            issuer: MintingIssuer::Shared,
        }
    }

    /// The rule of `audience`, where it is on the list.
    pub fn audience(&self, audience: &Audience) -> Option<&AudienceRule> {
        self.audiences.iter().find(|rule| rule.audience == *audience)
    }

    /// Whether `principal` may name `role` by itself.
    pub fn may_name(&self, principal: &Principal, role: &RoleArn) -> bool {
        self.roles.iter().any(|rule| rule.role == *role && rule.principals.includes(principal))
    }
}
