//! Teams and what they allow: audiences, roles, lifetimes, ways to sign in.

use std::collections::BTreeMap;
use std::net::IpAddr;

use time::OffsetDateTime;

use super::address_range::AddressRange;
use super::audience::Audience;
use super::id::{ServiceAccountUid, TeamUid, UpstreamUid, UserUid};
use super::lifetime::Lifetime;
use super::principal::{ActorType, Principal};
use super::role::TeamRole;
use super::role_arn::RoleArn;
use super::session::SessionOrigin;
use super::session_tag::{TAGS_MAX, TAGS_RESERVED, TagKey, TagValue};
use super::upstream::Joining;

/// Most audiences a team may list.
pub const AUDIENCES_MAX: usize = 20;
/// Most roles a team may list.
pub const ROLES_MAX: usize = 100;
/// Most sign-in providers a team may accept.
pub const UPSTREAM_PROVIDERS_MAX: usize = 20;
/// Most address ranges a team may list.
pub const ADDRESS_RANGES_MAX: usize = 50;
/// Most labels and cost tags that a team may allow together: STS takes 50 tags, and the fixed ones are ours.
pub const OWN_TAGS_MAX: usize = TAGS_MAX - TAGS_RESERVED;
/// Most characters of all cost tags together, as of a run's labels: the token is to stay short enough for STS and for the
/// headers it travels in (threat 9).
pub const COST_TAGS_LENGTH_MAX: usize = 2048;

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
    /// What they may do there.
    pub role: TeamRole,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Since when they may do nothing there, if so.
    pub disabled_at: Option<OffsetDateTime>,
    /// Counts changes, for `If-Match`.
    pub version: i64,
}

impl Membership {
    /// A new one, of a plain member.
    pub const fn new(team: TeamUid, user: UserUid, created_at: OffsetDateTime) -> Self {
        Self { team, user, role: TeamRole::Member, created_at, disabled_at: None, version: 1 }
    }
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
    /// The providers whose sessions mint for this team; each once.
    pub upstream_providers: Vec<UpstreamUid>,
    /// Whether people's tokens say how their provider authenticated them.
    pub amr_claim: bool,
    /// Who of which provider's people comes into the team by signing in; nobody where empty.
    pub joins: Vec<Joining>,
    /// Which labels of a run become session tags; other labels stay labels.
    pub session_tag_keys: Vec<TagKey>,
    /// Session tags that every token for STS carries where tags are on; no label changes them.
    pub cost_tags: BTreeMap<TagKey, TagValue>,
    /// From where the team's principals may ask for tokens; from everywhere where empty.
    pub address_ranges: Vec<AddressRange>,
    /// Whether people mint for themselves, or only in runs.
    pub people_mint: PeopleMint,
    /// Which issuer mints for the team.
    pub issuer: MintingIssuer,
}

/// Where people may mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeopleMint {
    /// With their session, and in runs.
    Anywhere,
    /// In runs alone.
    InRunsOnly,
}

impl PeopleMint {
    /// Every choice there is.
    pub const ALL: [Self; 2] = [Self::Anywhere, Self::InRunsOnly];

    /// The word in JSON and on the terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::InRunsOnly => "in_runs_only",
        }
    }

    /// The exact inverse of [`PeopleMint::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == text)
    }
}

/// What two members of a policy contradict each other in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} {}", self.field(), self.rule())]
pub enum PolicyConflict {
    /// A label would change a cost tag.
    LabelIsCostTag,
    /// More than STS takes.
    TooManyTags,
    /// Cost tags longer than [`COST_TAGS_LENGTH_MAX`].
    CostTagsLength,
}

impl PolicyConflict {
    /// The member that breaks it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::LabelIsCostTag | Self::TooManyTags => "session_tag_keys",
            Self::CostTagsLength => "cost_tags",
        }
    }

    /// The rule that it breaks.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::LabelIsCostTag => "must not hold a key of cost_tags, in whatever case",
            Self::TooManyTags => {
                "must have at most 45 keys together with cost_tags: AWS STS takes 50 tags, and 5 are Brevet's"
            }
            Self::CostTagsLength => "must have at most 2048 characters in all keys and values together",
        }
    }
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
            upstream_providers: Vec::new(),
            amr_claim: false,
            joins: Vec::new(),
            session_tag_keys: Vec::new(),
            cost_tags: BTreeMap::new(),
            address_ranges: Vec::new(),
            people_mint: PeopleMint::Anywhere,
            issuer: MintingIssuer::Shared,
        }
    }

    /// Whether sessions that were opened in this way mint for the team (threat 38).
    pub fn accepts(&self, origin: &SessionOrigin) -> bool {
        match origin {
            SessionOrigin::EnrolmentCode => self.enrolment_codes,
            SessionOrigin::Upstream(provider) => self.upstream_providers.contains(provider),
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

    /// Whether the team's principals may ask from `address`. An address that nobody knows lies in no range.
    pub fn admits_address(&self, address: Option<IpAddr>) -> bool {
        let within = |address| self.address_ranges.iter().any(|range| range.contains(address));
        self.address_ranges.is_empty() || address.is_some_and(within)
    }

    /// What no single member tells: whether `session_tag_keys` and `cost_tags` go together.
    pub fn check_tags(&self) -> Result<(), PolicyConflict> {
        if self.session_tag_keys.iter().any(|key| self.cost_tags.contains_key(key)) {
            return Err(PolicyConflict::LabelIsCostTag);
        }
        if self.session_tag_keys.len() + self.cost_tags.len() > OWN_TAGS_MAX {
            return Err(PolicyConflict::TooManyTags);
        }
        let length: usize = self.cost_tags.iter().map(|(key, value)| key.as_str().len() + value.as_str().len()).sum();
        if length > COST_TAGS_LENGTH_MAX { Err(PolicyConflict::CostTagsLength) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_outside_the_ranges_or_unknown_is_not_admitted() {
        let mut policy = TeamPolicy::new_team();
        let at = |text: &str| Some(text.parse().unwrap());
        assert!(policy.admits_address(None) && policy.admits_address(at("192.0.2.1")));
        policy.address_ranges = vec![AddressRange::parse("10.0.0.0/8").unwrap(), AddressRange::parse("::1").unwrap()];
        assert!(policy.admits_address(at("10.1.1.1")) && policy.admits_address(at("::1")));
        assert!(!policy.admits_address(at("192.0.2.1")) && !policy.admits_address(None));
    }

    #[test]
    fn threat_37_labels_never_change_a_cost_tag_and_all_fit_into_a_session() {
        let key = |text: &str| TagKey::parse(text).unwrap();
        let mut policy = TeamPolicy::new_team();
        policy.cost_tags.insert(key("CostCenter"), TagValue::parse("42").unwrap());
        policy.session_tag_keys = vec![key("costcenter")];
        assert_eq!(policy.check_tags(), Err(PolicyConflict::LabelIsCostTag));
        policy.session_tag_keys = (1..OWN_TAGS_MAX).map(|n| key(&format!("label-{n}"))).collect();
        assert_eq!(policy.check_tags(), Ok(()));
        policy.session_tag_keys.push(key("one-more"));
        assert_eq!(policy.check_tags(), Err(PolicyConflict::TooManyTags));
    }

    #[test]
    fn threat_9_cost_tags_have_a_budget_of_characters() {
        let mut policy = TeamPolicy::new_team();
        let tag = |n: usize, length: usize| {
            (TagKey::parse(&format!("k{n:03}")).unwrap(), TagValue::parse(&"v".repeat(length)).unwrap())
        };
        policy.cost_tags.extend((0..8).map(|n| tag(n, 252)));
        assert_eq!(policy.check_tags(), Ok(()));
        policy.cost_tags.extend([tag(8, 0)]);
        assert_eq!(policy.check_tags(), Err(PolicyConflict::CostTagsLength));
    }
}
