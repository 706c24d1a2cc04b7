//! The policies that a customer's account needs so that tokens of ours open Bedrock: made with the constructors
//! that mint, so that what we sign and what they admit cannot drift apart.

use std::collections::BTreeMap;

use super::document::{Actions, Conditions, Document, Effect, Principals, Resources, Statement, Values, Version};
use super::operator::{Comparison, Operator};
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::principal::{ActorType, Principal};
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::settings::ModelId;
use crate::domain::subject::Subject;

/// Characters of a trust policy that every account takes (IAM quotas; white space does not count).
pub const TRUST_DEFAULT_MAX: usize = 2048;
/// Characters of a trust policy after a quota increase.
pub const TRUST_MAX: usize = 4096;
/// Characters of all inline policies of a role together.
pub const INLINE_MAX: usize = 10_240;

/// What the policies are for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Whose tokens the account trusts.
    pub issuer: IssuerUrl,
    /// A second issuer of the same team, trusted as well while it changes over from one to the other.
    pub also: Option<IssuerUrl>,
    /// The role that they open, and with it account and partition.
    pub role: RoleArn,
    /// Where Bedrock is called.
    pub region: Region,
    /// The audience that the tokens carry.
    pub audience: Audience,
    /// The team.
    pub team: TeamUid,
    /// Who of the team; empty admits every actor type of today by its name, and none that comes later.
    pub actors: Vec<Actor>,
    /// Whether only tokens bound to this role open it (`sts:RoleAuthorizedByIdp`).
    pub role_bound: bool,
    /// Whether the tokens carry session tags.
    pub session_tags: bool,
    /// Whether the tokens carry a source identity.
    pub source_identity: bool,
    /// The models that may be called; never empty.
    pub models: Vec<ModelId>,
}

/// Who of a team may assume the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Everyone of one kind.
    Every(ActorType),
    /// Exactly one.
    One(Principal),
}

/// Why no policy is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// Nothing to permit.
    #[error("models must name at least one model: the role's permissions are made of them")]
    NoModels,
    /// Region and role lie in different partitions.
    #[error("region must lie in the partition of role_arn")]
    Partition,
    /// Longer than IAM ever takes.
    #[error("the trust policy has {0} characters and IAM takes at most 4096: name fewer actors, or a kind of actor")]
    TrustTooLong(usize),
    /// Longer than IAM takes.
    #[error("the permission policy has {0} characters and IAM takes at most 10240: name fewer models")]
    PermissionsTooLong(usize),
}

/// The two documents of a role.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Who may assume it.
    pub trust: Document,
    /// What it may do.
    pub permissions: Document,
}

impl Setup {
    /// The ARN of the identity provider in the role's account: one provider an issuer and account.
    pub fn provider_arn(&self) -> String {
        self.provider_of(&self.issuer)
    }

    /// The ARN of the provider of `issuer`, its path included.
    pub fn provider_of(&self, issuer: &IssuerUrl) -> String {
        let (partition, account) = (self.role.partition(), self.role.account());
        format!("arn:{partition}:iam::{account}:oidc-provider/{}", issuer.without_scheme())
    }

    /// Makes both documents, within IAM's limits.
    pub fn policies(&self) -> Result<Policies, GenerateError> {
        if self.models.is_empty() {
            return Err(GenerateError::NoModels);
        }
        if !self.role.is_reachable_from(&self.region) {
            return Err(GenerateError::Partition);
        }
        let policies = Policies { trust: self.trust(), permissions: self.permissions() };
        let (trust, permissions) = (policies.trust.to_json().len(), policies.permissions.to_json().len());
        if trust > TRUST_MAX {
            return Err(GenerateError::TrustTooLong(trust));
        }
        if permissions > INLINE_MAX {
            return Err(GenerateError::PermissionsTooLong(permissions));
        }
        Ok(policies)
    }

    fn trust(&self) -> Document {
        let mut statements = vec![self.trusting(&self.issuer, "BrevetTeam")];
        // A statement each: condition keys carry the issuer's URL, and a principal is one provider.
        statements.extend(self.also.as_ref().map(|issuer| self.trusting(issuer, "BrevetTeamChangingOver")));
        document(statements)
    }

    /// Always audience and subject: on a shared issuer either alone would admit strangers. A private issuer's tokens
    /// are of one team anyway, and the subject says who of it.
    fn trusting(&self, issuer: &IssuerUrl, sid: &str) -> Statement {
        let key = |claim: &str| format!("{}:{claim}", issuer.without_scheme());
        let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
        actions.extend(self.session_tags.then_some("sts:TagSession"));
        actions.extend(self.source_identity.then_some("sts:SetSourceIdentity"));
        let mut conditions = Conditions::new();
        let mut demand = |comparison, key: String, values| {
            conditions.entry(plain(comparison)).or_default().insert(key, values);
        };
        demand(Comparison::StringEquals, key("aud"), Values::one(self.audience.as_str()));
        let (comparison, subjects) = self.subjects();
        demand(comparison, key("sub"), few(subjects));
        if self.role_bound {
            demand(Comparison::Bool, "sts:RoleAuthorizedByIdp".to_owned(), Values::one("true"));
        }
        Statement {
            sid: Some(sid.to_owned()),
            effect: Effect::Allow,
            principal: Some(Principals::federated(&self.provider_of(issuer))),
            actions: Actions::Only(few(actions)),
            resources: None,
            conditions,
        }
    }

    /// The subjects to admit. An exact subject means the same under `StringLike`, because no uid may hold a
    /// wildcard; so one list serves where exact subjects and patterns meet. Never `<team>/*`: that would admit an
    /// actor type of a later version that the customer has never heard of.
    fn subjects(&self) -> (Comparison, Vec<String>) {
        if self.actors.is_empty() {
            return (Comparison::StringLike, Subject::team_patterns(&self.team).into());
        }
        let exact = self.actors.iter().all(|actor| matches!(actor, Actor::One(_)));
        let texts = self.actors.iter().map(|actor| match actor {
            Actor::Every(kind) => Subject::actor_pattern(&self.team, *kind),
            Actor::One(principal) => Subject::new(self.team.clone(), principal.clone()).to_string(),
        });
        (if exact { Comparison::StringEquals } else { Comparison::StringLike }, texts.collect())
    }

    fn permissions(&self) -> Document {
        let mut statements: Vec<Statement> = Vec::new();
        let mut plain_models = Vec::new();
        let mut profiles = Vec::new();
        for model in &self.models {
            match Reached::of(model, self) {
                Reached::Model(arn) => plain_models.push(arn),
                Reached::Profile { profile, models } => {
                    statements.push(allow(None, &INVOKE, models, Some(&profile)));
                    profiles.push(profile);
                }
            }
        }
        // A call through a profile is judged on the profile and on the model of each region it reaches; the
        // models are opened for calls through that profile only.
        if !profiles.is_empty() {
            let actions =
                ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "bedrock:GetInferenceProfile"];
            statements.insert(0, allow(Some("BrevetProfiles"), &actions, profiles, None));
        }
        if !plain_models.is_empty() {
            statements.insert(0, allow(Some("BrevetModels"), &INVOKE, plain_models, None));
        }
        // A session of this role could sign a bearer key for itself that outlives the caller's liveness check.
        statements.push(Statement {
            sid: Some("BrevetNoBearerKeys".to_owned()),
            effect: Effect::Deny,
            principal: None,
            actions: Actions::Only(Values::list(["bedrock:CallWithBearerToken", "bedrock-mantle:CallWithBearerToken"])),
            resources: Some(Resources::Only(Values::one("*"))),
            conditions: Conditions::new(),
        });
        document(statements)
    }
}

const INVOKE: [&str; 2] = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"];

/// First labels of cross-region profile ids (Bedrock User Guide, "Supported inference profiles"); what has
/// another first label is a model's own id.
const GEOGRAPHIES: [&str; 10] = ["us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "me", "global"];

/// What a call of one model id is judged on.
enum Reached {
    /// One resource.
    Model(String),
    /// A profile and the models behind it.
    Profile { profile: String, models: Vec<String> },
}

impl Reached {
    fn of(model: &ModelId, setup: &Setup) -> Self {
        let (partition, account) = (setup.role.partition(), setup.role.account());
        let (id, region) = (model.as_str(), &setup.region);
        let foundation =
            |region: &str, model: &str| format!("arn:{partition}:bedrock:{region}::foundation-model/{model}");
        if id.starts_with("arn:") {
            return match id.splitn(6, ':').nth(5).and_then(|resource| resource.split_once('/')) {
                // The models behind an application profile are not in its name.
                Some(("application-inference-profile", _)) => {
                    Self::Profile { profile: id.to_owned(), models: vec![foundation("*", "*")] }
                }
                Some(("inference-profile", name)) => {
                    let base = name.split_once('.').map_or("*", |(_, base)| base);
                    Self::Profile { profile: id.to_owned(), models: vec![foundation("*", base)] }
                }
                _ => Self::Model(id.to_owned()),
            };
        }
        match id.split_once('.').filter(|(first, _)| GEOGRAPHIES.contains(first)) {
            None => Self::Model(foundation(region.as_str(), id)),
            Some((geography, base)) => {
                let profile = format!("arn:{partition}:bedrock:{region}:{account}:inference-profile/{id}");
                // A global profile is judged on the model of the region called and on one without region.
                let regions: &[&str] = if geography == "global" { &[region.as_str(), ""] } else { &["*"] };
                Self::Profile { profile, models: regions.iter().map(|region| foundation(region, base)).collect() }
            }
        }
    }
}

fn allow(sid: Option<&str>, actions: &[&str], resources: Vec<String>, through: Option<&str>) -> Statement {
    let mut conditions = Conditions::new();
    if let Some(profile) = through {
        let key = BTreeMap::from([("bedrock:InferenceProfileArn".to_owned(), Values::one(profile))]);
        conditions.insert(plain(Comparison::StringEquals), key);
    }
    Statement {
        sid: sid.map(str::to_owned),
        effect: Effect::Allow,
        principal: None,
        actions: Actions::Only(Values::list(actions.iter().copied())),
        resources: Some(Resources::Only(few(resources))),
        conditions,
    }
}

fn document(statement: Vec<Statement>) -> Document {
    Document { version: Version::V2012, id: None, statement }
}

const fn plain(comparison: Comparison) -> Operator {
    Operator { quantifier: None, comparison, if_exists: false }
}

/// One value as a text, several as a list: the form that people write.
fn few<T: Into<String>>(texts: Vec<T>) -> Values {
    let mut texts: Vec<String> = texts.into_iter().map(Into::into).collect();
    match (texts.len(), texts.pop()) {
        (1, Some(only)) => Values::one(&only),
        (_, last) => {
            texts.extend(last);
            Values::list(texts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Kind;
    use super::super::evaluate::{Caller, Context, Request, Verdict, evaluate};
    use super::*;
    use crate::domain::issuer_url::Development;

    fn setup() -> Setup {
        Setup {
            also: None,
            issuer: IssuerUrl::parse("https://id.example/a", Development::Off).unwrap(),
            role: RoleArn::parse("arn:aws:iam::111122223333:role/bedrock").unwrap(),
            region: Region::parse("eu-central-1").unwrap(),
            audience: Audience::sts(),
            team: TeamUid::parse("red").unwrap(),
            actors: Vec::new(),
            role_bound: true,
            session_tags: false,
            source_identity: false,
            models: vec![ModelId::parse("anthropic.claude-3-haiku-20240307-v1:0").unwrap()],
        }
    }

    fn admits(trust: &Document, action: &str, sub: &str, aud: &str, bound: bool) -> bool {
        let mut context = Context::new();
        context.set("id.example/a:sub", sub);
        context.set("id.example/a:aud", aud);
        context.set("sts:RoleAuthorizedByIdp", bound.to_string());
        let caller = Caller::Federated { provider: "arn:aws:iam::111122223333:oidc-provider/id.example/a" };
        evaluate([trust], &Request { caller, action, resource: None, context: &context }) == Verdict::Allow
    }

    const ASSUME: &str = "sts:AssumeRoleWithWebIdentity";

    #[test]
    fn threat_12_the_trust_policy_admits_the_team_bound_tokens_for_sts_and_nothing_else() {
        let trust = setup().policies().unwrap().trust;
        let (ann, sts) = ("scoped_principal:red/user:ann", "sts.amazonaws.com");
        assert!(admits(&trust, ASSUME, ann, sts, true));
        assert!(!admits(&trust, ASSUME, ann, sts, false), "not bound to the role");
        assert!(!admits(&trust, ASSUME, ann, "worker", true), "another audience");
        assert!(!admits(&trust, ASSUME, "scoped_principal:redder/user:ann", sts, true), "a team that begins alike");
        assert!(!admits(&trust, "sts:TagSession", ann, sts, true), "tags nobody asked for");
        let unbound = Setup { role_bound: false, ..setup() }.policies().unwrap().trust;
        assert!(admits(&unbound, ASSUME, ann, sts, false));
        let tagged = Setup { session_tags: true, source_identity: true, ..setup() }.policies().unwrap().trust;
        assert!(admits(&tagged, "sts:TagSession", ann, sts, true));
        assert!(admits(&tagged, "sts:SetSourceIdentity", ann, sts, true));
    }

    #[test]
    fn threat_13_the_default_names_each_actor_type() {
        let trust = setup().policies().unwrap().trust;
        for actor in ActorType::ALL {
            let subject = format!("scoped_principal:red/{actor}:bot");
            assert!(admits(&trust, ASSUME, &subject, "sts.amazonaws.com", true), "{subject}");
        }
        // What a later version might mint: a type that this policy's author never saw.
        for invented in ["workflow:bot", "user_group:bot", "useruser:bot", "*:bot", ""] {
            let subject = format!("scoped_principal:red/{invented}");
            assert!(!admits(&trust, ASSUME, &subject, "sts.amazonaws.com", true), "{subject}");
        }
    }

    #[test]
    fn actors_narrow_it() {
        let bot = "scoped_principal:red/service_account:bot";
        let with = |actors| Setup { actors, ..setup() }.policies().unwrap().trust;
        let agents = with(vec![Actor::Every(ActorType::ServiceAccount)]);
        let sts = "sts.amazonaws.com";
        assert!(admits(&agents, ASSUME, bot, sts, true));
        assert!(!admits(&agents, ASSUME, "scoped_principal:red/user:ann", sts, true));
        let one = with(vec![Actor::One(Principal::parse("service_account:bot").unwrap())]);
        assert!(one.to_json().contains(r#""id.example/a:sub":"scoped_principal:red/service_account:bot""#));
        assert!(admits(&one, ASSUME, bot, sts, true));
        assert!(!admits(&one, ASSUME, "scoped_principal:red/service_account:bot2", sts, true));
    }

    fn may(setup: &Setup, action: &str, resource: &str, profile: Option<&str>) -> bool {
        let mut context = Context::new();
        if let Some(profile) = profile {
            context.set("bedrock:InferenceProfileArn", profile);
        }
        let permissions = setup.policies().unwrap().permissions;
        let request = Request { caller: Caller::Holder, action, resource: Some(resource), context: &context };
        evaluate([&permissions], &request) == Verdict::Allow
    }

    #[test]
    fn permissions_open_the_chosen_models_alone() {
        let haiku = "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0";
        assert!(may(&setup(), "bedrock:InvokeModel", haiku, None));
        assert!(may(&setup(), "bedrock:InvokeModelWithResponseStream", haiku, None));
        assert!(!may(&setup(), "bedrock:InvokeModel", &haiku.replace("haiku", "opus"), None));
        assert!(!may(&setup(), "bedrock:InvokeModel", &haiku.replace("eu-central-1", "us-east-1"), None));
        assert!(!may(&setup(), "bedrock:CallWithBearerToken", "*", None));
    }

    #[test]
    fn a_profile_opens_its_models_only_for_calls_through_it() {
        let with = |model: &str| Setup { models: vec![ModelId::parse(model).unwrap()], ..setup() };
        let eu = with("eu.anthropic.claude-x");
        let profile = "arn:aws:bedrock:eu-central-1:111122223333:inference-profile/eu.anthropic.claude-x";
        let model = "arn:aws:bedrock:eu-west-3::foundation-model/anthropic.claude-x";
        assert!(may(&eu, "bedrock:InvokeModel", profile, None));
        assert!(may(&eu, "bedrock:InvokeModel", model, Some(profile)));
        assert!(!may(&eu, "bedrock:InvokeModel", model, None));
        let global = with("global.anthropic.claude-x");
        let profile = "arn:aws:bedrock:eu-central-1:111122223333:inference-profile/global.anthropic.claude-x";
        assert!(may(
            &global,
            "bedrock:InvokeModel",
            "arn:aws:bedrock:::foundation-model/anthropic.claude-x",
            Some(profile)
        ));
        assert!(!may(&global, "bedrock:InvokeModel", model, Some(profile)), "a region that is not called");
        let app = "arn:aws:bedrock:eu-central-1:111122223333:application-inference-profile/abc";
        assert!(may(&with(app), "bedrock:InvokeModel", app, None));
        assert!(may(&with(app), "bedrock:InvokeModel", model, Some(app)));
    }

    #[test]
    fn a_change_over_trusts_both_issuers_each_under_its_own_keys() {
        let issuer = setup().issuer;
        let private = issuer.of_team(&setup().team).unwrap();
        let trust = Setup { also: Some(private.clone()), ..setup() }.policies().unwrap().trust;
        let alone = |issuer: IssuerUrl| Setup { issuer, ..setup() }.policies().unwrap().trust.statement;
        assert_eq!(trust.statement[0], alone(issuer)[0]);
        let second = Statement { sid: Some("BrevetTeam".to_owned()), ..trust.statement[1].clone() };
        assert_eq!(second, alone(private.clone())[0]);
        let json = trust.to_json();
        assert!(json.contains(&format!("oidc-provider/{}\"", private.without_scheme())), "{json}");
        assert!(json.contains(&format!("\"{}:sub\"", private.without_scheme())), "{json}");
        assert_eq!(Document::parse(&json, Kind::Trust).unwrap(), trust);
    }

    #[test]
    fn both_documents_are_what_iam_takes() {
        let policies = Setup { session_tags: true, ..setup() }.policies().unwrap();
        assert_eq!(Document::parse(&policies.trust.to_json(), Kind::Trust).unwrap(), policies.trust);
        assert_eq!(Document::parse(&policies.permissions.to_json(), Kind::Permission).unwrap(), policies.permissions);
    }

    #[test]
    fn what_iam_would_refuse_is_refused_here() {
        let fault = |setup: Setup| setup.policies().unwrap_err();
        assert_eq!(fault(Setup { models: Vec::new(), ..setup() }), GenerateError::NoModels);
        let china = Region::parse("cn-north-1").unwrap();
        assert_eq!(fault(Setup { region: china, ..setup() }), GenerateError::Partition);
        let one = |n: u32| Actor::One(Principal::parse(&format!("user:{n:040}")).unwrap());
        let crowd = Setup { actors: (0..60).map(one).collect(), ..setup() };
        assert!(matches!(fault(crowd), GenerateError::TrustTooLong(length) if length > TRUST_MAX));
    }
}
