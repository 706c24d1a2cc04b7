//! A team's policy: audiences, roles, caps and ways to sign in.

use super::{AdminError, Administration};
use crate::domain::audit::Action;
use crate::domain::id::TeamUid;
use crate::domain::team::{AudienceRule, Team, TeamPolicy};
use crate::domain::upstream::{JoinBy, Joining};
use crate::store::TeamChange;

/// How often a change without `If-Match` is made again on what somebody else changed in between.
const TRIES: u32 = 5;

impl Administration {
    /// Edits a team's policy. The edit is made to the version it was read at; without `expected`, a change in
    /// between only makes it read again.
    pub async fn change_policy(
        &self,
        uid: &TeamUid,
        expected: Option<i64>,
        edit: impl Fn(&mut TeamPolicy) + Send + Sync,
    ) -> Result<Team, AdminError> {
        for _ in 1..TRIES {
            match self.try_change_policy(uid, expected, &edit).await {
                Err(AdminError::VersionMismatch { .. }) if expected.is_none() => {}
                done => return done,
            }
        }
        self.try_change_policy(uid, expected, &edit).await
    }

    async fn try_change_policy(
        &self,
        uid: &TeamUid,
        expected: Option<i64>,
        edit: &(impl Fn(&mut TeamPolicy) + Send + Sync),
    ) -> Result<Team, AdminError> {
        let team = self.team(uid).await?;
        let before = team.policy.joins.clone();
        let mut policy = team.policy;
        edit(&mut policy);
        self.refuse_idle_joins(&policy.joins, &before).await?;
        self.refuse_reserved(&policy)?;
        policy.check_tags().map_err(|conflict| AdminError::field(conflict.field(), conflict.rule()))?;
        let event = self.event(Action::AdminUpdate, Some(uid), format!("policy:{uid}"));
        let change = TeamChange { policy: Some(policy), ..TeamChange::default() };
        let done = self.store().update_team(uid, Some(expected.unwrap_or(team.version)), &change, &event).await;
        self.changed(done.map_err(AdminError::of("team")))
    }

    /// The issuer's own URL is nobody's audience: a token for it would be a credential here.
    fn refuse_reserved(&self, policy: &TeamPolicy) -> Result<(), AdminError> {
        let own = |rule: &AudienceRule| self.issuer.url().reserves(rule.audience.as_str());
        match policy.audiences.iter().position(own) {
            Some(at) => Err(AdminError::field(format!("items.{at}.audience"), "must not be the issuer's own URL")),
            None => Ok(()),
        }
    }

    /// A rule of joining that could let nobody in is a fault while it is new; one that lost its ground since stays, and
    /// lets nobody in.
    async fn refuse_idle_joins(&self, joins: &[Joining], before: &[Joining]) -> Result<(), AdminError> {
        for (at, rule) in joins.iter().enumerate().filter(|(_, rule)| !before.contains(rule)) {
            let fault = |member: &str, rule| Err(AdminError::field(format!("joins.{at}.{member}"), rule));
            let Some(provider) = self.store().upstream_provider(&rule.provider).await? else {
                return fault("provider_uid", "must be the uid of an upstream provider");
            };
            match &rule.by {
                JoinBy::EmailDomain(domain) if !provider.settings.email_domains.contains(domain) => {
                    return fault("email_domain", "must be a domain that the operator has tied to the provider");
                }
                JoinBy::Group(_) if provider.settings.groups_claim.is_none() => {
                    return fault("group", "needs a provider whose settings name a groups_claim");
                }
                JoinBy::EmailDomain(_) | JoinBy::Group(_) => {}
            }
        }
        Ok(())
    }
}
