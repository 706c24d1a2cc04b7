//! Trust rules: whose tokens, of which foreign issuer, stand for a service account.

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::audience::Audience;
use super::claim_condition::{Condition, Expected};
use super::foreign_issuer::ForeignIssuer;
use super::id::{ServiceAccountUid, TrustRuleId};
use super::issuer_url::IssuerUrl;

/// Most conditions of one rule.
pub const CONDITIONS_MAX: usize = 20;
/// Most living rules of one service account.
pub const RULES_MAX: usize = 20;
/// Most bytes of keys that a rule holds itself.
pub const RULE_KEYS_MAX: usize = 64 * 1024;
/// Most often that one token may be presented under a rule that allows reuse.
pub const USES_MAX: u32 = 10_000;
/// Most presentations a minute under one rule that allows reuse.
pub const PER_MINUTE_MAX: u32 = 600;
/// A foreign token that lives longer is refused, whatever the rule: whoever finds it in a log has it for so long, and
/// so long it must be remembered.
pub const FOREIGN_LIFETIME_MAX: Duration = Duration::hours(24);

/// A rule: a token that fits all of it stands for the service account that the rule belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRule {
    issuer: ForeignIssuer,
    audience: Audience,
    keys: KeySource,
    conditions: Vec<Condition>,
    reuse: Reuse,
}

/// Where the issuer's public keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// From its discovery document.
    Discovery,
    /// From the rule itself, as a JWKS: for an issuer that cannot be reached, such as a cluster without one.
    Fixed(String),
}

/// How often one and the same token may be presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Once: a replay is refused until the token has expired.
    Once,
    /// For issuers whose workloads cannot get a token for every use.
    Bounded {
        /// In all, 2 to [`USES_MAX`].
        uses: u32,
        /// All tokens under the rule, 1 to [`PER_MINUTE_MAX`] a minute.
        per_minute: u32,
    },
}

impl Reuse {
    /// How often a token counts.
    pub const fn uses_max(self) -> u32 {
        match self {
            Self::Once => 1,
            Self::Bounded { uses, .. } => uses,
        }
    }
}

/// A rule as the service account has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRuleRecord {
    /// Its id.
    pub id: TrustRuleId,
    /// For whom a token stands.
    pub service_account: ServiceAccountUid,
    /// What people call it.
    pub name: String,
    /// What it says.
    pub rule: TrustRule,
    /// Counts changes, for `If-Match`.
    pub version: i64,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Since when it says this.
    pub updated_at: OffsetDateTime,
    /// When a token was last taken under it.
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it takes none, if so.
    pub disabled_at: Option<OffsetDateTime>,
}

/// Why a rule is refused, by its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustRuleError {
    /// The issuer is this installation.
    #[error("must not be this installation's own issuer, nor lie below it: mint with a key or a session instead")]
    OwnIssuer,
    /// The audience is what tokens for somebody else have.
    #[error("must be this team's own, not one under which other services take tokens of the same workload")]
    SharedAudience,
    /// No condition at all.
    #[error("must hold at least one condition: else every token of the issuer would stand for the service account")]
    NoCondition,
    /// Too many.
    #[error("must hold at most 20 conditions")]
    ManyConditions,
    /// An issuer of many owners, without an owner.
    #[error("must pin the owner by an id that is never given away, with equals: many share this issuer ({})", .0.join(", "))]
    NoOwner(&'static [&'static str]),
    /// Keys that are too long.
    #[error("must have at most 65536 bytes")]
    KeysLength,
    /// A count out of bounds.
    #[error("uses must be 2 to 10000")]
    Uses,
    /// A rate out of bounds.
    #[error("per_minute must be 1 to 600")]
    PerMinute,
}

impl TrustRuleError {
    /// The member of the rule that it is about.
    pub const fn field(self) -> &'static str {
        match self {
            Self::OwnIssuer => "issuer",
            Self::SharedAudience => "audience",
            Self::NoCondition | Self::ManyConditions | Self::NoOwner(_) => "conditions",
            Self::KeysLength => "jwks",
            Self::Uses | Self::PerMinute => "reuse",
        }
    }
}

/// What about a verified token does not fit a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// It is from another issuer.
    Issuer,
    /// It is for another audience.
    Audience,
    /// A condition does not hold: the first such one.
    Condition(usize),
}

impl TrustRule {
    /// A rule of these members, if they keep anybody out.
    pub fn new(
        issuer: ForeignIssuer,
        audience: Audience,
        keys: KeySource,
        conditions: Vec<Condition>,
        reuse: Reuse,
    ) -> Result<Self, TrustRuleError> {
        if is_for_others(&issuer, &audience) {
            return Err(TrustRuleError::SharedAudience);
        }
        if conditions.is_empty() {
            return Err(TrustRuleError::NoCondition);
        }
        if conditions.len() > CONDITIONS_MAX {
            return Err(TrustRuleError::ManyConditions);
        }
        if let Some(owners) = issuer.owner_claims()
            && !conditions.iter().any(|condition| pins(condition, owners))
        {
            return Err(TrustRuleError::NoOwner(owners));
        }
        if matches!(&keys, KeySource::Fixed(jwks) if jwks.len() > RULE_KEYS_MAX) {
            return Err(TrustRuleError::KeysLength);
        }
        if let Reuse::Bounded { uses, per_minute } = reuse {
            if !(2..=USES_MAX).contains(&uses) {
                return Err(TrustRuleError::Uses);
            }
            if !(1..=PER_MINUTE_MAX).contains(&per_minute) {
                return Err(TrustRuleError::PerMinute);
            }
        }
        Ok(Self { issuer, audience, keys, conditions, reuse })
    }

    /// Refuses a rule about `own` tokens. What this installation issues speaks for a principal of its own already; as
    /// a subject token it would let one agent become another and live on beyond its end.
    pub fn check_foreign(&self, own: &IssuerUrl) -> Result<(), TrustRuleError> {
        if self.issuer.is_of(own) { Err(TrustRuleError::OwnIssuer) } else { Ok(()) }
    }

    /// Whose tokens.
    pub const fn issuer(&self) -> &ForeignIssuer {
        &self.issuer
    }

    /// For whom they must be.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Where the issuer's keys come from.
    pub const fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// What they must say; all of it.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// How often one may be presented.
    pub const fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// Whether a verified token of `issuer` for `audience` with these `claims` fits all of the rule.
    pub fn judge(&self, issuer: &str, audience: &str, claims: &Map<String, Value>) -> Result<(), Mismatch> {
        if issuer != self.issuer.as_str() {
            return Err(Mismatch::Issuer);
        }
        if audience != self.audience.as_str() {
            return Err(Mismatch::Audience);
        }
        match self.conditions.iter().position(|condition| !condition.holds(claims)) {
            Some(first) => Err(Mismatch::Condition(first)),
            None => Ok(()),
        }
    }
}

/// Whether `condition` says which owner, by one of the claims that name it for ever.
fn pins(condition: &Condition, owners: &[&str]) -> bool {
    let exact = match &condition.expected {
        Expected::Text(text) => !text.trim().is_empty(),
        Expected::Integer(_) => true,
        Expected::Flag(_) | Expected::Pattern(_) => false,
    };
    exact && owners.iter().any(|owner| condition.claim.is(owner))
}

/// Audiences under which the workload's token is also shown elsewhere: whoever takes it there could bring it here.
/// Clouds' own, the default ones of clusters and forges, and the issuer itself.
fn is_for_others(issuer: &ForeignIssuer, audience: &Audience) -> bool {
    let (text, issuer) = (audience.as_str(), issuer.as_str());
    let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
    let host = text.split_once("//").map_or(text, |(_, rest)| rest);
    let host = bare(&host[..host.find(['/', ':']).unwrap_or(host.len())]);
    let cluster = host == "kubernetes" || host.starts_with("kubernetes.default") || host == "api";
    audience.is_sts()
        || bare(text) == bare(issuer)
        || cluster
        || matches!(&*host, "sts.amazonaws.com" | "sts.amazonaws.com.cn" | "iam.googleapis.com" | "sts.googleapis.com")
        || matches!(&*host, "github.com" | "gitlab.com" | "vercel.com" | "sigstore" | "pypi" | "npm")
        || bare(text) == "api://azureadtokenexchange"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::claim_condition::{ClaimPath, Pattern};
    use crate::domain::issuer_url::Development;
    use proptest::prelude::*;
    use serde_json::json;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const AUDIENCE: &str = "https://id.example.com/teams/red";

    fn issuer(text: &str) -> ForeignIssuer {
        ForeignIssuer::parse(text, Development::Off).unwrap()
    }

    fn is(claim: &str, text: &str) -> Condition {
        Condition { claim: ClaimPath::parse(claim).unwrap(), expected: Expected::text(text).unwrap() }
    }

    fn like(claim: &str, text: &str) -> Condition {
        let expected = Expected::Pattern(Pattern::parse(text).unwrap());
        Condition { claim: ClaimPath::parse(claim).unwrap(), expected }
    }

    fn rule(from: &str, audience: &str, conditions: Vec<Condition>) -> Result<TrustRule, TrustRuleError> {
        let audience = Audience::parse(audience).unwrap();
        TrustRule::new(issuer(from), audience, KeySource::Discovery, conditions, Reuse::Once)
    }

    #[test]
    fn threat_12_on_a_shared_issuer_only_an_immutable_id_pins_the_owner() {
        let owner = || is("repository_owner_id", "1234");
        for (conditions, pinned) in [
            (vec![owner()], true),
            (vec![is("repository_id", "5678"), like("ref", "refs/heads/*")], true),
            (vec![is("enterprise_id", "9")], true),
            (vec![is("repository_owner", "acme")], false),
            (vec![is("repository", "acme/web")], false),
            (vec![is("sub", "repo:acme/web:ref:refs/heads/main")], false),
            (vec![like("repository_owner_id", "12*")], false),
            (vec![is("repository_owner_id", " ")], false),
            (vec![is("/nested/repository_owner_id", "1234")], false),
            (vec![is("/repository_owner_id", "1234")], true),
            (vec![is("Repository_Owner_Id", "1234")], false),
        ] {
            for from in [GITHUB, "https://token.actions.githubusercontent.com/acme"] {
                let refused = rule(from, AUDIENCE, conditions.clone());
                let expected = matches!(refused, Err(TrustRuleError::NoOwner(_)));
                assert_eq!(refused.is_ok(), pinned, "{conditions:?}");
                assert!(pinned || expected, "{refused:?}");
            }
        }
        assert!(rule("https://gitlab.com", AUDIENCE, vec![is("project_path", "acme/web")]).is_err());
        assert!(rule("https://gitlab.com", AUDIENCE, vec![is("project_id", "7")]).is_ok());
        assert!(rule("https://gitlab.acme.example", AUDIENCE, vec![is("project_path", "acme/web")]).is_ok());
    }

    #[test]
    fn threat_5_an_audience_of_others_is_refused() {
        for bad in [
            "sts.amazonaws.com",
            "https://sts.amazonaws.com",
            "sts.amazonaws.com.cn",
            "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "https://iam.googleapis.com/projects/1",
            "https://kubernetes.default.svc",
            "https://kubernetes.default.svc.cluster.local",
            "kubernetes.default.svc",
            "https://cluster.example.com:6443",
            "https://cluster.example.com:6443/",
            "https://github.com/acme",
            "https://gitlab.com",
            "api://AzureADTokenExchange",
            "sigstore",
        ] {
            let refused = rule("https://cluster.example.com:6443", bad, vec![is("sub", "x")]);
            assert_eq!(refused, Err(TrustRuleError::SharedAudience), "{bad}");
        }
        for good in [AUDIENCE, "brevet", "https://cluster.example.com:6443/brevet", "https://github.company.example"] {
            assert!(rule("https://cluster.example.com:6443", good, vec![is("sub", "x")]).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_rule_that_keeps_nobody_out_or_has_no_bounds_is_refused() {
        let sound = |keys, conditions, reuse| {
            TrustRule::new(
                issuer("https://ci.example.com"),
                Audience::parse(AUDIENCE).unwrap(),
                keys,
                conditions,
                reuse,
            )
        };
        let one = || vec![is("sub", "x")];
        let bounded = |uses, per_minute| Reuse::Bounded { uses, per_minute };
        assert!(sound(KeySource::Discovery, one(), bounded(2, 1)).is_ok());
        for (made, error) in [
            (sound(KeySource::Discovery, vec![], Reuse::Once), TrustRuleError::NoCondition),
            (sound(KeySource::Discovery, vec![is("a", "b"); 21], Reuse::Once), TrustRuleError::ManyConditions),
            (sound(KeySource::Fixed("x".repeat(65_537)), one(), Reuse::Once), TrustRuleError::KeysLength),
            (sound(KeySource::Discovery, one(), bounded(1, 1)), TrustRuleError::Uses),
            (sound(KeySource::Discovery, one(), bounded(10_001, 1)), TrustRuleError::Uses),
            (sound(KeySource::Discovery, one(), bounded(2, 0)), TrustRuleError::PerMinute),
            (sound(KeySource::Discovery, one(), bounded(2, 601)), TrustRuleError::PerMinute),
        ] {
            assert_eq!(made, Err(error));
        }
        let own = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
        for from in ["https://id.example.com", "https://id.example.com/t/red"] {
            let refused = rule(from, "x", vec![is("sub", "y")]).unwrap().check_foreign(&own);
            assert_eq!(refused, Err(TrustRuleError::OwnIssuer), "{from}");
        }
        let neighbour = rule("https://id.example.com.evil.example", "x", vec![is("sub", "y")]).unwrap();
        assert_eq!(neighbour.check_foreign(&own), Ok(()));
    }

    #[test]
    fn every_member_of_a_rule_is_looked_at() {
        let conditions = vec![is("repository_owner_id", "1234"), like("ref", "refs/heads/*")];
        let rule = rule(GITHUB, AUDIENCE, conditions).unwrap();
        let judge = |from: &str, audience: &str, owner: Value, at: Value| {
            rule.judge(from, audience, json!({ "repository_owner_id": owner, "ref": at }).as_object().unwrap())
        };
        let (owner, at) = (json!("1234"), json!("refs/heads/main"));
        assert_eq!(judge(GITHUB, AUDIENCE, owner.clone(), at.clone()), Ok(()));
        for (from, audience, owner, at, mismatch) in [
            ("https://token.actions.githubusercontent.com.evil.example", AUDIENCE, &owner, &at, Mismatch::Issuer),
            ("https://token.actions.githubusercontent.com/", AUDIENCE, &owner, &at, Mismatch::Issuer),
            ("https://token.actions.githubusercontent.co", AUDIENCE, &owner, &at, Mismatch::Issuer),
            (GITHUB, "https://id.example.com/teams/red2", &owner, &at, Mismatch::Audience),
            (GITHUB, "https://id.example.com/teams/re", &owner, &at, Mismatch::Audience),
            (GITHUB, AUDIENCE, &json!("12345"), &at, Mismatch::Condition(0)),
            (GITHUB, AUDIENCE, &json!(["1234"]), &at, Mismatch::Condition(0)),
            (GITHUB, AUDIENCE, &json!(1234), &at, Mismatch::Condition(0)),
            (GITHUB, AUDIENCE, &json!(null), &at, Mismatch::Condition(0)),
            (GITHUB, AUDIENCE, &owner, &json!("refs/heads/a/b"), Mismatch::Condition(1)),
            (GITHUB, AUDIENCE, &owner, &json!(["refs/heads/main"]), Mismatch::Condition(1)),
        ] {
            assert_eq!(
                judge(from, audience, owner.clone(), at.clone()),
                Err(mismatch),
                "{from} {audience} {owner} {at}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_rule_takes_exactly_the_tokens_of_which_all_its_conditions_hold(
            wanted in prop::collection::btree_map("[a-d]", "[xy]", 1..4),
            said in prop::collection::btree_map("[a-d]", "[xyz]", 0..5),
        ) {
            let conditions = wanted.iter().map(|(claim, value)| is(claim, value)).collect();
            let rule = rule("https://ci.example.com", AUDIENCE, conditions).unwrap();
            let claims = said.iter().map(|(claim, value)| (claim.clone(), json!(value))).collect();
            let fits = wanted.iter().all(|(claim, value)| said.get(claim) == Some(value));
            prop_assert_eq!(rule.judge("https://ci.example.com", AUDIENCE, &claims).is_ok(), fits);
        }
    }
}
