//! Provider settings, layer by layer, and what they come to.

use super::{AdminError, Administration, Reading};
use crate::domain::audit::Action;
use crate::domain::id::{RunId, ServiceAccountUid, TeamUid};
use crate::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
use crate::domain::team::Team;
use crate::store::TeamFacts;

/// How often a change without `If-Match` is made again on what somebody else changed in between.
const TRIES: u32 = 5;

/// What one layer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSeen {
    /// What it says.
    pub layer: ProviderLayer,
    /// Counts its changes, for `If-Match`; 0 where it was never written.
    pub version: i64,
    /// Of the team: sent on role chaining, ours, read-only.
    pub external_id: String,
}

impl Reading {
    /// What a layer says: the team's own, or that of one of its service accounts.
    pub async fn provider_layer(
        &self,
        team: &TeamUid,
        account: Option<&ServiceAccountUid>,
    ) -> Result<LayerSeen, AdminError> {
        let facts = self.facts(team, account).await?;
        let (layer, version) = self.store().provider_layer(team, account).await?.unwrap_or_default();
        Ok(LayerSeen { layer, version, external_id: facts.team.external_id })
    }

    /// What the layers come to for a service account, or for the people of a team; in one of their runs, if one is
    /// named.
    pub async fn effective_settings(
        &self,
        team: &TeamUid,
        account: Option<&ServiceAccountUid>,
        run: Option<&RunId>,
    ) -> Result<(Team, EffectiveSettings), AdminError> {
        let run = match run {
            None => None,
            Some(id) => {
                let run = self.store().run(id).await?.filter(|run| run.team == *team);
                let run = run.filter(|run| account.is_none_or(|uid| run.principal.service_account() == Some(uid)));
                Some(run.ok_or(AdminError::NotFound("run"))?)
            }
        };
        let account = run.as_ref().map_or(account, |run| run.principal.service_account());
        let facts = self.facts(team, account).await?;
        let settings = effective(&facts, account, &layer_of(&facts, account));
        let settings = match &run {
            Some(run) => settings.in_run(&run.terms.provider_layer()),
            None => settings,
        };
        Ok((facts.team, settings))
    }

    /// The team with its layers; a service account of another team is unknown here.
    async fn facts(&self, team: &TeamUid, account: Option<&ServiceAccountUid>) -> Result<TeamFacts, AdminError> {
        let facts = self.store().team_facts(team, self.now()).await?.ok_or(AdminError::NotFound("team"))?;
        if let Some(account) = account {
            self.service_account(team, account).await?;
        }
        Ok(facts)
    }
}

impl Administration {
    /// Edits a layer. The edit is made to the version it was read at; without `expected`, a change in between
    /// only makes it read again.
    pub async fn change_provider_layer(
        &self,
        team: &TeamUid,
        account: Option<&ServiceAccountUid>,
        expected: Option<i64>,
        edit: impl Fn(&mut ProviderLayer) + Send + Sync,
    ) -> Result<LayerSeen, AdminError> {
        for _ in 1..TRIES {
            match self.try_change_layer(team, account, expected, &edit).await {
                Err(AdminError::VersionMismatch { .. }) if expected.is_none() => {}
                done => return done,
            }
        }
        self.try_change_layer(team, account, expected, &edit).await
    }

    async fn try_change_layer(
        &self,
        uid: &TeamUid,
        account: Option<&ServiceAccountUid>,
        expected: Option<i64>,
        edit: &(impl Fn(&mut ProviderLayer) + Send + Sync),
    ) -> Result<LayerSeen, AdminError> {
        let facts = self.facts(uid, account).await?;
        let (mut layer, version) = self.store().provider_layer(uid, account).await?.unwrap_or_default();
        let hosts = |layer: &ProviderLayer| (layer.base_url.clone(), layer.sts_endpoint.clone());
        let before = hosts(&layer);
        edit(&mut layer);
        // Where members' tokens and prompts go is the operator's to say (threat 35).
        if hosts(&layer) != before {
            self.authority.operator_only()?;
        }
        let come_to = effective(&facts, account, &layer);
        if let (Some(role), Some(region)) = (&come_to.role_arn, &come_to.region)
            && !role.value.is_reachable_from(&region.value)
        {
            return Err(AdminError::field("region", "must lie in the partition of role_arn"));
        }
        let target = match account {
            None => format!("provider_settings:{uid}"),
            Some(account) => format!("provider_settings:{uid}/{account}"),
        };
        let event = self.event(Action::AdminUpdate, Some(uid), target);
        let expected = Some(expected.unwrap_or(version));
        let done = self.store().put_provider_layer(uid, account, expected, &layer, &event).await;
        let version = self.changed(done.map_err(AdminError::of("team")))?;
        Ok(LayerSeen { layer, version, external_id: facts.team.external_id })
    }
}

fn layer_of(facts: &TeamFacts, account: Option<&ServiceAccountUid>) -> ProviderLayer {
    let found = facts.layers.iter().find(|(of, _)| of.as_ref() == account);
    found.map(|(_, layer)| layer.clone()).unwrap_or_default()
}

/// What the layers come to where `layer` is the one of `account`, or of the team.
fn effective(facts: &TeamFacts, account: Option<&ServiceAccountUid>, layer: &ProviderLayer) -> EffectiveSettings {
    match account {
        None => EffectiveSettings::of(&[(Layer::Team, layer)]),
        Some(_) => EffectiveSettings::of(&[(Layer::Team, &layer_of(facts, None)), (Layer::ServiceAccount, layer)]),
    }
}
