//! Who gets which token: the one decision, as a pure function.

use std::collections::BTreeMap;

use super::audience::Audience;
use super::credential::CredentialKind;
use super::id::{CredentialId, RunId};
use super::issuer_url::IssuerUrl;
use super::lifetime::Lifetime;
use super::principal::Principal;
use super::role_arn::RoleArn;
use super::session_name::SourceIdentity;
use super::settings::{EffectiveSettings, SettingsFault};
use super::subject::Subject;
use super::team::{MintingIssuer, RolesClaim, TeamPolicy};

/// Everything that decides beside the request: who asks, in which team, under which rules.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// Whose token it would be; never from the request's body.
    pub subject: &'a Subject,
    /// The run it belongs to, if any.
    pub run: Option<&'a RunId>,
    /// The shared issuer's URL; neither it nor that of a team's private issuer is anybody's audience.
    pub issuer: &'a IssuerUrl,
    /// The team's rules.
    pub policy: &'a TeamPolicy,
    /// What the provider settings come to for this principal.
    pub settings: &'a EffectiveSettings,
    /// The audiences of the workers that serve the team; never on its own list.
    pub worker_audiences: &'a [Audience],
}

/// What the caller asks for.
#[derive(Debug, Clone, Default)]
pub struct MintRequest {
    /// For whom; the first of the team's list where absent.
    pub audience: Option<Audience>,
    /// How long; shortened to the caps, and 300 s where absent.
    pub lifetime: Option<Lifetime>,
    /// Bound to which role; the one of the settings where absent.
    pub role: Option<RoleArn>,
}

/// Who acts for the subject (RFC 8693, section 4.1), where it is not the principal's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// A worker, and later a platform or the opener of a run.
    pub kind: CredentialKind,
    /// Which one.
    pub id: CredentialId,
}

/// A token that may be minted. Only [`decide`] and [`decide_exchange`] make one, and nothing can widen it.
#[derive(Debug, Clone)]
pub struct Grant {
    subject: Subject,
    run: Option<RunId>,
    audience: Audience,
    lifetime: Lifetime,
    role: Option<RoleArn>,
    tags: Option<BTreeMap<String, String>>,
    source_identity: Option<SourceIdentity>,
    actor: Option<Actor>,
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
    pub const fn tags(&self) -> Option<&BTreeMap<String, String>> {
        self.tags.as_ref()
    }
    /// The source identity, where the settings ask for it.
    pub const fn source_identity(&self) -> Option<&SourceIdentity> {
        self.source_identity.as_ref()
    }
    /// Who acts for the subject.
    pub const fn actor(&self) -> Option<Actor> {
        self.actor
    }
    /// Which of the team's issuers mints it.
    pub const fn issuer(&self) -> MintingIssuer {
        self.issuer
    }
}

/// Why a token is not minted though the caller is who it says: a closed list, in audit rows and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not on the team's list, nor a worker's that serves the team.
    #[error("audience is not on the team's list")]
    AudienceNotAllowed,
    /// The issuer's own URL, or that of a private issuer.
    #[error("audience must not be the issuer's own URL")]
    AudienceReserved,
    /// The requested role is not open to this principal.
    #[error("role_arn is not a role that the team's policy allows this principal to name")]
    RoleNotAllowed,
    /// A token for STS must name a role, and neither request nor settings do.
    #[error(
        "role_arn is required: a token for AWS STS is bound to one role, and the team's provider settings name none"
    )]
    RoleRequired,
    /// A role means something to STS only.
    #[error("role_arn goes only with an audience of AWS STS")]
    RoleNotApplicable,
    /// Inference is off, or its settings are not whole.
    #[error("{0}")]
    Settings(#[from] SettingsFault),
}

impl Refusal {
    /// The stable word for it, in audit rows and as the last part of the problem type.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AudienceNotAllowed => "audience_not_allowed",
            Self::AudienceReserved => "audience_reserved",
            Self::RoleNotAllowed => "role_not_allowed",
            Self::RoleRequired => "role_required",
            Self::RoleNotApplicable => "role_not_applicable",
            Self::Settings(SettingsFault::Disabled(_)) => "provider_disabled",
            Self::Settings(SettingsFault::NoRole | SettingsFault::NoRegion) => "provider_not_configured",
            Self::Settings(SettingsFault::Partition) => "provider_misconfigured",
        }
    }
}

/// Decides what a principal's own credential gets.
///
/// A token for STS names exactly one role: the requested one where the team's policy opens it to this
/// principal (asking for the role of the settings is always allowed), else the role of the settings.
/// Switched-off settings refuse every token for STS, so that `disabled` is not a detour.
pub fn decide(standing: Standing<'_>, request: &MintRequest) -> Result<Grant, Refusal> {
    let Standing { policy, issuer, .. } = standing;
    let audience = request.audience.clone().or_else(|| policy.audiences.first().map(|rule| rule.audience.clone()));
    let audience = audience.ok_or(Refusal::AudienceNotAllowed)?;
    if issuer.reserves(audience.as_str()) {
        return Err(Refusal::AudienceReserved);
    }
    let audience_cap = match policy.audience(&audience) {
        Some(rule) => rule.lifetime_cap,
        None if standing.worker_audiences.contains(&audience) => None,
        None => return Err(Refusal::AudienceNotAllowed),
    };
    let lifetime = Lifetime::granted(request.lifetime, audience_cap.into_iter().chain([policy.lifetime_cap]));
    if !audience.is_sts() {
        return match request.role {
            Some(_) => Err(Refusal::RoleNotApplicable),
            None => Ok(grant(standing, audience, lifetime, None, None)),
        };
    }
    let role = requested_role(standing, request)?;
    Ok(grant(standing, audience, lifetime, role, None))
}

/// Decides what a worker gets that presents a live token of a caller: an identity token for STS, bound to
/// the first-hop role of the effective settings and to nothing else. The caller asks for nothing here.
pub fn decide_exchange(standing: Standing<'_>, worker: CredentialId) -> Result<Grant, Refusal> {
    let (role, _) = standing.settings.first_hop()?;
    let listed = standing.policy.audiences.iter().find(|rule| rule.audience.is_sts());
    let audience = listed.map_or_else(Audience::sts, |rule| rule.audience.clone());
    let caps = listed.and_then(|rule| rule.lifetime_cap).into_iter().chain([standing.policy.lifetime_cap]);
    let actor = Actor { kind: CredentialKind::Worker, id: worker };
    Ok(grant(standing, audience, Lifetime::granted(None, caps), Some(role.clone()), Some(actor)))
}

fn requested_role(standing: Standing<'_>, request: &MintRequest) -> Result<Option<RoleArn>, Refusal> {
    let settings = standing.settings;
    if let Some(layer) = settings.disabled_by {
        return Err(SettingsFault::Disabled(layer).into());
    }
    let own = settings.role_arn.as_ref().map(|role| &role.value);
    match &request.role {
        Some(role) if Some(role) != own && !standing.policy.may_name(standing.subject.principal(), role) => {
            Err(Refusal::RoleNotAllowed)
        }
        Some(role) => Ok(Some(role.clone())),
        None if standing.policy.roles_claim == RolesClaim::Off => Ok(None),
        None => own.cloned().map(Some).ok_or(Refusal::RoleRequired),
    }
}

fn grant(
    standing: Standing<'_>,
    audience: Audience,
    lifetime: Lifetime,
    role: Option<RoleArn>,
    actor: Option<Actor>,
) -> Grant {
    let sts = audience.is_sts();
    let principal = standing.subject.principal();
    Grant {
        tags: (sts && standing.settings.session_tags.value).then(|| fixed_tags(standing.subject, standing.run)),
        source_identity: (sts && standing.settings.source_identity.value).then(|| SourceIdentity::new(principal)),
        subject: standing.subject.clone(),
        run: standing.run.cloned(),
        audience,
        lifetime,
        role,
        actor,
        issuer: standing.policy.issuer,
    }
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
    use crate::domain::id::TeamUid;
    use crate::domain::issuer_url::Development;
    use crate::domain::principal::ActorType;
    use crate::domain::region::Region;
    use crate::domain::settings::{Layer, ProviderLayer};
    use crate::domain::team::{AudienceRule, RoleRule, WhoMay};

    struct House {
        subject: Subject,
        issuer: IssuerUrl,
        policy: TeamPolicy,
        layer: ProviderLayer,
        workers: Vec<Audience>,
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
            }
        }

        fn with<T>(&self, act: impl FnOnce(Standing<'_>) -> T) -> T {
            act(Standing {
                subject: &self.subject,
                run: None,
                issuer: &self.issuer,
                policy: &self.policy,
                settings: &EffectiveSettings::of(&[(Layer::Team, &self.layer)]),
                worker_audiences: &self.workers,
            })
        }

        fn decide(&self, request: &MintRequest) -> Result<Grant, Refusal> {
            self.with(|standing| decide(standing, request))
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
        assert!(grant.tags().is_none() && grant.source_identity().is_none() && grant.actor().is_none());
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
        let exchanged = house.with(|standing| decide_exchange(standing, CredentialId::new(uuid::Uuid::nil())));
        assert_eq!(exchanged.map(|_| ()).map_err(Refusal::code), Err("provider_disabled"));
    }

    #[test]
    fn threat_34_an_exchange_is_bound_to_the_role_of_the_settings_and_names_the_worker() {
        let mut house = House::new();
        house.layer.session_tags = Some(true);
        house.layer.source_identity = Some(true);
        let worker = CredentialId::new(uuid::Uuid::from_u128(7));
        let grant = house.with(|standing| decide_exchange(standing, worker)).unwrap();
        assert_eq!(grant.role(), Some(&role("bedrock")));
        assert_eq!(grant.audience(), &Audience::sts());
        assert_eq!(grant.actor(), Some(Actor { kind: CredentialKind::Worker, id: worker }));
        assert_eq!(grant.source_identity().map(SourceIdentity::as_str), Some("s.agent-1"));
        let tags = grant.tags().unwrap();
        assert_eq!(tags["brevet:sub"], "scoped_principal:team-1/service_account:agent-1");
        assert_eq!(tags.len(), 4);
    }

    #[test]
    fn a_lifetime_is_shortened_to_the_team_cap() {
        let mut house = House::new();
        house.policy.lifetime_cap = Lifetime::new(90).unwrap();
        let asked = MintRequest { lifetime: Some(Lifetime::MAX), ..Default::default() };
        assert_eq!(house.decide(&asked).map(|g| g.lifetime().seconds()), Ok(90));
    }
}
