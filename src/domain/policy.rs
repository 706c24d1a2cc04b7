//! Who gets which token: the one decision, as a pure function.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::audience::Audience;
use super::credential::CredentialKind;
use super::id::{CredentialId, RunId};
use super::issuer_url::IssuerUrl;
use super::lifetime::Lifetime;
use super::principal::Principal;
use super::role_arn::RoleArn;
use super::run::{Run, RunTerms};
use super::session_name::SourceIdentity;
use super::session_tag::TagKey;
use super::settings::{EffectiveSettings, SettingsFault};
use super::subject::Subject;
use super::team::{MintingIssuer, PeopleMint, RolesClaim, TeamPolicy};

/// Everything that decides beside the request: who asks, in which team, under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Whose token it would be; never from the request's body alone.
    pub subject: &'a Subject,
    /// The run it belongs to, if any.
    pub run: Option<&'a Run>,
    /// Who acts for the subject, if it is not its own credential: the platform, or whoever opened the run.
    pub actor: Option<Actor>,
    /// How the person was authenticated (RFC 8176), where a session is behind it and says so.
    pub amr: &'a [String],
    /// The shared issuer's URL; neither it nor that of a team's private issuer is anybody's audience.
    pub issuer: &'a IssuerUrl,
    /// The team's rules.
    pub policy: &'a TeamPolicy,
    /// What the provider settings come to for this principal, in the run where there is one.
    pub settings: &'a EffectiveSettings,
    /// What they come to outside any run: a run fixes values, not permission.
    pub outside: &'a EffectiveSettings,
    /// The audiences of the workers that serve the team; never on its own list.
    pub worker_audiences: &'a [Audience],
}

/// What the caller asks for.
#[derive(Debug, Clone, Default)]
pub struct MintRequest {
    /// For whom; the first of the run's or the team's list where absent.
    pub audience: Option<Audience>,
    /// How long; shortened to the caps, and 300 s where absent.
    pub lifetime: Option<Lifetime>,
    /// Bound to which role; the one of the run or the settings where absent.
    pub role: Option<RoleArn>,
}

/// Who acts for the subject (RFC 8693, section 4.1), where it is not the principal's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// A worker, a platform, or the opener of a run.
    pub kind: CredentialKind,
    /// Which one.
    pub id: CredentialId,
}

/// The tags of an AWS session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTags {
    /// Each key once, also without case.
    pub tags: BTreeMap<String, String>,
    /// Which of them stay through role chaining: ours alone (threat 37).
    pub transitive: Vec<String>,
}

/// A token that may be minted. Only [`decide`] and [`decide_exchange`] make one, and nothing can widen it.
#[derive(Debug, Clone)]
pub struct Grant {
    subject: Subject,
    run: Option<RunId>,
    audience: Audience,
    lifetime: Lifetime,
    role: Option<RoleArn>,
    tags: Option<SessionTags>,
    source_identity: Option<SourceIdentity>,
    actors: Vec<Actor>,
    amr: Vec<String>,
    issuer: MintingIssuer,
}

impl Grant {
    /// Whose token.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }
    /// In which run.
    pub const fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
    }
    /// For whom.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }
    /// How long.
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }
    /// The one role it is bound to, where it is bound.
    pub const fn role(&self) -> Option<&RoleArn> {
        self.role.as_ref()
    }
    /// Session tags, where the settings ask for them.
    pub const fn tags(&self) -> Option<&SessionTags> {
        self.tags.as_ref()
    }
    /// The source identity, where the settings ask for it.
    pub const fn source_identity(&self) -> Option<&SourceIdentity> {
        self.source_identity.as_ref()
    }
    /// Who acts for the subject, the nearest first: a worker, and behind it the platform or the opener of the run.
    pub fn actors(&self) -> &[Actor] {
        &self.actors
    }
    /// How the person was authenticated, where the team wants its tokens to say so.
    pub fn amr(&self) -> &[String] {
        &self.amr
    }
    /// Which of the team's issuers mints it.
    pub const fn issuer(&self) -> MintingIssuer {
        self.issuer
    }
}

/// Why a token is not minted though the caller is who it says: a closed list, in audit rows and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client's address is in none of the team's ranges.
    #[error("the team's policy does not let its principals ask from this address")]
    AddressNotAllowed,
    /// A person asks outside a run, and the team lets people mint in runs only.
    #[error("the team's policy lets people mint in runs only: open a run at POST /v1/runs")]
    RunRequired,
    /// The run has had all its tokens.
    #[error("the run has had all the tokens it was opened for")]
    RunExhausted,
    /// Not on the team's list, nor a worker's that serves the team.
    #[error("audience is not on the team's list")]
    AudienceNotAllowed,
    /// Not on the run's list.
    #[error("audience is not on the run's list")]
    AudienceNotInRun,
    /// The issuer's own URL, or that of a private issuer.
    #[error("audience must not be the issuer's own URL")]
    AudienceReserved,
    /// The requested role is not open to this principal, or is not the run's.
    #[error("role_arn is not a role that the team's policy allows this principal to name, or not the run's own")]
    RoleNotAllowed,
    /// A token for STS must name a role, and neither request nor settings do.
    #[error(
        "role_arn is required: a token for AWS STS is bound to one role, and the team's provider settings name none"
    )]
    RoleRequired,
    /// A role means something to STS only.
    #[error("role_arn goes only with an audience of AWS STS")]
    RoleNotApplicable,
    /// A run's settings name a model that is not allowed outside it.
    #[error("provider_settings name a model that is not among the allowed_models of the team's provider settings")]
    ModelNotAllowed,
    /// A run's settings would undo what the settings outside it say.
    #[error("provider_settings must not {0}")]
    SettingNotAllowed(&'static str),
    /// Inference is off, or its settings are not whole.
    #[error("{0}")]
    Settings(#[from] SettingsFault),
}

impl Refusal {
    /// The stable word for it, in audit rows and as the last part of the problem type.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "address_not_allowed",
            Self::RunRequired => "run_required",
            Self::RunExhausted => "run_exhausted",
            Self::AudienceNotAllowed => "audience_not_allowed",
            Self::AudienceNotInRun => "audience_not_in_run",
            Self::AudienceReserved => "audience_reserved",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::RoleRequired => "role_required",
            Self::RoleNotApplicable => "role_not_applicable",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::SettingNotAllowed(_) => "setting_not_allowed",
            Self::Settings(SettingsFault::Disabled(_)) => "provider_disabled",
            Self::Settings(SettingsFault::NoRole | SettingsFault::NoRegion) => "provider_not_configured",
            Self::Settings(SettingsFault::Partition) => "provider_misconfigured",
        }
    }
}

/// Decides what whoever asks from `address` gets: a principal's own credential, its run, or a platform in its name.
///
/// A token for STS names exactly one role: the run's own, else the requested one where the team's policy opens it to
/// this principal (asking for the role of the settings is always allowed), else the role of the settings.
/// Switched-off settings refuse every token for STS, so that `disabled` is not a detour. What a run was opened with
/// is asked of the team again at each token: taken off its lists, it is gone.
pub fn decide(standing: Standing<'_>, request: &MintRequest, address: Option<IpAddr>) -> Result<Grant, Refusal> {
    if !standing.policy.admits_address(address) {
        return Err(Refusal::AddressNotAllowed);
    }
    check_people(standing)?;
    let Standing { policy, run, .. } = standing;
    let first = match run {
        Some(run) => run.terms.audiences.first(),
        None => policy.audiences.first().map(|rule| &rule.audience),
    };
    let audience = request.audience.as_ref().or(first).ok_or(Refusal::AudienceNotAllowed)?.clone();
    let audience_cap = permitted_audience(standing, &audience)?;
    if run.is_some_and(|run| !run.terms.audiences.contains(&audience)) {
        return Err(Refusal::AudienceNotInRun);
    }
    let lifetime = Lifetime::granted(request.lifetime, caps(standing, audience_cap));
    if !audience.is_sts() {
        return match request.role {
            Some(_) => Err(Refusal::RoleNotApplicable),
            None => Ok(grant(standing, audience, lifetime, None, None)),
        };
    }
    let role = requested_role(standing, request)?;
    Ok(grant(standing, audience, lifetime, role, None))
}

/// Decides what a worker gets that presents a live token of a caller, or the bearer of a run: an identity token for
/// STS, bound to the first-hop role of the effective settings and to nothing else. The caller asks for nothing here.
pub fn decide_exchange(standing: Standing<'_>, worker: CredentialId) -> Result<Grant, Refusal> {
    check_people(standing)?;
    let (role, _) = standing.settings.first_hop()?;
    if !may_name(standing, role) {
        return Err(Refusal::RoleNotAllowed);
    }
    let listed = standing.policy.audiences.iter().find(|rule| rule.audience.is_sts());
    let audience = listed.map_or_else(Audience::sts, |rule| rule.audience.clone());
    let caps = caps(standing, listed.and_then(|rule| rule.lifetime_cap));
    let actor = Actor { kind: CredentialKind::Worker, id: worker };
    Ok(grant(standing, audience, Lifetime::granted(None, caps), Some(role.clone()), Some(actor)))
}

/// Decides whether a run may be opened with `terms`, of which nothing may be wider than the team's rules at that
/// moment. `standing` is that of the principal outside any run.
pub fn decide_run(standing: Standing<'_>, terms: &RunTerms, address: Option<IpAddr>) -> Result<(), Refusal> {
    if !standing.policy.admits_address(address) {
        return Err(Refusal::AddressNotAllowed);
    }
    for audience in &terms.audiences {
        permitted_audience(standing, audience)?;
    }
    if terms.role.as_ref().is_some_and(|role| !may_name(standing, role)) {
        return Err(Refusal::RoleNotAllowed);
    }
    let (layer, outside) = (&terms.layer, standing.outside);
    let models = layer.models.iter().flat_map(BTreeMap::values).chain(layer.allowed_models.iter().flatten());
    if models.into_iter().any(|model| !outside.allows(model)) {
        return Err(Refusal::ModelNotAllowed);
    }
    let undone = [
        (layer.session_duration.is_some_and(|d| d > outside.session_duration.value), "lengthen the AWS session"),
        (layer.session_tags == Some(false) && outside.session_tags.value, "switch session_tags off"),
        (layer.source_identity == Some(false) && outside.source_identity.value, "switch source_identity off"),
        (layer.base_url.is_some() || layer.sts_endpoint.is_some(), "name endpoints"),
    ];
    match undone.into_iter().find(|(holds, _)| *holds) {
        Some((_, what)) => Err(Refusal::SettingNotAllowed(what)),
        None => Ok(()),
    }
}

fn check_people(standing: Standing<'_>) -> Result<(), Refusal> {
    let person = matches!(standing.subject.principal(), Principal::User(_));
    if person && standing.run.is_none() && standing.policy.people_mint == PeopleMint::InRunsOnly {
        return Err(Refusal::RunRequired);
    }
    Ok(())
}

/// The cap of an audience that the team allows: one of its list, or that of a worker that serves it.
fn permitted_audience(standing: Standing<'_>, audience: &Audience) -> Result<Option<Lifetime>, Refusal> {
    if standing.issuer.reserves(audience.as_str()) {
        return Err(Refusal::AudienceReserved);
    }
    match standing.policy.audience(audience) {
        Some(rule) => Ok(rule.lifetime_cap),
        None if standing.worker_audiences.contains(audience) => Ok(None),
        None => Err(Refusal::AudienceNotAllowed),
    }
}

fn caps(standing: Standing<'_>, audience: Option<Lifetime>) -> impl Iterator<Item = Lifetime> {
    let run = standing.run.and_then(|run| run.terms.lifetime_cap);
    audience.into_iter().chain(run).chain([standing.policy.lifetime_cap])
}

/// Whether the principal may name `role`: that of the settings outside any run, or one that the policy opens to it.
fn may_name(standing: Standing<'_>, role: &RoleArn) -> bool {
    standing.outside.role_arn.as_ref().is_some_and(|own| own.value == *role)
        || standing.policy.may_name(standing.subject.principal(), role)
}

fn requested_role(standing: Standing<'_>, request: &MintRequest) -> Result<Option<RoleArn>, Refusal> {
    let settings = standing.settings;
    if let Some(layer) = settings.disabled_by {
        return Err(SettingsFault::Disabled(layer).into());
    }
    let fixed = standing.run.and_then(|run| run.terms.role.as_ref());
    let asked = match (fixed, &request.role) {
        (Some(fixed), Some(asked)) if fixed != asked => return Err(Refusal::RoleNotAllowed),
        (Some(fixed), _) => Some(fixed),
        (None, asked) => asked.as_ref(),
    };
    match asked {
        Some(role) if !may_name(standing, role) => Err(Refusal::RoleNotAllowed),
        Some(role) => Ok(Some(role.clone())),
        None if standing.policy.roles_claim == RolesClaim::Off => Ok(None),
        None => settings.role_arn.as_ref().map(|own| Some(own.value.clone())).ok_or(Refusal::RoleRequired),
    }
}

fn grant(
    standing: Standing<'_>,
    audience: Audience,
    lifetime: Lifetime,
    role: Option<RoleArn>,
    worker: Option<Actor>,
) -> Grant {
    let sts = audience.is_sts();
    let principal = standing.subject.principal();
    Grant {
        tags: (sts && standing.settings.session_tags.value).then(|| session_tags(standing)),
        source_identity: (sts && standing.settings.source_identity.value).then(|| SourceIdentity::new(principal)),
        subject: standing.subject.clone(),
        run: standing.run.map(|run| run.id.clone()),
        audience,
        lifetime,
        role,
        actors: worker.into_iter().chain(standing.actor).collect(),
        amr: if standing.policy.amr_claim { standing.amr.to_vec() } else { Vec::new() },
        issuer: standing.policy.issuer,
    }
}

/// Our own tags, the team's cost tags, and those of the run's labels whose key the team lists, under the spelling of
/// its list. A session tag overrides the role's own tag of the same key, and STS compares keys without case: so no
/// label reaches a reserved key or a cost tag, in whatever case (threat 37).
fn session_tags(standing: Standing<'_>) -> SessionTags {
    let mut tags = fixed_tags(standing.subject, standing.run.map(|run| &run.id));
    let transitive = tags.keys().cloned().collect();
    let policy = standing.policy;
    let listed = |label: &TagKey| policy.session_tag_keys.iter().find(|key| *key == label);
    let labels = standing.run.into_iter().flat_map(|run| &run.terms.labels);
    let labels = labels.filter(|(key, _)| !policy.cost_tags.contains_key(*key));
    let labels = labels.filter_map(|(key, value)| Some((listed(key)?, value)));
    tags.extend(labels.chain(&policy.cost_tags).map(|(key, value)| (key.to_string(), value.to_string())));
    SessionTags { tags, transitive }
}

/// The tags that only we can set; a session tag overrides the role's own tag of the same key.
pub fn fixed_tags(subject: &Subject, run: Option<&RunId>) -> BTreeMap<String, String> {
    let principal: &Principal = subject.principal();
    let mut tags = BTreeMap::from([
        ("brevet:team".to_owned(), subject.team().to_string()),
        ("brevet:actor".to_owned(), principal.actor_type().to_string()),
        ("brevet:principal".to_owned(), principal.uid().to_owned()),
        ("brevet:sub".to_owned(), subject.to_string()),
    ]);
    if let Some(run) = run {
        tags.insert("brevet:run".to_owned(), run.to_string());
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address_range::AddressRange;
    use crate::domain::id::TeamUid;
    use crate::domain::issuer_url::Development;
    use crate::domain::principal::ActorType;
    use crate::domain::region::Region;
    use crate::domain::run::Opener;
    use crate::domain::session_tag::TagValue;
    use crate::domain::settings::{Layer, ModelId, ProviderLayer, SessionDuration};
    use crate::domain::team::{AudienceRule, RoleRule, WhoMay};
    use proptest::prelude::*;
    use uuid::Uuid;

    struct House {
        subject: Subject,
        issuer: IssuerUrl,
        policy: TeamPolicy,
        layer: ProviderLayer,
        workers: Vec<Audience>,
        run: Option<Run>,
    }

    fn run(terms: RunTerms) -> Run {
        let at = time::macros::datetime!(2026-11-21 12:00 UTC);
        let principal = Principal::new(ActorType::ServiceAccount, "agent-1").unwrap();
        Run {
            id: RunId::parse("0123456789abcdefABCD").unwrap(),
            team: TeamUid::parse("team-1").unwrap(),
            principal,
            opener: Opener {
                kind: CredentialKind::Platform,
                credential: CredentialId::new(Uuid::from_u128(8)),
                session: None,
                by: None,
            },
            terms,
            tokens_issued: 0,
            created_at: at,
            ends_at: at + time::Duration::HOUR,
            ended_at: None,
        }
    }

    fn role(name: &str) -> RoleArn {
        RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{name}")).unwrap()
    }

    fn audience(text: &str) -> Audience {
        Audience::parse(text).unwrap()
    }

    impl House {
        fn new() -> Self {
            let principal = Principal::new(ActorType::ServiceAccount, "agent-1").unwrap();
            Self {
                subject: Subject::new(TeamUid::parse("team-1").unwrap(), principal),
                issuer: IssuerUrl::parse("https://id.example.com", Development::Off).unwrap(),
                policy: TeamPolicy::new_team(),
                layer: ProviderLayer {
                    role_arn: Some(role("bedrock")),
                    region: Some(Region::parse("us-east-1").unwrap()),
                    ..Default::default()
                },
                workers: vec![audience("https://worker.example.com")],
                run: None,
            }
        }

        fn with<T>(&self, act: impl FnOnce(Standing<'_>) -> T) -> T {
            let outside = EffectiveSettings::of(&[(Layer::Team, &self.layer)]);
            let run = self.run.as_ref();
            act(Standing {
                subject: &self.subject,
                run,
                actor: run.map(|run| Actor { kind: run.opener.kind, id: run.opener.credential }),
                amr: &[],
                issuer: &self.issuer,
                policy: &self.policy,
                settings: &run.map_or(outside.clone(), |run| outside.in_run(&run.terms.provider_layer())),
                outside: &outside,
                worker_audiences: &self.workers,
            })
        }

        fn decide(&self, request: &MintRequest) -> Result<Grant, Refusal> {
            self.decide_from(request, None)
        }

        fn decide_from(&self, request: &MintRequest, address: Option<IpAddr>) -> Result<Grant, Refusal> {
            self.with(|standing| decide(standing, request, address))
        }

        fn exchange(&self) -> Result<Grant, Refusal> {
            self.with(|standing| decide_exchange(standing, CredentialId::new(Uuid::from_u128(7))))
        }

        /// Opens a run, which must be allowed.
        fn open(&mut self, change: impl FnOnce(&mut RunTerms)) {
            let terms = Self::terms(change);
            assert_eq!(self.with(|standing| decide_run(standing, &terms, None)), Ok(()));
            self.run = Some(run(terms));
        }

        fn terms(change: impl FnOnce(&mut RunTerms)) -> RunTerms {
            let mut terms = RunTerms {
                audiences: vec![Audience::sts()],
                role: None,
                lifetime_cap: None,
                tokens_max: None,
                labels: BTreeMap::new(),
                layer: ProviderLayer::default(),
            };
            change(&mut terms);
            terms
        }

        fn for_role(&self, name: &str) -> Result<Option<RoleArn>, Refusal> {
            let request = MintRequest { role: Some(role(name)), ..Default::default() };
            self.decide(&request).map(|grant| grant.role().cloned())
        }

        fn for_audience(&self, text: &str) -> Result<Grant, Refusal> {
            self.decide(&MintRequest { audience: Some(audience(text)), ..Default::default() })
        }
    }

    #[test]
    fn a_plain_request_gets_the_first_audience_and_the_role_of_the_settings() {
        let grant = House::new().decide(&MintRequest::default()).unwrap();
        assert_eq!(grant.audience(), &Audience::sts());
        assert_eq!(grant.lifetime(), Lifetime::DEFAULT);
        assert_eq!(grant.role(), Some(&role("bedrock")));
        assert!(grant.tags().is_none() && grant.source_identity().is_none() && grant.actors().is_empty());
    }

    #[test]
    fn threat_5_only_listed_audiences_and_those_of_serving_workers_are_minted() {
        let mut house = House::new();
        house
            .policy
            .audiences
            .push(AudienceRule { audience: audience("vault"), lifetime_cap: Some(Lifetime::new(120).unwrap()) });
        assert_eq!(house.for_audience("vault").map(|g| g.lifetime().seconds()), Ok(120));
        assert_eq!(house.for_audience("https://worker.example.com").map(|g| g.role().cloned()), Ok(None));
        for other in ["Vault", "vault2", "https://worker.example.com/", "STS.amazonaws.com"] {
            assert_eq!(house.for_audience(other).map(|_| ()), Err(Refusal::AudienceNotAllowed), "{other}");
        }
        house.workers.push(audience("https://id.example.com"));
        assert_eq!(house.for_audience("https://id.example.com").map(|_| ()), Err(Refusal::AudienceReserved));
        house.policy.audiences.clear();
        assert_eq!(house.decide(&MintRequest::default()).map(|_| ()), Err(Refusal::AudienceNotAllowed));
    }

    #[test]
    fn threat_39_the_caller_neither_widens_nor_drops_its_role() {
        let mut house = House::new();
        assert_eq!(house.for_role("bedrock"), Ok(Some(role("bedrock"))));
        assert_eq!(house.for_role("admin"), Err(Refusal::RoleNotAllowed));
        let person = Principal::new(ActorType::User, "agent-1").unwrap();
        for (who, expected) in [
            (WhoMay::Everyone, Ok(Some(role("admin")))),
            (WhoMay::Actor(ActorType::User), Err(Refusal::RoleNotAllowed)),
            (WhoMay::Actor(ActorType::ServiceAccount), Ok(Some(role("admin")))),
            (WhoMay::These(vec![person]), Err(Refusal::RoleNotAllowed)),
            (WhoMay::These(vec![house.subject.principal().clone()]), Ok(Some(role("admin")))),
        ] {
            house.policy.roles = vec![RoleRule { role: role("admin"), principals: who }];
            assert_eq!(house.for_role("admin"), expected);
        }
        house.policy.roles_claim = RolesClaim::Off;
        assert_eq!(house.for_role("root"), Err(Refusal::RoleNotAllowed));
        assert_eq!(house.decide(&MintRequest::default()).map(|g| g.role().cloned()), Ok(None));
        house.policy.roles_claim = RolesClaim::Required;
        house.layer.role_arn = None;
        assert_eq!(house.decide(&MintRequest::default()).map(|_| ()), Err(Refusal::RoleRequired));
        let request = MintRequest {
            audience: Some(audience("https://worker.example.com")),
            role: Some(role("bedrock")),
            ..Default::default()
        };
        assert_eq!(house.decide(&request).map(|_| ()), Err(Refusal::RoleNotApplicable));
    }

    #[test]
    fn switched_off_means_no_token_for_sts_at_all() {
        let mut house = House::new();
        house.layer.disabled = true;
        house.policy.roles = vec![RoleRule { role: role("admin"), principals: WhoMay::Everyone }];
        for refused in [house.for_role("admin"), house.for_role("bedrock")] {
            assert_eq!(refused.map_err(Refusal::code), Err("provider_disabled"));
        }
        assert_eq!(house.exchange().map(|_| ()).map_err(Refusal::code), Err("provider_disabled"));
    }

    #[test]
    fn threat_34_an_exchange_is_bound_to_the_role_of_the_settings_and_names_the_worker() {
        let mut house = House::new();
        house.layer.session_tags = Some(true);
        house.layer.source_identity = Some(true);
        let worker = CredentialId::new(Uuid::from_u128(7));
        let grant = house.exchange().unwrap();
        assert_eq!(grant.role(), Some(&role("bedrock")));
        assert_eq!(grant.audience(), &Audience::sts());
        assert_eq!(grant.actors(), [Actor { kind: CredentialKind::Worker, id: worker }]);
        assert_eq!(grant.source_identity().map(SourceIdentity::as_str), Some("s.agent-1"));
        let tags = grant.tags().unwrap();
        assert_eq!(tags.tags["brevet:sub"], "scoped_principal:team-1/service_account:agent-1");
        assert_eq!((tags.tags.len(), tags.transitive.len()), (4, 4));
    }

    #[test]
    fn a_lifetime_is_shortened_to_the_team_cap() {
        let mut house = House::new();
        house.policy.lifetime_cap = Lifetime::new(90).unwrap();
        let asked = MintRequest { lifetime: Some(Lifetime::MAX), ..Default::default() };
        assert_eq!(house.decide(&asked).map(|g| g.lifetime().seconds()), Ok(90));
    }

    #[test]
    fn threat_33_a_run_mints_for_its_own_audiences_role_and_lifetime_only() {
        let mut house = House::new();
        house.policy.audiences.push(AudienceRule { audience: audience("vault"), lifetime_cap: None });
        house.policy.roles = vec![RoleRule { role: role("build"), principals: WhoMay::Everyone }];
        house.open(|terms| {
            terms.role = Some(role("build"));
            terms.lifetime_cap = Lifetime::new(90).ok();
        });
        let grant = house.decide(&MintRequest::default()).unwrap();
        assert_eq!((grant.role(), grant.lifetime().seconds()), (Some(&role("build")), 90));
        assert_eq!(grant.run().map(RunId::as_str), Some("0123456789abcdefABCD"));
        assert_eq!(grant.actors().iter().map(|actor| actor.kind).collect::<Vec<_>>(), [CredentialKind::Platform]);
        assert_eq!(house.for_audience("vault").map(|_| ()), Err(Refusal::AudienceNotInRun));
        assert_eq!(house.for_audience("https://worker.example.com").map(|_| ()), Err(Refusal::AudienceNotInRun));
        assert_eq!(house.for_role("bedrock"), Err(Refusal::RoleNotAllowed));
        assert_eq!(house.for_role("build"), Ok(Some(role("build"))));
        let exchanged = house.exchange().unwrap();
        let kinds: Vec<_> = exchanged.actors().iter().map(|actor| actor.kind).collect();
        assert_eq!(kinds, [CredentialKind::Worker, CredentialKind::Platform]);
        assert_eq!((exchanged.role(), exchanged.lifetime().seconds()), (Some(&role("build")), 90));
        // What is taken off the team's lists is gone from the run at once, whatever it was opened with.
        house.policy.roles.clear();
        assert_eq!(house.decide(&MintRequest::default()).map(|_| ()), Err(Refusal::RoleNotAllowed));
        assert_eq!(house.exchange().map(|_| ()), Err(Refusal::RoleNotAllowed));
        house.policy.audiences.remove(0);
        assert_eq!(house.decide(&MintRequest::default()).map(|_| ()), Err(Refusal::AudienceNotAllowed));
    }

    type Change = fn(&mut RunTerms);

    #[test]
    fn a_run_is_opened_within_the_teams_rules_or_not_at_all() {
        let mut house = House::new();
        house.layer.allowed_models = Some(vec![ModelId::parse("a").unwrap()]);
        house.layer.session_tags = Some(true);
        house.layer.source_identity = Some(true);
        let refused: [(&str, Refusal, Change); 8] = [
            ("audience", Refusal::AudienceNotAllowed, |terms| terms.audiences.push(audience("vault"))),
            ("issuer", Refusal::AudienceReserved, |terms| terms.audiences.push(audience("https://id.example.com"))),
            ("role", Refusal::RoleNotAllowed, |terms| terms.role = Some(role("admin"))),
            ("model", Refusal::ModelNotAllowed, |terms| {
                terms.layer.allowed_models = Some(vec![ModelId::parse("b").unwrap()]);
            }),
            ("named model", Refusal::ModelNotAllowed, |terms| {
                terms.layer.models = Some(BTreeMap::from([("fast".to_owned(), ModelId::parse("b").unwrap())]));
            }),
            ("duration", Refusal::SettingNotAllowed("lengthen the AWS session"), |terms| {
                terms.layer.session_duration = SessionDuration::new(7200).ok();
            }),
            ("tags", Refusal::SettingNotAllowed("switch session_tags off"), |terms| {
                terms.layer.session_tags = Some(false);
            }),
            ("identity", Refusal::SettingNotAllowed("switch source_identity off"), |terms| {
                terms.layer.source_identity = Some(false);
            }),
        ];
        for (name, refusal, change) in refused {
            let terms = House::terms(change);
            assert_eq!(house.with(|standing| decide_run(standing, &terms, None)), Err(refusal), "{name}");
        }
        house.open(|terms| terms.audiences = vec![audience("https://worker.example.com")]);
        assert_eq!(house.for_audience("sts.amazonaws.com").map(|_| ()), Err(Refusal::AudienceNotInRun));
    }

    #[test]
    fn people_may_be_kept_to_runs_and_everyone_to_addresses() {
        let mut house = House::new();
        house.policy.people_mint = PeopleMint::InRunsOnly;
        assert!(house.decide(&MintRequest::default()).is_ok(), "agents are no people");
        let person = Principal::new(ActorType::User, "ada").unwrap();
        house.subject = Subject::new(TeamUid::parse("team-1").unwrap(), person);
        assert_eq!(house.decide(&MintRequest::default()).map(|_| ()), Err(Refusal::RunRequired));
        assert_eq!(house.exchange().map(|_| ()), Err(Refusal::RunRequired));
        house.open(|_| ());
        assert!(house.decide(&MintRequest::default()).is_ok());

        house.policy.address_ranges = vec![AddressRange::parse("10.0.0.0/8").unwrap()];
        let from = |text: &str| Some(text.parse().unwrap());
        for (address, fits) in [(from("10.1.2.3"), true), (from("11.1.2.3"), false), (None, false)] {
            assert_eq!(house.decide_from(&MintRequest::default(), address).is_ok(), fits, "{address:?}");
        }
        let terms = House::terms(|_| ());
        let opened = house.with(|standing| decide_run(standing, &terms, from("11.1.2.3")));
        assert_eq!(opened, Err(Refusal::AddressNotAllowed));
        assert!(house.exchange().is_ok(), "the address of an exchange is the worker's");
    }

    /// Keys that name one thing in many spellings: a few stems, each letter in either case.
    fn any_key() -> impl Strategy<Value = String> {
        const STEMS: [&str; 7] = ["project", "team", "brevet:team", "aws:x", "costcenter", "brevet:project", "stage"];
        (proptest::sample::select(&STEMS[..]), any::<u32>()).prop_map(|(stem, upper)| {
            let case = |(at, c): (usize, char)| if upper >> (at % 32) & 1 == 1 { c.to_ascii_uppercase() } else { c };
            stem.chars().enumerate().map(case).collect()
        })
    }

    proptest! {
        #[test]
        fn threat_37_no_label_reaches_a_key_that_the_team_did_not_list_or_that_is_not_its_own(
            labels in proptest::collection::vec((any_key(), "[a-z]{0,5}"), 0..8),
            listed in proptest::collection::vec(any_key(), 0..4),
            cost in proptest::collection::vec(any_key(), 0..3),
        ) {
            let mut house = House::new();
            house.layer.session_tags = Some(true);
            // Whatever spelling, and also a policy that contradicts itself: reserved keys are no `TagKey`.
            house.policy.session_tag_keys = listed.iter().filter_map(|key| TagKey::parse(key).ok()).collect();
            let paid = TagValue::parse("paid").unwrap();
            house.policy.cost_tags =
                cost.iter().filter_map(|key| Some((TagKey::parse(key).ok()?, paid.clone()))).collect();
            let kept: BTreeMap<_, _> = labels
                .iter()
                .filter_map(|(key, value)| Some((TagKey::parse(key).ok()?, TagValue::parse(value).unwrap())))
                .collect();
            house.run = Some(run(House::terms(|terms| terms.labels = kept.clone())));
            let grant = house.decide(&MintRequest::default()).unwrap();
            let SessionTags { tags, transitive } = grant.tags().unwrap();

            let fixed = fixed_tags(&house.subject, grant.run());
            prop_assert_eq!(transitive, &fixed.keys().cloned().collect::<Vec<_>>());
            let mut folded: Vec<_> = tags.keys().map(|key| key.to_ascii_lowercase()).collect();
            folded.sort();
            let all = folded.len();
            folded.dedup();
            prop_assert_eq!(all, folded.len(), "two spellings of one key: {:?}", tags);
            for (key, value) in tags {
                if let Some(own) = fixed.get(key) {
                    prop_assert_eq!(value, own);
                    continue;
                }
                let key = TagKey::parse(key).unwrap();
                if let Some(paid) = house.policy.cost_tags.get(&key) {
                    prop_assert_eq!(value, paid.as_str());
                    continue;
                }
                prop_assert!(house.policy.session_tag_keys.contains(&key));
                prop_assert_eq!(Some(value.as_str()), kept.get(&key).map(TagValue::as_str));
            }
            let expected = kept.keys().filter(|key| house.policy.session_tag_keys.contains(key));
            for key in expected.chain(house.policy.cost_tags.keys()) {
                prop_assert!(folded.contains(&key.as_str().to_ascii_lowercase()), "{} is missing", key);
            }
        }
    }
}
