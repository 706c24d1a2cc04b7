//! What a token says: how fast its claims are decided on, built and written.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::domain::claims::Claims;
use brevet::domain::clock::Clock;
use brevet::domain::entropy::Entropy;
use brevet::domain::id::{TeamUid, TokenId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::policy::{Grant, MintRequest, Standing, decide};
use brevet::domain::principal::{ActorType, Principal};
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
use brevet::domain::subject::Subject;
use brevet::domain::team::TeamPolicy;

use crate::figures::{Rounds, tell};
use crate::{Outcome, cpu};

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let token = Token::of_an_agent()?;
    let grant = token.grant()?;
    let rates = |work: &mut dyn FnMut() -> bool| -> Outcome<Vec<f64>> {
        let mut work = || work();
        cpu::rate(rounds.length, &mut work)?;
        (0..rounds.count).map(|_| cpu::rate(rounds.length, &mut work)).collect()
    };
    let decided = rates(&mut || token.grant().is_ok())?;
    let written = rates(&mut || {
        let json = serde_json::to_vec(&token.claims(&grant));
        json.is_ok_and(|json| !URL_SAFE_NO_PAD.encode(json).is_empty())
    })?;
    tell("decisions", "a request decided on", "per CPU s", &decided)?;
    tell("claims", "claims built, as JSON, in base64", "per CPU s", &written)
}

/// A service account's token for STS, and what it is decided on.
pub(crate) struct Token {
    subject: Subject,
    issuer: IssuerUrl,
    policy: TeamPolicy,
    settings: EffectiveSettings,
}

impl Token {
    pub(crate) fn of_an_agent() -> Outcome<Self> {
        let principal = Principal::new(ActorType::ServiceAccount, "01890a5d-ac96-774b-bcce-b302099a8057")?;
        let layer = ProviderLayer {
            role_arn: Some(RoleArn::parse("arn:aws:iam::111122223333:role/bedrock")?),
            region: Some(Region::parse("us-east-1")?),
            ..Default::default()
        };
        Ok(Self {
            subject: Subject::new(TeamUid::parse("01890a5d-ac96-774b-bcce-b302099a8058")?, principal),
            issuer: IssuerUrl::parse("https://id.example.com", Development::Off)?,
            policy: TeamPolicy::new_team(),
            settings: EffectiveSettings::of(&[(Layer::Team, &layer)]),
        })
    }

    pub(crate) const fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    pub(crate) fn grant(&self) -> Outcome<Grant> {
        let standing = Standing {
            subject: &self.subject,
            run: None,
            actor: None,
            issuer: &self.issuer,
            policy: &self.policy,
            settings: &self.settings,
            outside: &self.settings,
            worker_audiences: &[],
            amr: &[],
        };
        Ok(decide(standing, &MintRequest::default(), None)?)
    }

    /// The claims of one more token.
    pub(crate) fn claims(&self, grant: &Grant) -> Claims {
        self.named_claims(grant).1
    }

    /// The same with its `jti`.
    pub(crate) fn named_claims(&self, grant: &Grant) -> (TokenId, Claims) {
        let now = SystemClock.now();
        let id = TokenId::new(SystemEntropy.uuid_v7(now));
        (id, Claims::build(grant, &self.issuer, id, now))
    }
}
