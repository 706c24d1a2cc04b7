//! Someone else's token for one of ours (RFC 8693): a workload speaks for a service account under its trust rules.
//!
//! The order is what keeps strangers cheap and harmless: how often they came and failed, a place of those for strangers,
//! the form of the token, then whether the service account has a
//! living rule about exactly the issuer that the token names, and only then keys are asked for and a signature
//! verified. What is fetched is what an administrator wrote into a rule; no part of a token ever is (threat 22).

use time::{Duration, OffsetDateTime};

use super::{Client, IssuedToken, OAuthError, SubjectTokenRefused};
use crate::crypto::foreign_keys::ForeignKeys;
use crate::crypto::foreign_token::{ForeignRefused, ForeignToken, UnverifiedToken};
use crate::domain::access::Denied;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::{ServiceAccountUid, TeamUid, TrustRuleId};
use crate::domain::issuer_url::Development;
use crate::domain::policy::MintRequest;
use crate::domain::principal::Principal;
use crate::domain::requester::Requester;
use crate::domain::secret::Secret;
use crate::domain::trust::{KeySource, Mismatch, Reuse, TrustRuleRecord};
use crate::issuer::Issuer;
use crate::issuer::mint::MintCall;
use crate::issuer::refusals::{MintError, Unavailable};
use crate::issuer::release::Minted;
use crate::limit::rate::Limited;
use crate::oidc::KeyPlace;
use crate::store::{DerivesFrom, Presented, Trusting};

/// As what foreign tokens are remembered: in a scope of whoever vouches for the issuer's name (all of the installation for
/// keys that the issuer publishes, one team for keys that its rules hold), and in one of the key that signed.
const PRESENTED: &str = "subject_token";
/// As what the minutes of a rule that allows reuse are counted, on all replicas together.
const MINUTES: &str = "trust_rule_minute";
/// Most characters of a foreign subject in an audit row.
const SUBJECT_SHOWN: usize = 300;

/// What an exchange asks for.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// An access token, a bearer for the mint.
    AccessToken,
    /// The identity token itself.
    IdentityToken(MintRequest),
}

/// What an exchange gives.
#[derive(Debug, Clone)]
pub enum Exchanged {
    /// An access token.
    AccessToken(IssuedToken),
    /// An identity token.
    IdentityToken(Box<Minted>),
}

/// A token that a rule takes, and under which rule.
struct Taken {
    team: TeamUid,
    rule: TrustRuleRecord,
    token: ForeignToken,
}

impl Issuer {
    /// Exchanges `subject_token` for a token of the service account `client_id`.
    pub async fn exchange_subject_token(
        &self,
        client_id: &Secret,
        subject_token: &Secret,
        wanted: &Wanted,
        origin: &Origin,
    ) -> Result<Exchanged, OAuthError> {
        self.count_limited(self.0.limits.anonymous(origin), Action::AccessTokenIssue, origin)?;
        self.count_limited(self.0.limits.failing(origin), Action::AccessTokenIssue, origin)?;
        let place = self.0.limits.judge(origin).map_err(Unavailable::from)?;
        let client = match self.judge(client_id, subject_token, origin).await {
            Err(OAuthError::SubjectToken(refused)) => return Err(self.limited_refusal(refused, origin)),
            judged => judged?,
        };
        drop(place);
        self.give(&client, wanted, origin).await.map_err(|error| error.proven(client.requester()))
    }

    /// What was wanted, to the client that a subject token stands for.
    async fn give(&self, client: &Client, wanted: &Wanted, origin: &Origin) -> Result<Exchanged, OAuthError> {
        let issued = self.issue_access_token(client, origin).await?;
        let Wanted::IdentityToken(request) = wanted else { return Ok(Exchanged::AccessToken(issued)) };
        // The access token never leaves: it is what the identity token derives from, so that everything which ends
        // the one ends the other, and the mint decides as it does for any credential of the service account.
        let known = self.authenticate(issued.token.expose(), origin).await?;
        let minter = known.caller.minter().map_err(|Denied(kind, _)| super::ClientRefused::OtherKind(kind))?;
        let call = MintCall { request: request.clone(), ..MintCall::default() };
        let minted = self.mint(&minter, &call, origin).await?;
        Ok(Exchanged::IdentityToken(Box::new(minted)))
    }

    /// Which client the token stands for; it then counts as presented.
    async fn judge(&self, client_id: &Secret, subject_token: &Secret, origin: &Origin) -> Result<Client, OAuthError> {
        let unknown = |refused| {
            self.count_refused(refused, origin);
            OAuthError::SubjectToken(refused)
        };
        let token = UnverifiedToken::parse(subject_token.expose())
            .map_err(|refused| unknown(SubjectTokenRefused::Form(refused)))?;
        if self.is_own(token.claimed_issuer()) {
            return Err(unknown(SubjectTokenRefused::OwnIssuer));
        }
        let Ok(account) = ServiceAccountUid::parse(client_id.expose()) else {
            return Err(unknown(SubjectTokenRefused::NotTrusted));
        };
        let Some(trusting) = self.store().trusting(&account, token.claimed_issuer()).await? else {
            return Err(unknown(SubjectTokenRefused::NotTrusted));
        };
        let taken = match self.fitting(&trusting, &token).await {
            Ok(taken) => taken,
            Err((refused, verified)) => {
                self.tell_refused(refused, &account, &trusting, None, verified.as_ref(), origin).await;
                return Err(refused.into());
            }
        };
        if let Err(error) = self.present(&taken, origin).await {
            if let OAuthError::SubjectToken(refused) = error {
                let id = Some(taken.rule.id);
                self.tell_refused(refused, &account, &trusting, id, Some(&taken.token), origin).await;
            }
            return Err(error.proven(Requester::Team(taken.team)));
        }
        let shown = format!("iss={} sub={}", taken.token.issuer(), shown(taken.token.subject()));
        let from = DerivesFrom::TrustRule { id: taken.rule.id, version: taken.rule.version };
        Ok(Client { uid: account, team: trusting.team, from, until: None, shown: Some(shown) })
    }

    /// Whether `issuer` is this installation: the shared issuer, or a team's private one.
    fn is_own(&self, issuer: &str) -> bool {
        match ForeignIssuer::parse(issuer, Development::On) {
            Ok(foreign) => foreign.is_of(self.url()),
            Err(_) => issuer == self.url().as_str(),
        }
    }

    /// The first rule that takes the token, or why the one that came nearest does not.
    async fn fitting(
        &self,
        trusting: &Trusting,
        token: &UnverifiedToken,
    ) -> Result<Taken, (SubjectTokenRefused, Option<ForeignToken>)> {
        let mut nearest: Option<(SubjectTokenRefused, Option<ForeignToken>)> = None;
        for record in &trusting.rules {
            let refused = match self.verified(record, &trusting.team, token).await {
                Err(refused) => (refused, None),
                Ok(verified) => match record.rule.judge(verified.issuer(), verified.audience(), verified.claims()) {
                    Ok(()) => {
                        let (team, rule) = (trusting.team.clone(), record.clone());
                        return Ok(Taken { team, rule, token: verified });
                    }
                    Err(mismatch) => (SubjectTokenRefused::Mismatch(mismatch), Some(verified)),
                },
            };
            if nearest.as_ref().is_none_or(|(before, _)| nearness(*before) < nearness(refused.0)) {
                nearest = Some(refused);
            }
        }
        Err(nearest.unwrap_or((SubjectTokenRefused::NotTrusted, None)))
    }

    /// The token under the keys that the rule goes by. A kid that is not known yet may be new: the keys are then asked
    /// for once more.
    async fn verified(
        &self,
        record: &TrustRuleRecord,
        team: &TeamUid,
        token: &UnverifiedToken,
    ) -> Result<ForeignToken, SubjectTokenRefused> {
        let no_keys = SubjectTokenRefused::NoKeys;
        let verify = |keys: &ForeignKeys| token.verify(keys, self.now());
        let verified = match record.rule.keys() {
            KeySource::Fixed(jwks) => {
                verify(&*self.foreign_keys().fixed(record.id, record.version, team, jwks).map_err(no_keys)?)
            }
            KeySource::Discovery => {
                let place = KeyPlace::Issuer(record.rule.issuer().clone());
                let keys = self.keys_at(&place, team).await.map_err(no_keys)?;
                match verify(&keys) {
                    Err(ForeignRefused::UnknownKey) => {
                        let newer = self.newer_keys_at(&place, team, &keys).await.map_err(no_keys)?;
                        newer.map_or(Err(ForeignRefused::UnknownKey), |newer| verify(&newer))
                    }
                    verified => verified,
                }
            }
        };
        verified.map_err(|refused| match refused {
            ForeignRefused::Form
            | ForeignRefused::Header
            | ForeignRefused::Algorithm
            | ForeignRefused::UnknownKey
            | ForeignRefused::Signature => SubjectTokenRefused::NotVerified(refused),
            ForeignRefused::Claim(_)
            | ForeignRefused::Audiences
            | ForeignRefused::Expired
            | ForeignRefused::NotYet
            | ForeignRefused::TooLong => SubjectTokenRefused::Said(refused),
        })
    }

    /// Counts the presentation, on all replicas: first the rule's minute, then the token. Whatever fails afterwards
    /// has used the token up.
    async fn present(&self, taken: &Taken, origin: &Origin) -> Result<(), OAuthError> {
        let (now, rule, token) = (self.now(), &taken.rule, &taken.token);
        if let Reuse::Bounded { per_minute, .. } = rule.rule.reuse() {
            let minute = now.unix_timestamp().div_euclid(60);
            let (id, until) = (rule.id.to_string(), now + Duration::minutes(2));
            if self.store().present_token(&[MINUTES], &id, &minute.to_string(), per_minute, until, now).await?
                == Presented::Spent
            {
                let limited = Err(Limited { retry_after: seconds_left(now) });
                return Ok(self.count_limited(limited, Action::AccessTokenIssue, origin)?);
            }
        }
        let uses = rule.rule.reuse().uses_max();
        let (issuer, id, until) = (token.issuer(), token.token_id(), token.refused_from());
        // Keys that a rule holds itself may be anybody's, whatever issuer it names: what they sign must use up nothing in
        // other teams, and yet no second rule may take it again. Whoever has the key speaks for the issuer, so that the
        // key is what tells this issuer from others of its name: a token counts once wherever its key is trusted.
        let named = match rule.rule.keys() {
            KeySource::Fixed(_) => format!("{PRESENTED}:team:{}", taken.team),
            KeySource::Discovery => PRESENTED.to_owned(),
        };
        let signed = format!("{PRESENTED}:key:{}", token.key());
        match self.store().present_token(&[&named, &signed], issuer, id, uses, until, now).await? {
            Presented::Accepted { .. } => Ok(()),
            Presented::Spent => Err(SubjectTokenRefused::Spent.into()),
        }
    }

    /// A stranger's refusal is counted by cause, address and minute.
    fn count_refused(&self, refused: SubjectTokenRefused, origin: &Origin) {
        let (action, reason) = (Action::AccessTokenIssue, refused.reason());
        metrics::counter!("brevet_refusals_total", "action" => action.as_str(), "reason" => reason).increment(1);
        let mut event = self.event(action, Decision::Refused, origin);
        event.reason = Some(reason);
        self.audit().append_counted(event);
    }

    /// A refusal that its team can do something about is a row: a token that holds under the keys of an issuer that the
    /// service account trusts. Anybody may get such a token of a shared issuer, so that only a few rows a minute are
    /// written for one service account, and what comes on top is counted like a stranger's (threat 41).
    async fn tell_refused(
        &self,
        refused: SubjectTokenRefused,
        account: &ServiceAccountUid,
        trusting: &Trusting,
        rule: Option<TrustRuleId>,
        verified: Option<&ForeignToken>,
        origin: &Origin,
    ) {
        let tellable = verified.is_some() || matches!(refused, SubjectTokenRefused::NoKeys(_));
        if !tellable || self.0.limits.told(account).is_err() {
            self.count_refused(refused, origin);
            return;
        }
        let mut event = self.event(Action::AccessTokenIssue, Decision::Refused, origin);
        event.reason = Some(refused.reason());
        event.team = Some(trusting.team.clone());
        event.principal = Some(Principal::ServiceAccount(account.clone()));
        let near = rule.or_else(|| trusting.rules.first().filter(|_| trusting.rules.len() == 1).map(|rule| rule.id));
        let rule = near.map_or_else(|| "trust_rules".to_owned(), |id| format!("trust_rule:{id}"));
        event.target = Some(match verified {
            Some(token) => format!("{rule} iss={} sub={}", token.issuer(), shown(token.subject())),
            None => rule,
        });
        self.record_refusal(event).await;
    }

    /// Who fails too often from one place is told so instead of why.
    fn limited_refusal(&self, refused: SubjectTokenRefused, origin: &Origin) -> OAuthError {
        self.0.limits.failure(origin).map_or_else(OAuthError::from, |()| refused.into())
    }
}

/// How far a token came; the rule under which it came farthest is the one that its team meant.
const fn nearness(refused: SubjectTokenRefused) -> usize {
    match refused {
        SubjectTokenRefused::Form(_) | SubjectTokenRefused::NotTrusted | SubjectTokenRefused::OwnIssuer => 0,
        SubjectTokenRefused::NoKeys(_) => 1,
        SubjectTokenRefused::NotVerified(_) => 2,
        SubjectTokenRefused::Said(_) => 3,
        SubjectTokenRefused::Mismatch(Mismatch::Issuer | Mismatch::Audience) => 4,
        SubjectTokenRefused::Mismatch(Mismatch::Condition(holding)) => 5 + holding,
        SubjectTokenRefused::Spent => usize::MAX,
    }
}

/// Whole seconds until the next minute begins, at least 1.
fn seconds_left(now: OffsetDateTime) -> u64 {
    60 - u64::from(now.second()).min(59)
}

/// A foreign subject on one line of bounded length.
fn shown(subject: &str) -> String {
    subject.chars().take(SUBJECT_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl From<SubjectTokenRefused> for OAuthError {
    fn from(refused: SubjectTokenRefused) -> Self {
        Self::SubjectToken(refused)
    }
}

/// What an identity token could not be minted for, in the words of the mint.
impl From<MintError> for OAuthError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Limited(limited) => limited.into(),
            MintError::Unavailable(unavailable) => unavailable.into(),
            refused => Self::Mint(refused),
        }
    }
}
