//! The exchange: what a worker gets for a caller's live token.

use super::Issuer;
use super::refusals::{ExchangeError, Unavailable};
use super::release::{Authority, Minted};
use super::standing::{Freshness, TeamStanding, accepts_sign_in, check_team};
use crate::crypto::verify::{TokenRefused, VerifiedToken};
use crate::domain::access::{Exchanger, Identity};
use crate::domain::audit::{Action, Decision, Origin, RecordedEvent};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, IssuerId, RunId};
use crate::domain::policy;
use crate::domain::principal::Principal;
use crate::domain::secret::Secret;
use crate::domain::session_name::SessionName;
use crate::domain::settings::EffectiveSettings;

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
    pub run: Option<RunId>,
    /// The RoleSessionName to use.
    pub session_name: SessionName,
}

impl Issuer {
    /// Exchanges a caller's token, presented by a worker under its own key.
    ///
    /// Principal, team and run come from that token alone, whose original audit row must exist; the worker names
    /// nothing (threat 34). The audit statement proves that the caller's credential and the worker's are alive.
    pub async fn exchange(
        &self,
        worker: &Exchanger,
        token: &Secret,
        origin: &Origin,
    ) -> Result<Exchanged, ExchangeError> {
        let _place = self.0.admission.enter().map_err(Unavailable::from)?;
        let presented = match self.verify_presented(worker, token).await {
            Ok(presented) => presented,
            Err(error) => return Err(self.exchange_refused(worker, None, error, origin).await),
        };
        let subject = presented.token.subject();
        let limits = &self.0.limits;
        let within = limits.principal(subject.principal()).and_then(|()| limits.team(subject.team()));
        self.count_limited(within, Action::TokenExchange, origin)?;
        match self.exchange_verified(worker, &presented, origin).await {
            Err(error) => Err(self.exchange_refused(worker, Some(&presented.token), error, origin).await),
            exchanged => exchanged,
        }
    }

    async fn exchange_verified(
        &self,
        worker: &Exchanger,
        presented: &Presented,
        origin: &Origin,
    ) -> Result<Exchanged, ExchangeError> {
        let credential = self.original_credential(presented).await?;
        let presented = &presented.token;
        for freshness in [Freshness::Remembered, Freshness::Fresh, Freshness::Fresh] {
            let decided = match self.presented_standing(presented, freshness).await {
                Ok(standing) => {
                    let rules = standing.as_policy(self.url(), presented.run_id());
                    policy::decide_exchange(rules, worker.credential)
                        .map(|grant| (grant, standing))
                        .map_err(ExchangeError::from)
                }
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
            if let Some(minted) = self.release(grant, authority, origin).await? {
                let session_name = SessionName::new(presented.subject().principal(), presented.run_id());
                let (settings, run) = (standing.settings, presented.run_id().cloned());
                return Ok(Exchanged { minted, settings, settings_version, run, session_name });
            }
            self.why_not_exchanged(worker, presented, credential.1).await?;
            self.keys().reload().await?;
        }
        Err(Unavailable::Changing.into())
    }

    /// Which of the two credentials has ended, or that the worker's lists the team no more.
    async fn why_not_exchanged(
        &self,
        worker: &Exchanger,
        presented: &VerifiedToken,
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
            Identity::Worker { teams, .. } if !teams.contains(presented.subject().team()) => {
                Err(ExchangeError::TeamNotServed)
            }
            _ => Ok(()),
        }
    }

    /// The cheap and the cryptographic checks, in that order: our own published keys, the URL of the issuer that they
    /// belong to byte for byte, the worker's own audience, our own clock without leeway, a team that the worker serves.
    pub(super) async fn verify_presented(
        &self,
        worker: &Exchanger,
        token: &Secret,
    ) -> Result<Presented, ExchangeError> {
        if let Ok(credential) = OpaqueCredential::parse(token.expose()) {
            return Err(ExchangeError::Credential(credential.kind()));
        }
        let (token, ring) = self.verify_own(token, &worker.audience, &worker.teams).await?;
        if token.expires_at() <= self.now() {
            return Err(TokenRefused::Expired(token.expires_at()).into());
        }
        if !worker.teams.contains(token.subject().team()) {
            return Err(ExchangeError::TeamNotServed);
        }
        Ok(Presented { token, issuer: ring.id() })
    }

    /// The credential that minted the token: only what left under a principal's own credential, of the issuer whose
    /// keys it verifies under, may be presented.
    async fn original_credential(
        &self,
        presented: &Presented,
    ) -> Result<(CredentialKind, CredentialId), ExchangeError> {
        let row = self.store().event_of_token(presented.token.token_id()).await.map_err(Unavailable::from)?;
        let row = row.filter(|row| row.issuer == presented.issuer);
        row.and_then(|row| minted_by(&row)).ok_or(ExchangeError::NotMinted)
    }

    async fn presented_standing(
        &self,
        presented: &VerifiedToken,
        freshness: Freshness,
    ) -> Result<TeamStanding, ExchangeError> {
        let subject = presented.subject();
        let facts = self.facts(subject.team(), freshness).await.map_err(Unavailable::from)?;
        let facts = facts.ok_or(ExchangeError::NotMinted)?;
        check_team(&facts).map_err(ExchangeError::Dead)?;
        if let Principal::User(user) = subject.principal()
            && !self.teams_of(user, freshness).await.map_err(Unavailable::from)?.contains(subject.team())
        {
            return Err(ExchangeError::NotMember);
        }
        if !accepts_sign_in(subject.principal(), &facts) {
            return Err(ExchangeError::SignInNotAccepted);
        }
        Ok(TeamStanding::new(subject.principal().clone(), facts))
    }

    async fn exchange_refused(
        &self,
        worker: &Exchanger,
        presented: Option<&VerifiedToken>,
        error: ExchangeError,
        origin: &Origin,
    ) -> ExchangeError {
        let Some(reason) = error.reason() else { return error };
        let mut event = self.event(Action::TokenExchange, Decision::Refused, origin);
        event.reason = Some(reason);
        event.credential = Some((CredentialKind::Worker, worker.credential));
        event.worker = Some(worker.credential);
        if let Some(presented) = presented {
            event.team = Some(presented.subject().team().clone());
            event.principal = Some(presented.subject().principal().clone());
        }
        self.record_refusal(event).await;
        error
    }
}

/// A verified token and the issuer whose keys it verified under.
pub(super) struct Presented {
    pub(super) token: VerifiedToken,
    issuer: IssuerId,
}

/// Whose credential minted the token of an audit row, if one did.
fn minted_by(row: &RecordedEvent) -> Option<(CredentialKind, CredentialId)> {
    row.credential.filter(|_| row.action == Action::TokenMint && row.decision == Decision::Allowed)
}
