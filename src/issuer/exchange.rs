//! The exchange: what a worker gets for a caller's live token, or the bearer of a run.

use std::sync::Arc;

use super::Issuer;
use super::limits::Party;
use super::presented::Presented;
use super::refusals::{ExchangeError, Unavailable};
use super::release::{Authority, Minted, Released};
use super::standing::{Freshness, TeamStanding};
use crate::domain::access::{Exchanger, Identity};
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::CredentialKind;
use crate::domain::id::CredentialId;
use crate::domain::policy::{self, Grant, Refusal};
use crate::domain::run::Run;
use crate::domain::secret::Secret;
use crate::domain::session_name::SessionName;
use crate::domain::settings::EffectiveSettings;
use crate::limit::admission::Place;

/// After how many seconds a worker must ask again whether a caller is alive, also on a cache hit.
pub const RECHECK_AFTER: u32 = 60;

/// What the worker may do for the caller.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// An identity token for STS, bound to the role of the settings.
    pub minted: Minted,
    /// The settings that hold for the caller.
    pub settings: EffectiveSettings,
    /// Their version.
    pub settings_version: i64,
    /// The caller's run.
    pub run: Option<Arc<Run>>,
    /// The RoleSessionName to use.
    pub session_name: SessionName,
}

impl Issuer {
    /// Exchanges a caller's token or bearer of a run, presented by a worker under its own key.
    ///
    /// Principal, team and run come from that alone, and a token's original audit row must exist; the worker names
    /// nothing (threat 34). The audit statement proves that the caller's credential and the worker's are alive.
    pub async fn exchange(
        &self,
        worker: &Exchanger,
        token: &Secret,
        origin: &Origin,
    ) -> Result<Exchanged, ExchangeError> {
        let party = Party::Credential(worker.credential);
        let place = self.0.admission.enter(&party).await.map_err(Unavailable::from)?;
        let presented = match self.presented(worker, token, origin).await {
            Ok(presented) => presented,
            Err(error) => {
                place.rest();
                return Err(self.exchange_refused(worker, None, error, origin).await);
            }
        };
        let limits = &self.0.limits;
        let within = limits.principal(presented.principal()).and_then(|()| limits.team(presented.team()));
        self.count_limited(within, Action::TokenExchange, origin)?;
        match self.exchange_verified(worker, &presented, origin, &place).await {
            Err(error) => {
                place.rest();
                Err(self.exchange_refused(worker, Some(&presented), error, origin).await)
            }
            exchanged => exchanged,
        }
    }

    async fn exchange_verified(
        &self,
        worker: &Exchanger,
        presented: &Presented,
        origin: &Origin,
        place: &Place<Party>,
    ) -> Result<Exchanged, ExchangeError> {
        let credential = self.credential_behind(presented).await?;
        for freshness in [Freshness::Remembered, Freshness::Fresh, Freshness::Fresh] {
            let decided = match self.presented_standing(presented, credential, freshness).await {
                Ok(standing) => self
                    .decide_presented(worker, presented, &standing, origin)
                    .map(|grant| (grant, standing))
                    .map_err(ExchangeError::from),
                Err(error) => Err(error),
            };
            let (grant, standing) = match decided {
                Ok(decided) => decided,
                Err(_) if freshness == Freshness::Remembered => continue,
                Err(error) => return Err(error),
            };
            let settings_version = standing.facts.team.version;
            let authority = Authority {
                action: Action::TokenExchange,
                credential,
                team_version: settings_version,
                worker: Some((worker.credential, presented.token_id())),
            };
            if let Released::Token(minted) = self.release(grant, authority, origin, place).await? {
                let session_name = SessionName::new(presented.principal(), presented.run_id());
                let (settings, run) = (standing.settings().clone(), standing.run);
                return Ok(Exchanged { minted: *minted, settings, settings_version, run, session_name });
            }
            self.why_not_exchanged(worker, presented, credential.1).await?;
            self.keys().reload().await?;
        }
        Err(Unavailable::Changing.into())
    }

    /// What the worker gets for the caller. The address of an exchange is the worker's, so that a team's address ranges
    /// were asked of the caller when its token was minted; the bearer of a run was asked nowhere yet, so that the
    /// worker that shows it must itself be within them.
    fn decide_presented(
        &self,
        worker: &Exchanger,
        presented: &Presented,
        standing: &TeamStanding,
        origin: &Origin,
    ) -> Result<Grant, Refusal> {
        let rules = standing.as_policy(self.url());
        if presented.token_id().is_none() && !rules.policy.admits_address(origin.address) {
            return Err(Refusal::AddressNotAllowed);
        }
        policy::decide_exchange(rules, worker.credential)
    }

    /// Which of the two credentials has ended, or that the worker's lists the team no more.
    async fn why_not_exchanged(
        &self,
        worker: &Exchanger,
        presented: &Presented,
        credential: CredentialId,
    ) -> Result<(), ExchangeError> {
        if let Some(reason) = self.look_again(credential).await?.and_then(|record| record.dead) {
            return Err(ExchangeError::Dead(reason));
        }
        let Some(record) = self.look_again(worker.credential).await? else { return Ok(()) };
        if let Some(reason) = record.dead {
            return Err(ExchangeError::WorkerDead(reason));
        }
        match record.identity {
            Identity::Worker { teams, .. } if !teams.contains(presented.team()) => Err(ExchangeError::TeamNotServed),
            _ => Ok(()),
        }
    }

    async fn exchange_refused(
        &self,
        worker: &Exchanger,
        presented: Option<&Presented>,
        error: ExchangeError,
        origin: &Origin,
    ) -> ExchangeError {
        let Some(reason) = error.reason() else { return error };
        let mut event = self.event(Action::TokenExchange, Decision::Refused, origin);
        event.reason = Some(reason);
        if matches!(error, ExchangeError::UnknownBearer) {
            // Anybody can show a worker a bearer of their own making: nobody's is counted, not written one by one
            // (threat 41). The count may be of several workers behind one address, so that it names none.
            metrics::counter!(
                "brevet_refusals_total",
                "action" => Action::TokenExchange.as_str(),
                "reason" => reason
            )
            .increment(1);
            self.audit().append_counted(event);
            return error;
        }
        event.credential = Some((CredentialKind::Worker, worker.credential));
        event.worker = Some(worker.credential);
        if let Some(presented) = presented {
            event.team = Some(presented.team().clone());
            event.principal = Some(presented.principal().clone());
            event.target = presented.run_id().map(|run| format!("run:{run}"));
        }
        self.record_refusal(event).await;
        error
    }
}
