//! Under which rules a principal stands in a team.

use std::sync::Arc;

use super::Issuer;
use super::refusals::{MintError, Unavailable};
use crate::domain::access::{Minter, MinterIdentity};
use crate::domain::id::{RunId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::policy;
use crate::domain::principal::Principal;
use crate::domain::settings::{EffectiveSettings, Layer, ProviderLayer};
use crate::domain::subject::Subject;
use crate::store::{DeadReason, StoreError, TeamFacts};

/// Whether what was read a moment ago will do. It does to grant, because the audit statement proves the team's
/// version; it does not to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Remembered,
    Fresh,
}

/// A principal in a team, with everything that decides.
#[derive(Debug, Clone)]
pub struct TeamStanding {
    /// Whose token it would be.
    pub subject: Subject,
    /// What the settings come to.
    pub settings: EffectiveSettings,
    /// The team, its version and its workers.
    pub facts: Arc<TeamFacts>,
}

impl TeamStanding {
    /// `principal` under the rules of `facts`.
    pub fn new(principal: Principal, facts: Arc<TeamFacts>) -> Self {
        let agent = match &principal {
            Principal::ServiceAccount(uid) => Some(uid),
            Principal::User(_) => None,
        };
        let layers: Vec<_> =
            facts.layers.iter().filter_map(|(whose, said)| layer(whose.as_ref(), agent, said)).collect();
        let settings = EffectiveSettings::of(&layers);
        Self { subject: Subject::new(facts.team.uid.clone(), principal), settings, facts }
    }

    /// The same, as the decision takes it.
    pub fn as_policy<'a>(&'a self, issuer: &'a IssuerUrl, run: Option<&'a RunId>) -> policy::Standing<'a> {
        policy::Standing {
            subject: &self.subject,
            run,
            issuer,
            policy: &self.facts.team.policy,
            settings: &self.settings,
            worker_audiences: &self.facts.worker_audiences,
        }
    }
}

/// The team's layer is everyone's, an agent's only its own.
fn layer<'a>(
    whose: Option<&ServiceAccountUid>,
    agent: Option<&ServiceAccountUid>,
    said: &'a ProviderLayer,
) -> Option<(Layer, &'a ProviderLayer)> {
    match whose {
        None => Some((Layer::Team, said)),
        Some(_) if whose == agent => Some((Layer::ServiceAccount, said)),
        Some(_) => None,
    }
}

impl Issuer {
    /// Where `minter` stands: an agent in its one team, a person in the team `chosen` or the only one.
    pub(super) async fn standing(
        &self,
        minter: &Minter,
        chosen: Option<&TeamUid>,
        freshness: Freshness,
    ) -> Result<TeamStanding, MintError> {
        let (principal, team) = match &minter.who {
            // Naming its own team changes nothing; naming another is naming none of its teams.
            MinterIdentity::ServiceAccount { uid, team } => {
                if chosen.is_some_and(|chosen| chosen != team) {
                    return Err(MintError::TeamNotFound);
                }
                (Principal::ServiceAccount(uid.clone()), team.clone())
            }
            MinterIdentity::Person { user, .. } => {
                (Principal::User(user.clone()), self.team_of(user, chosen, freshness).await?)
            }
        };
        let facts = self.facts(&team, freshness).await.map_err(Unavailable::from)?.ok_or(MintError::TeamNotFound)?;
        check_team(&facts).map_err(MintError::Dead)?;
        if !accepts_sign_in(&principal, &facts) {
            return Err(MintError::SignInNotAccepted);
        }
        Ok(TeamStanding::new(principal, facts))
    }

    async fn team_of(
        &self,
        user: &UserUid,
        chosen: Option<&TeamUid>,
        freshness: Freshness,
    ) -> Result<TeamUid, MintError> {
        let teams = self.teams_of(user, freshness).await.map_err(Unavailable::from)?;
        match (chosen, &*teams) {
            (Some(chosen), teams) if teams.contains(chosen) => Ok(chosen.clone()),
            (Some(_), _) => Err(MintError::TeamNotFound),
            (None, [only]) => Ok(only.clone()),
            (None, several) => Err(MintError::TeamRequired(several.to_vec())),
        }
    }

    pub(super) async fn teams_of(&self, user: &UserUid, freshness: Freshness) -> Result<Arc<[TeamUid]>, StoreError> {
        if freshness == Freshness::Remembered
            && let Some(teams) = self.0.teams_of.get(user)
        {
            return Ok(teams);
        }
        let teams: Arc<[TeamUid]> = self.store().memberships_of(user).await?.into_iter().map(|team| team.uid).collect();
        self.0.teams_of.put(user.clone(), Arc::clone(&teams));
        Ok(teams)
    }

    pub(super) async fn facts(
        &self,
        team: &TeamUid,
        freshness: Freshness,
    ) -> Result<Option<Arc<TeamFacts>>, StoreError> {
        if freshness == Freshness::Remembered
            && let Some(facts) = self.0.facts.get(team)
        {
            return Ok(Some(facts));
        }
        let facts = self.store().team_facts(team, self.now()).await?.map(Arc::new);
        match &facts {
            Some(facts) => self.0.facts.put(team.clone(), Arc::clone(facts)),
            None => self.0.facts.forget(team),
        }
        Ok(facts)
    }
}

/// Whether the team accepts how the principal's session was opened: every session there is was opened with an
/// enrolment code, until there are other ways to sign in. Agents have none.
pub(super) fn accepts_sign_in(principal: &Principal, facts: &TeamFacts) -> bool {
    matches!(principal, Principal::ServiceAccount(_)) || facts.team.policy.enrolment_codes
}

/// A disabled or deleted team mints nothing.
pub(super) fn check_team(facts: &TeamFacts) -> Result<(), DeadReason> {
    match (facts.team.deleted_at, facts.team.disabled_at) {
        (Some(_), _) => Err(DeadReason::TeamDeleted),
        (None, Some(_)) => Err(DeadReason::TeamDisabled),
        (None, None) => Ok(()),
    }
}
