//! Whose tokens stand for an agent.

use super::repeat::First;
use super::{AdminError, Administration, Reading, Repeatable};
use crate::crypto::foreign_keys::ForeignKeys;
use crate::domain::audience::Audience;
use crate::domain::audit::{Action, Event};
use crate::domain::claim_condition::Condition;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::domain::id::{ServiceAccountUid, TeamUid, TrustRuleId};
use crate::domain::issuer_url::Development;
use crate::domain::trust::{KeySource, Reuse, TrustRule, TrustRuleError, TrustRuleRecord};
use crate::oidc::KeyPlace;
use crate::store::{Page, Paged, StoreError, TrustRuleChange};

const KIND: &str = "trust rule";

/// A trust rule to make.
#[derive(Debug, Clone)]
pub struct NewTrustRule {
    /// What to call it.
    pub name: String,
    /// Whose tokens, as their `iss` spells it.
    pub issuer: String,
    /// For whom they must be; the team's default where absent.
    pub audience: Option<Audience>,
    /// Where the issuer's keys come from.
    pub keys: KeySource,
    /// What they must say.
    pub conditions: Vec<Condition>,
    /// How often one may be presented.
    pub reuse: Reuse,
}

/// What to change of a trust rule; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct ChangeTrustRule {
    /// Another name.
    pub name: Option<String>,
    #[expect(clippy::option_option, reason = "keep, the default and another are three things")]
    /// Another audience; `Some(None)` is the team's default.
    pub audience: Option<Option<Audience>>,
    /// Other keys.
    pub keys: Option<KeySource>,
    /// Other conditions.
    pub conditions: Option<Vec<Condition>>,
    /// Other bounds.
    pub reuse: Option<Reuse>,
    /// Off or on.
    pub disabled: Option<bool>,
}

impl Reading {
    /// A page of an agent's rules.
    pub async fn trust_rules(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        page: &Page,
    ) -> Result<Paged<TrustRuleRecord>, AdminError> {
        self.service_account(team, uid).await?;
        Ok(self.store().trust_rules(uid, page).await?)
    }

    /// One rule of an agent.
    pub async fn trust_rule(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        id: TrustRuleId,
    ) -> Result<TrustRuleRecord, AdminError> {
        self.service_account(team, uid).await?;
        self.store().trust_rule(uid, id).await?.ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Makes a rule of an agent.
    pub async fn create_trust_rule(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        new: NewTrustRule,
        request: Option<Repeatable>,
    ) -> Result<TrustRuleRecord, AdminError> {
        self.service_account(team, uid).await?;
        // Loopback issuers are for installations that are on loopback themselves.
        let development = if self.issuer.url().is_loopback() { Development::On } else { Development::Off };
        let issuer = ForeignIssuer::parse(&new.issuer, development)
            .map_err(|rule| AdminError::rule("issuer", rule.to_string()))?;
        // What is on this machine itself, only development reaches, and only an operator names.
        if KeyPlace::Issuer(issuer.clone()).is_loopback() {
            self.authority.operator_only()?;
        }
        let audience = self.audience_of(team, new.audience)?;
        let now = self.now();
        let record = TrustRuleRecord {
            id: TrustRuleId::new(self.issuer.entropy().uuid_v7(now)),
            service_account: uid.clone(),
            name: new.name,
            rule: self.checked(issuer, audience, new.keys, new.conditions, new.reuse)?,
            version: 1,
            created_at: now,
            updated_at: now,
            last_used_at: None,
            disabled_at: None,
        };
        let event = self.event_of_rule(Action::AdminCreate, team, uid, record.id);
        let earlier = match self.first(request.as_ref(), record.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let done = self.store().create_trust_rule(&record, &event, remember.as_ref()).await;
                self.settle(done, request.as_ref(), "service account").await?
            }
        };
        match earlier {
            None => Ok(record),
            Some(id) => {
                let id = TrustRuleId::parse(&id).ok_or(StoreError::Corrupt("resource"))?;
                self.trust_rule(team, uid, id).await
            }
        }
    }

    /// Changes a rule of an agent. What was got under it ends where the rule itself changes.
    pub async fn change_trust_rule(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        id: TrustRuleId,
        expected: Option<i64>,
        change: ChangeTrustRule,
    ) -> Result<TrustRuleRecord, AdminError> {
        let before = self.trust_rule(team, uid, id).await?;
        let rule = before.rule;
        let audience = match change.audience {
            None => rule.audience().clone(),
            Some(asked) => self.audience_of(team, asked)?,
        };
        let keys = change.keys.unwrap_or_else(|| rule.keys().clone());
        let conditions = change.conditions.unwrap_or_else(|| rule.conditions().to_vec());
        let reuse = change.reuse.unwrap_or_else(|| rule.reuse());
        let changed = self.checked(rule.issuer().clone(), audience, keys, conditions, reuse)?;
        let event = self.event_of_rule(Action::AdminUpdate, team, uid, id);
        let change = TrustRuleChange {
            name: change.name,
            rule: Some(changed),
            disabled_at: change.disabled.map(|disabled| disabled.then_some(event.at)),
        };
        // Members that were not named are those of the version that was read: no other may be written over.
        let expected = expected.or(Some(before.version));
        let done = self.store().update_trust_rule(uid, id, expected, &change, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    /// Deletes a rule of an agent.
    pub async fn delete_trust_rule(
        &self,
        team: &TeamUid,
        uid: &ServiceAccountUid,
        id: TrustRuleId,
        expected: Option<i64>,
    ) -> Result<(), AdminError> {
        self.service_account(team, uid).await?;
        let event = self.event_of_rule(Action::AdminDelete, team, uid, id);
        let done = self.store().delete_trust_rule(uid, id, expected, &event).await;
        self.changed(done.map_err(AdminError::of(KIND)))
    }

    /// The audience by which tokens are this team's and nobody else's.
    fn default_audience(&self, team: &TeamUid) -> Result<Audience, AdminError> {
        let text = self.issuer.url().join(&format!("/teams/{team}"));
        Audience::parse(&text).map_err(|rule| AdminError::rule("audience", rule.to_string()))
    }

    /// The audience that was asked for, or the team's default. Below this issuer's URL each team has its own and no
    /// other: a token that was got for another team, by whatever workload, must not be good for this one.
    fn audience_of(&self, team: &TeamUid, asked: Option<Audience>) -> Result<Audience, AdminError> {
        let Some(asked) = asked else { return self.default_audience(team) };
        let (url, text) = (self.issuer.url(), asked.as_str());
        let own = url.join(&format!("/teams/{team}"));
        let of_a_team = text.starts_with(&url.join("/teams/")) && text != own;
        if of_a_team || url.reserves(text.trim_end_matches('/')) {
            let rule = format!("must not be this installation's URL or another team's audience; this team's is {own}");
            return Err(AdminError::rule("audience", rule));
        }
        Ok(asked)
    }

    fn checked(
        &self,
        issuer: ForeignIssuer,
        audience: Audience,
        keys: KeySource,
        conditions: Vec<Condition>,
        reuse: Reuse,
    ) -> Result<TrustRule, AdminError> {
        if let KeySource::Fixed(jwks) = &keys {
            ForeignKeys::parse(jwks.as_bytes()).map_err(|rule| AdminError::rule("jwks", rule.to_string()))?;
        }
        let refused = |error: TrustRuleError| AdminError::rule(error.field(), error.to_string());
        let rule = TrustRule::new(issuer, audience, keys, conditions, reuse).map_err(refused)?;
        rule.check_foreign(self.issuer.url()).map_err(refused)?;
        Ok(rule)
    }

    fn event_of_rule(&self, action: Action, team: &TeamUid, uid: &ServiceAccountUid, id: TrustRuleId) -> Event {
        let mut event = self.event_of_account(action, team, uid);
        event.target = Some(format!("trust_rule:{id}"));
        event
    }
}
