//! Under which rules a principal stands in a team.

use std::sync::Arc;

use super::Issuer;
use super::refusals::{MintError, Unavailable};
use crate::domain::access::{Minter, MinterIdentity};
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, RunId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::policy::{self, Actor};
use crate::domain::principal::Principal;
use crate::domain::run::Run;
use crate::domain::session::{Authentication, SessionOrigin};
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
    /// What the settings come to outside any run.
    outside: EffectiveSettings,
    /// What they come to in the run, where there is one.
    inside: Option<EffectiveSettings>,
    /// The team, its version and its workers.
    pub facts: Arc<TeamFacts>,
    /// The run.
    pub run: Option<Arc<Run>>,
    /// Who acts for the principal, if it is not its own credential.
    actor: Option<Actor>,
    /// How the person was authenticated, where a session is behind the token and says so.
    amr: Vec<String>,
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
        let outside = EffectiveSettings::of(&layers);
        let subject = Subject::new(facts.team.uid.clone(), principal);
        Self { subject, outside, inside: None, facts, run: None, actor: None, amr: Vec::new() }
    }

    /// The same in `run`, for whose opener it acts.
    #[must_use]
    pub fn in_run(mut self, run: Arc<Run>) -> Self {
        self.inside = Some(self.outside.in_run(&run.terms.provider_layer()));
        self.actor = Some(Actor { kind: run.opener.kind, id: run.opener.credential });
        self.run = Some(run);
        self
    }

    /// The same with a platform acting for the principal.
    #[must_use]
    pub fn acted_by_platform(mut self, key: CredentialId) -> Self {
        self.actor = Some(Actor { kind: CredentialKind::Platform, id: key });
        self
    }

    /// The same with the sign-in of the session behind it.
    #[must_use]
    pub fn signed_in(mut self, by: Option<&Authentication>) -> Self {
        self.amr = by.map(|by| by.amr.clone()).unwrap_or_default();
        self
    }

    /// What the settings come to.
    pub fn settings(&self) -> &EffectiveSettings {
        self.inside.as_ref().unwrap_or(&self.outside)
    }

    /// The same, as the decision takes it.
    pub fn as_policy<'a>(&'a self, issuer: &'a IssuerUrl) -> policy::Standing<'a> {
        policy::Standing {
            subject: &self.subject,
            run: self.run.as_deref(),
            actor: self.actor,
            amr: &self.amr,
            issuer,
            policy: &self.facts.team.policy,
            settings: self.settings(),
            outside: &self.outside,
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
    /// Where `principal`, for whom `minter` asks, stands: an agent in its one team, a run in its own, a person in the
    /// team `chosen` or the only one; and for a platform only in its teams.
    pub(super) async fn standing(
        &self,
        minter: &Minter,
        principal: &Principal,
        chosen: Option<&TeamUid>,
        freshness: Freshness,
    ) -> Result<TeamStanding, MintError> {
        let (team, run) = match &minter.who {
            MinterIdentity::ServiceAccount { team, .. } => (own_team(team, chosen)?, None),
            MinterIdentity::Person { user, .. } => (self.team_of(user, chosen, freshness).await?, None),
            MinterIdentity::Run { run, team, .. } => {
                let run = self.run_of(run).await?.ok_or(MintError::Dead(DeadReason::RunEnded))?;
                (own_team(team, chosen)?, Some(run))
            }
            MinterIdentity::Platform { teams, .. } => {
                (self.team_for_platform(teams, principal, chosen, freshness).await?, None)
            }
        };
        let facts = self.facts(&team, freshness).await.map_err(Unavailable::from)?.ok_or(MintError::TeamNotFound)?;
        check_team(&facts).map_err(MintError::Dead)?;
        let by = match (&run, &minter.who) {
            (Some(run), _) => run.opener.by.as_ref(),
            (None, MinterIdentity::Person { by, .. }) => Some(by),
            (
                None,
                MinterIdentity::ServiceAccount { .. } | MinterIdentity::Run { .. } | MinterIdentity::Platform { .. },
            ) => None,
        };
        check_sign_in(&facts, by).map_err(MintError::SignInNotAccepted)?;
        let standing = TeamStanding::new(principal.clone(), facts).signed_in(by);
        Ok(match (&minter.who, run) {
            (_, Some(run)) => standing.in_run(run),
            (MinterIdentity::Platform { .. }, None) => standing.acted_by_platform(minter.credential),
            (_, None) => standing,
        })
    }

    /// A run, perhaps from memory: what it was opened with never changes, and whether it goes on, the audit statement
    /// proves.
    pub(super) async fn run_of(&self, id: &RunId) -> Result<Option<Arc<Run>>, Unavailable> {
        if let Some(run) = self.0.runs.get(id) {
            return Ok(Some(run));
        }
        let run = self.store().run(id).await?.map(Arc::new);
        if let Some(run) = &run {
            self.0.runs.put(id.clone(), Arc::clone(run));
        }
        Ok(run)
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

/// Naming its own team changes nothing; naming another is naming none of its teams.
fn own_team(own: &TeamUid, chosen: Option<&TeamUid>) -> Result<TeamUid, MintError> {
    if chosen.is_none_or(|chosen| chosen == own) { Ok(own.clone()) } else { Err(MintError::TeamNotFound) }
}

/// Whether the team accepts how the person's session was opened, where one is behind the token; the origin that it
/// does not accept (threat 38).
pub(super) fn check_sign_in(facts: &TeamFacts, by: Option<&Authentication>) -> Result<(), SessionOrigin> {
    match by {
        Some(by) if !facts.team.policy.accepts(&by.origin) => Err(by.origin.clone()),
        _ => Ok(()),
    }
}

/// A disabled or deleted team mints nothing.
pub(super) fn check_team(facts: &TeamFacts) -> Result<(), DeadReason> {
    match (facts.team.deleted_at, facts.team.disabled_at) {
        (Some(_), _) => Err(DeadReason::TeamDeleted),
        (None, Some(_)) => Err(DeadReason::TeamDisabled),
        (None, None) => Ok(()),
    }
}
