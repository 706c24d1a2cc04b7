//! What a worker presents of its caller: a token of ours for its audience, or the bearer of a run opened for it alone.

use std::sync::Arc;

use super::Issuer;
use super::refusals::{ExchangeError, Unavailable};
use super::standing::{Freshness, TeamStanding, check_sign_in, check_team};
use crate::crypto::verify::{TokenRefused, VerifiedToken};
use crate::domain::access::{Exchanger, Identity};
use crate::domain::audit::{Action, Decision, Origin, RecordedEvent};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, IssuerId, RunId, TeamUid, TokenId};
use crate::domain::principal::Principal;
use crate::domain::run::Run;
use crate::domain::secret::Secret;
use crate::store::CredentialRecord;

/// A caller, as a worker showed it. Principal, team and run come from here alone; the worker names nothing (threat 34).
#[derive(Debug)]
pub(super) enum Presented {
    /// A verified token, and the issuer whose keys it verified under.
    Token { token: Box<VerifiedToken>, issuer: IssuerId },
    /// A live bearer of a run.
    Bearer { credential: CredentialId, run: Arc<Run> },
}

impl Presented {
    pub(super) fn team(&self) -> &TeamUid {
        match self {
            Self::Token { token, .. } => token.subject().team(),
            Self::Bearer { run, .. } => &run.team,
        }
    }

    pub(super) fn principal(&self) -> &Principal {
        match self {
            Self::Token { token, .. } => token.subject().principal(),
            Self::Bearer { run, .. } => &run.principal,
        }
    }

    pub(super) fn run_id(&self) -> Option<&RunId> {
        match self {
            Self::Token { token, .. } => token.run_id(),
            Self::Bearer { run, .. } => Some(&run.id),
        }
    }

    /// The `jti`, where it is a token.
    pub(super) fn token_id(&self) -> Option<TokenId> {
        match self {
            Self::Token { token, .. } => Some(token.token_id()),
            Self::Bearer { .. } => None,
        }
    }
}

impl Issuer {
    /// The cheap and the cryptographic checks, in that order: our own published keys, the URL of the issuer that they
    /// belong to byte for byte, the worker's own audience, our own clock without leeway, a team that the worker serves.
    pub(super) async fn presented_token(&self, worker: &Exchanger, shown: &Secret) -> Result<Presented, ExchangeError> {
        let (token, ring) = self.verify_own(shown, &worker.audience, &worker.teams).await?;
        if token.expires_at() <= self.now() {
            return Err(TokenRefused::Expired(token.expires_at()).into());
        }
        serves(worker, token.subject().team())?;
        Ok(Presented::Token { token: Box::new(token), issuer: ring.id() })
    }

    /// What the worker shows, verified.
    pub(super) async fn presented(
        &self,
        worker: &Exchanger,
        shown: &Secret,
        origin: &Origin,
    ) -> Result<Presented, ExchangeError> {
        let Some(bearer) = bearer(shown)? else { return self.presented_token(worker, shown).await };
        let found = self.store().credential(&bearer.hash(), self.now()).await.map_err(Unavailable::from)?;
        if found.is_none() {
            // A worker that tries bearers is as nobody: its tries are counted by address, like a caller's own.
            self.0.limits.failure(origin)?;
        }
        self.presented_bearer(worker, found).await
    }

    /// The bearer of a run that was opened for this worker alone: one that may also be used elsewhere is not a
    /// worker's to see.
    pub(super) async fn presented_bearer(
        &self,
        worker: &Exchanger,
        found: Option<CredentialRecord>,
    ) -> Result<Presented, ExchangeError> {
        let record = found.filter(|record| record.kind == CredentialKind::Run).ok_or(ExchangeError::UnknownBearer)?;
        let Identity::Run { run, team, .. } = &record.identity else { return Err(ExchangeError::UnknownBearer) };
        serves(worker, team)?;
        if let Some(reason) = record.dead {
            return Err(ExchangeError::Dead(reason));
        }
        let run = self.run_of(run).await?.ok_or(ExchangeError::UnknownBearer)?;
        if run.terms.audiences != [worker.audience.clone()] {
            return Err(ExchangeError::RunAudience);
        }
        Ok(Presented::Bearer { credential: record.id, run })
    }

    /// The credential behind what was presented: of a token the one that minted it, because only what left under a
    /// principal's own credential, its run's or its platform's, of the issuer whose keys it verifies under, may be
    /// presented.
    pub(super) async fn credential_behind(
        &self,
        presented: &Presented,
    ) -> Result<(CredentialKind, CredentialId), ExchangeError> {
        match presented {
            Presented::Bearer { credential, .. } => Ok((CredentialKind::Run, *credential)),
            Presented::Token { token, issuer } => {
                let row = self.store().event_of_token(token.token_id()).await.map_err(Unavailable::from)?;
                let row = row.filter(|row| row.issuer == *issuer);
                row.and_then(|row| minted_by(&row)).ok_or(ExchangeError::NotMinted)
            }
        }
    }

    /// Where the caller stands now.
    pub(super) async fn presented_standing(
        &self,
        presented: &Presented,
        behind: (CredentialKind, CredentialId),
        freshness: Freshness,
    ) -> Result<TeamStanding, ExchangeError> {
        let (team, principal) = (presented.team(), presented.principal());
        let facts = self.facts(team, freshness).await.map_err(Unavailable::from)?;
        let facts = facts.ok_or(ExchangeError::NotMinted)?;
        check_team(&facts).map_err(ExchangeError::Dead)?;
        if let Principal::User(user) = principal
            && !self.teams_of(user, freshness).await.map_err(Unavailable::from)?.contains(team)
        {
            return Err(ExchangeError::NotMember);
        }
        let run = match (presented, presented.run_id()) {
            (Presented::Bearer { run, .. }, _) => Some(Arc::clone(run)),
            (Presented::Token { .. }, Some(id)) => Some(self.run_of(id).await?.ok_or(ExchangeError::NotMinted)?),
            (Presented::Token { .. }, None) => None,
        };
        let by = match &run {
            Some(run) => run.opener.by.clone(),
            None if has_session(principal, behind.0) => {
                self.store().authentication_behind(behind.1).await.map_err(Unavailable::from)?
            }
            None => None,
        };
        check_sign_in(&facts, by.as_ref()).map_err(ExchangeError::SignInNotAccepted)?;
        let standing = TeamStanding::new(principal.clone(), facts).signed_in(by.as_ref());
        Ok(match (run, behind) {
            (Some(run), _) => standing.in_run(run),
            (None, (CredentialKind::Platform, key)) => standing.acted_by_platform(key),
            (None, _) => standing,
        })
    }
}

/// A bearer of a run, where a credential was shown; any other credential is refused by its kind.
pub(super) fn bearer(shown: &Secret) -> Result<Option<OpaqueCredential>, ExchangeError> {
    match OpaqueCredential::parse(shown.expose()) {
        Ok(credential) if credential.kind() == CredentialKind::Run => Ok(Some(credential)),
        Ok(credential) => Err(ExchangeError::Credential(credential.kind())),
        Err(_) => Ok(None),
    }
}

/// Whether a person's session is behind a token outside any run; behind a platform's there is none.
fn has_session(principal: &Principal, behind: CredentialKind) -> bool {
    matches!(principal, Principal::User(_)) && behind == CredentialKind::Access
}

fn serves(worker: &Exchanger, team: &TeamUid) -> Result<(), ExchangeError> {
    if worker.teams.contains(team) { Ok(()) } else { Err(ExchangeError::TeamNotServed) }
}

/// Whose credential minted the token of an audit row, if one did.
fn minted_by(row: &RecordedEvent) -> Option<(CredentialKind, CredentialId)> {
    row.credential.filter(|_| row.action == Action::TokenMint && row.decision == Decision::Allowed)
}
