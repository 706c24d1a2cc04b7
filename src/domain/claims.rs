//! What is in the token.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use super::id::TokenId;
use super::issuer_url::IssuerUrl;
use super::policy::{Actor, Grant};

/// How far `nbf` lies before `iat`, in seconds, for verifiers whose clock is behind ours.
pub const NOT_BEFORE_SKEW: i64 = 30;

/// The claim that binds a token for STS to one role.
pub const ROLES: &str = "https://aws.amazon.com/roles";
/// The claim that carries session tags.
pub const TAGS: &str = "https://aws.amazon.com/tags";

/// Most bytes of the claims of one token: what STS is told in them is bounded by labels and cost tags of 2048 characters
/// each, everything else by its own length. A token is then below 12 KiB: STS takes 20 000 characters, and a header of a
/// worker or proxy is not asked for more than one of these (threat 9).
pub const CLAIMS_MAX: usize = 8 * 1024;

/// Every claim that is minted, for `claims_supported` of the discovery document.
pub const SUPPORTED: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "iat",
    "nbf",
    "exp",
    "jti",
    "team_uid",
    "actor_type",
    "principal_uid",
    "run_id",
    "act",
    "amr",
    "https://aws.amazon.com/roles",
    "https://aws.amazon.com/tags",
    "https://aws.amazon.com/source_identity",
];

/// The claims of one token (RFC 7519), in the order they are written. Timestamps are whole seconds: STS
/// refuses fractions. `aud` is one string and there is never an `azp`: with one, STS would judge by it.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    team_uid: String,
    actor_type: &'static str,
    principal_uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    /// RFC 8176; STS makes it the condition key `<issuer>:amr`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    #[serde(rename = "https://aws.amazon.com/roles", skip_serializing_if = "Option::is_none")]
    roles: Option<[String; 1]>,
    #[serde(rename = "https://aws.amazon.com/tags", skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    #[serde(rename = "https://aws.amazon.com/source_identity", skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

/// The actor claim (RFC 8693, section 4.1): `<credential kind>:<credential id>`, and behind a worker the platform or
/// the opener of the run that it serves.
#[derive(Debug, Clone, Serialize)]
struct Act {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

impl Act {
    /// Of the nearest actor first.
    fn of(actors: &[Actor]) -> Option<Self> {
        let (nearest, behind) = actors.split_first()?;
        Some(Self { sub: format!("{}:{}", nearest.kind, nearest.id), act: Self::of(behind).map(Box::new) })
    }
}

/// Session tags in the nested form; STS takes a value only as an array of one string.
#[derive(Debug, Clone, Serialize)]
struct Tags {
    principal_tags: BTreeMap<String, [String; 1]>,
    transitive_tag_keys: Vec<String>,
}

impl Claims {
    /// The claims of `grant`, minted at `now` as token `id`. The one constructor.
    pub fn build(grant: &Grant, issuer: &IssuerUrl, id: TokenId, now: OffsetDateTime) -> Self {
        let iat = now.unix_timestamp();
        let subject = grant.subject();
        Self {
            iss: issuer.to_string(),
            sub: subject.to_string(),
            aud: grant.audience().to_string(),
            iat,
            nbf: iat - NOT_BEFORE_SKEW,
            exp: iat + i64::from(grant.lifetime().seconds()),
            jti: id.to_string(),
            team_uid: subject.team().to_string(),
            actor_type: subject.principal().actor_type().as_str(),
            principal_uid: subject.principal().uid().to_owned(),
            run_id: grant.run().map(ToString::to_string),
            act: Act::of(grant.actors()),
            amr: grant.amr().to_vec(),
            roles: grant.role().map(|role| [role.to_string()]),
            tags: grant.tags().map(|tags| Tags {
                principal_tags: tags.tags.iter().map(|(key, value)| (key.clone(), [value.clone()])).collect(),
                transitive_tag_keys: tags.transitive.clone(),
            }),
            source_identity: grant.source_identity().map(ToString::to_string),
        }
    }

    /// When the token ends, in Unix seconds.
    pub const fn expires_at(&self) -> i64 {
        self.exp
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::{AUDIENCE_MAX, Audience};
    use crate::domain::credential::CredentialKind;
    use crate::domain::id::{CredentialId, RunId, TeamUid};
    use crate::domain::issuer_url::{Development, ISSUER_URL_MAX};
    use crate::domain::policy::{MintRequest, Standing, decide, decide_exchange};
    use crate::domain::principal::{ActorType, Principal};
    use crate::domain::region::Region;
    use crate::domain::role_arn::RoleArn;
    use crate::domain::run::{LABELS_LENGTH_MAX, LABELS_MAX, Opener, Run, RunTerms};
    use crate::domain::session_tag::{TAGS_MAX, TagKey, TagValue};
    use crate::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
    use crate::domain::subject::Subject;
    use crate::domain::team::{COST_TAGS_LENGTH_MAX, OWN_TAGS_MAX, TeamPolicy};
    use uuid::Uuid;

    fn claims(exchange: bool, uid: &str, run: Option<&RunId>) -> serde_json::Value {
        let subject =
            Subject::new(TeamUid::parse("team-1").unwrap(), Principal::new(ActorType::ServiceAccount, uid).unwrap());
        let layer = ProviderLayer {
            role_arn: Some(RoleArn::parse("arn:aws:iam::111122223333:role/bedrock").unwrap()),
            region: Some(Region::parse("us-east-1").unwrap()),
            session_tags: Some(exchange),
            source_identity: Some(exchange),
            ..Default::default()
        };
        let issuer = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
        let key = |text: &str| TagKey::parse(text).unwrap();
        let value = |text: &str| TagValue::parse(text).unwrap();
        let policy = TeamPolicy {
            session_tag_keys: vec![key("Project")],
            cost_tags: BTreeMap::from([(key("CostCenter"), value("42"))]),
            amr_claim: true,
            ..TeamPolicy::new_team()
        };
        let opener = Opener {
            kind: CredentialKind::Platform,
            credential: CredentialId::new(Uuid::from_u128(8)),
            session: None,
            by: None,
        };
        let run = run.map(|id| Run {
            id: id.clone(),
            team: subject.team().clone(),
            principal: subject.principal().clone(),
            opener,
            terms: RunTerms {
                audiences: vec![Audience::sts()],
                role: None,
                lifetime_cap: None,
                tokens_max: None,
                labels: BTreeMap::from([(key("project"), value("apollo")), (key("stage"), value("beta"))]),
                layer: ProviderLayer::default(),
            },
            tokens_issued: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: OffsetDateTime::UNIX_EPOCH,
            ended_at: None,
        });
        let settings = EffectiveSettings::of(&[(Layer::Team, &layer)]);
        let amr = ["mfa", "pwd"].map(str::to_owned);
        let standing = Standing {
            subject: &subject,
            run: run.as_ref(),
            actor: run.as_ref().map(|run| Actor { kind: run.opener.kind, id: run.opener.credential }),
            amr: if exchange { &amr } else { &[] },
            issuer: &issuer,
            policy: &policy,
            settings: &settings,
            outside: &settings,
            worker_audiences: &[],
        };
        let grant = if exchange {
            decide_exchange(standing, CredentialId::new(Uuid::from_u128(9)))
        } else {
            decide(standing, &MintRequest::default(), None)
        };
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap() + time::Duration::milliseconds(999);
        let claims = Claims::build(&grant.unwrap(), &issuer, TokenId::new(Uuid::from_u128(5)), now);
        assert_eq!(claims.expires_at(), 1_800_000_300);
        serde_json::to_value(claims).unwrap()
    }

    #[test]
    fn threat_5_a_plain_token_has_one_audience_and_no_authorized_party() {
        insta::assert_json_snapshot!(claims(false, "agent-1", None), @r#"
        {
          "actor_type": "service_account",
          "aud": "sts.amazonaws.com",
          "exp": 1800000300,
          "https://aws.amazon.com/roles": [
            "arn:aws:iam::111122223333:role/bedrock"
          ],
          "iat": 1800000000,
          "iss": "https://id.example.com",
          "jti": "00000000-0000-0000-0000-000000000005",
          "nbf": 1799999970,
          "principal_uid": "agent-1",
          "sub": "scoped_principal:team-1/service_account:agent-1",
          "team_uid": "team-1"
        }
        "#);
    }

    #[test]
    fn an_exchanged_token_names_worker_run_tags_and_source_identity() {
        let run = RunId::parse("0123456789abcdefABCD").unwrap();
        insta::assert_json_snapshot!(claims(true, "agent-1", Some(&run)), @r#"
        {
          "act": {
            "act": {
              "sub": "platform_key:00000000-0000-0000-0000-000000000008"
            },
            "sub": "worker_key:00000000-0000-0000-0000-000000000009"
          },
          "actor_type": "service_account",
          "amr": [
            "mfa",
            "pwd"
          ],
          "aud": "sts.amazonaws.com",
          "exp": 1800000300,
          "https://aws.amazon.com/roles": [
            "arn:aws:iam::111122223333:role/bedrock"
          ],
          "https://aws.amazon.com/source_identity": "s.agent-1",
          "https://aws.amazon.com/tags": {
            "principal_tags": {
              "CostCenter": [
                "42"
              ],
              "Project": [
                "apollo"
              ],
              "brevet:actor": [
                "service_account"
              ],
              "brevet:principal": [
                "agent-1"
              ],
              "brevet:run": [
                "0123456789abcdefABCD"
              ],
              "brevet:sub": [
                "scoped_principal:team-1/service_account:agent-1"
              ],
              "brevet:team": [
                "team-1"
              ]
            },
            "transitive_tag_keys": [
              "brevet:actor",
              "brevet:principal",
              "brevet:run",
              "brevet:sub",
              "brevet:team"
            ]
          },
          "iat": 1800000000,
          "iss": "https://id.example.com",
          "jti": "00000000-0000-0000-0000-000000000005",
          "nbf": 1799999970,
          "principal_uid": "agent-1",
          "run_id": "0123456789abcdefABCD",
          "sub": "scoped_principal:team-1/service_account:agent-1",
          "team_uid": "team-1"
        }
        "#);
    }

    #[test]
    fn threat_9_the_largest_identity_stays_within_budget_and_every_claim_is_announced() {
        let run = RunId::parse("0123456789abcdefABCD").unwrap();
        let claims = claims(true, &"a".repeat(48), Some(&run));
        let minted: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        let mut announced = SUPPORTED.to_vec();
        announced.sort_unstable();
        assert_eq!(minted, announced);
        assert!(claims.to_string().len() < 2_000, "{}", claims.to_string().len());
    }

    #[test]
    fn threat_9_the_worst_that_policies_and_labels_allow_stays_within_the_budget_of_a_token() {
        let uid = |letter: &str| letter.repeat(48);
        let team = TeamUid::parse(&uid("t")).unwrap();
        let subject = Subject::new(team.clone(), Principal::new(ActorType::ServiceAccount, &uid("a")).unwrap());
        let role = format!("arn:aws-us-gov:iam::111122223333:role/{}/{}", "p".repeat(510), "r".repeat(64));
        let layer = ProviderLayer {
            role_arn: Some(RoleArn::parse(&role).unwrap()),
            region: Some(Region::parse("us-gov-west-1").unwrap()),
            session_tags: Some(true),
            source_identity: Some(true),
            ..Default::default()
        };
        // As many tags as there may be, together as long as they may be: short values would need fewer brackets.
        let tags = |prefix: &str, count: usize, longest: usize| {
            let (each, rest) = (longest / count, longest % count);
            let tag = |n: usize| {
                let key = format!("{prefix}{n:02}");
                let value = "v".repeat(each - key.len() + if n == 0 { rest } else { 0 });
                (TagKey::parse(&key).unwrap(), TagValue::parse(&value).unwrap())
            };
            (0..count).map(tag).collect::<BTreeMap<_, _>>()
        };
        let labels = tags("label-", LABELS_MAX, LABELS_LENGTH_MAX);
        let labels = crate::domain::run::labels(labels).unwrap();
        let policy = TeamPolicy {
            session_tag_keys: labels.keys().cloned().collect(),
            cost_tags: tags("cost-", OWN_TAGS_MAX - LABELS_MAX, COST_TAGS_LENGTH_MAX),
            amr_claim: true,
            ..TeamPolicy::new_team()
        };
        // As many words as are taken from a provider, each as long.
        let amr = vec!["m".repeat(40); 10];
        assert_eq!(policy.check_tags(), Ok(()));
        let host = format!("https://id.example.com/{}", "p".repeat(ISSUER_URL_MAX - "https://id.example.com/".len()));
        let issuer = IssuerUrl::parse(&host, Development::Off).unwrap();
        let opener = Opener {
            kind: CredentialKind::Platform,
            credential: CredentialId::new(Uuid::from_u128(8)),
            session: None,
            by: None,
        };
        let run = Run {
            id: RunId::parse("0123456789abcdefABCD").unwrap(),
            team,
            principal: subject.principal().clone(),
            opener,
            terms: RunTerms {
                audiences: vec![Audience::sts()],
                role: None,
                lifetime_cap: None,
                tokens_max: None,
                labels,
                layer: ProviderLayer::default(),
            },
            tokens_issued: 0,
            created_at: OffsetDateTime::UNIX_EPOCH,
            ends_at: OffsetDateTime::UNIX_EPOCH,
            ended_at: None,
        };
        let settings = EffectiveSettings::of(&[(Layer::Team, &layer)]);
        let standing = Standing {
            subject: &subject,
            run: Some(&run),
            actor: Some(Actor { kind: run.opener.kind, id: run.opener.credential }),
            issuer: &issuer,
            policy: &policy,
            settings: &settings,
            outside: &settings,
            worker_audiences: &[],
            amr: &amr,
        };
        let grant = decide_exchange(standing, CredentialId::new(Uuid::from_u128(9))).unwrap();
        let claims = Claims::build(
            &grant,
            &issuer,
            TokenId::new(Uuid::from_u128(5)),
            OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        );
        let value = serde_json::to_value(&claims).unwrap();
        assert_eq!(value[TAGS]["principal_tags"].as_object().unwrap().len(), TAGS_MAX, "every tag that STS takes");
        // Any other audience, of its longest, comes without the claims of AWS.
        let bytes = serde_json::to_string(&claims).unwrap().len() + AUDIENCE_MAX;
        assert!((5_000..=CLAIMS_MAX).contains(&bytes), "{bytes}");
        // Header and the signature of RSA-4096, as base64url: far below the 20 000 that STS takes.
        let token = (CLAIMS_MAX * 4).div_ceil(3) + 200 + 683 + 2;
        assert!(token < 12 * 1024, "{token}");
    }
}
