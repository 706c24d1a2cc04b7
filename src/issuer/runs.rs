//! Runs: opened by their principal or a platform, listed, ended.

use time::OffsetDateTime;

use super::Issuer;
use super::admin::{AdminError, First, Repeatable};
use super::platform::{self, Act};
use super::refusals::{MintError, Unavailable};
use super::standing::{Freshness, TeamStanding};
use crate::domain::access::{Minter, MinterIdentity, RunKeeper, RunOpener, RunsOf};
use crate::domain::audience::Audience;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::id::{CredentialId, RunId, TeamUid};
use crate::domain::policy::{self, Refusal};
use crate::domain::principal::Principal;
use crate::domain::run::{self, EndError, Opener, Run, RunTerms};
use crate::domain::secret::Secret;
use crate::store::{ChangeError, NewCredential, Page, Paged, RunFilter};

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// In which team, where there are several.
    pub team: Option<TeamUid>,
    /// In whose name: a platform must say, and nobody else may.
    pub on_behalf_of: Option<Principal>,
    /// What its bearer is allowed. Without an audience it has the first of the team's list.
    pub terms: RunTerms,
    /// When it ends; a day from now where absent.
    pub ends_at: Option<OffsetDateTime>,
}

/// A run that was opened.
#[derive(Debug, Clone)]
pub struct OpenedRun {
    /// The run.
    pub run: Run,
    /// Its bearer; `None` where the create was a repeat.
    pub bearer: Option<Secret>,
}

/// Why a run is not opened, shown or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// For a reason for which nothing would be minted either.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// It would end too soon or too late.
    #[error("ends_at {0}")]
    End(#[from] EndError),
    /// There is no such run, or none that the caller may know of.
    #[error("no such run")]
    NotFound,
    /// The caller may look only.
    #[error("an auditor may not end a run")]
    ReadsOnly,
    /// The change could not be made.
    #[error(transparent)]
    Change(#[from] AdminError),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Issuer {
    /// Opens a run for `opener` itself, or where it is a platform for whom it names. Nothing of it is wider than what
    /// the principal may now; it lives only while its opener does.
    pub async fn open_run(
        &self,
        opener: &RunOpener,
        new: NewRun,
        request: Option<Repeatable>,
        origin: &Origin,
    ) -> Result<OpenedRun, RunError> {
        let RunOpener(minter) = opener;
        let named = new.on_behalf_of.clone();
        match self.open_checked(minter, new, request, origin).await {
            Err(RunError::Mint(error)) => {
                if let Some(reason) = error.reason() {
                    let mut event = self.event(Action::RunOpen, Decision::Refused, origin);
                    event.reason = Some(reason);
                    Self::say_who(&mut event, minter, minter.principal().or(named), None);
                    self.record_refusal(event).await;
                }
                Err(error.into())
            }
            opened => opened,
        }
    }

    async fn open_checked(
        &self,
        minter: &Minter,
        new: NewRun,
        request: Option<Repeatable>,
        origin: &Origin,
    ) -> Result<OpenedRun, RunError> {
        let now = self.now();
        let ends_at = run::end(now, new.ends_at.unwrap_or(now + run::RUN_DEFAULT))?;
        let principal = platform::principal(minter, new.on_behalf_of.as_ref(), Act::OpenRun)?;
        let within = self.0.limits.principal(&principal);
        self.count_limited(within, Action::RunOpen, origin).map_err(MintError::from)?;
        let standing = self.standing(minter, &principal, new.team.as_ref(), Freshness::Fresh).await?;
        let terms = whole_terms(new.terms, &standing).map_err(MintError::from)?;
        policy::decide_run(standing.as_policy(self.url()), &terms, origin.address).map_err(MintError::from)?;
        let run = Run {
            id: run::new_id(self.entropy()),
            team: standing.facts.team.uid.clone(),
            principal,
            opener: opener_of(minter),
            terms,
            tokens_issued: 0,
            created_at: now,
            ends_at,
            ended_at: None,
        };
        let (bearer, kept) = self.new_bearer(minter.credential, &run, now);
        let mut event = self.event(Action::RunOpen, Decision::Allowed, origin);
        Self::say_who(&mut event, minter, Some(run.principal.clone()), None);
        event.team = Some(run.team.clone());
        event.target = Some(target(&run.id));
        let earlier = match self.first_of(minter.credential, request.as_ref(), run.id.to_string()).await? {
            First::No(earlier) => Some(earlier),
            First::Yes(remember) => {
                let made = self.store().create_run(&run, &kept, &event, remember.as_ref()).await;
                self.settled(minter.credential, made, request.as_ref(), "run").await?
            }
        };
        match earlier {
            None => Ok(OpenedRun { run, bearer: Some(bearer.secret().clone()) }),
            Some(earlier) => self.repeated(minter, &earlier).await,
        }
    }

    fn new_bearer(&self, by: CredentialId, run: &Run, now: OffsetDateTime) -> (OpaqueCredential, NewCredential) {
        let bearer = OpaqueCredential::generate(CredentialKind::Run, self.entropy());
        let kept = NewCredential {
            id: CredentialId::new(self.entropy().uuid_v7(now)),
            hash: bearer.hash(),
            name: String::new(),
            expires_at: Some(run.ends_at),
            created_at: now,
            created_by: Some(by),
        };
        (bearer, kept)
    }

    /// The run of an earlier try, where its opener may still know of it.
    async fn repeated(&self, minter: &Minter, earlier: &str) -> Result<OpenedRun, RunError> {
        let id = RunId::parse(earlier).map_err(|_| RunError::NotFound)?;
        let whose = minter.principal().map_or(RunsOf::OpenedBy(minter.credential), RunsOf::Principal);
        let run = self.store().known_run(&id, &whose).await.map_err(Unavailable::from)?.ok_or(RunError::NotFound)?;
        Ok(OpenedRun { run, bearer: None })
    }

    /// A page of the runs that `keeper` knows of, the newest first.
    pub async fn runs(&self, filter: &RunFilter, page: &Page) -> Result<Paged<Run>, Unavailable> {
        Ok(self.store().runs(filter, page).await?)
    }

    /// One run that `keeper` knows of; of others nobody learns that they are there.
    pub async fn known_run(&self, keeper: &RunKeeper, id: &RunId) -> Result<Run, RunError> {
        self.store().known_run(id, &keeper.whose).await.map_err(Unavailable::from)?.ok_or(RunError::NotFound)
    }

    /// Ends a run before its time; one that is over is left as it is. When it has returned, its bearer gets no token.
    pub async fn end_run(&self, keeper: &RunKeeper, id: &RunId, origin: &Origin) -> Result<(), RunError> {
        let run = self.known_run(keeper, id).await?;
        if keeper.reads_only {
            return Err(RunError::ReadsOnly);
        }
        let mut event = self.event(Action::RunEnd, Decision::Allowed, origin);
        event.credential = Some((keeper.kind, keeper.credential));
        event.team = Some(run.team);
        event.principal = Some(run.principal);
        event.target = Some(target(id));
        match self.store().end_run(id, &keeper.whose, &event).await {
            Ok(()) => {}
            // It was over already, which is what was asked for; or it went out of the caller's sight meanwhile.
            Err(ChangeError::NotFound) => drop(self.known_run(keeper, id).await?),
            Err(error) => return Err(AdminError::of("run")(error).into()),
        }
        self.forget();
        Ok(())
    }
}

fn opener_of(minter: &Minter) -> Opener {
    let (session, by) = match &minter.who {
        MinterIdentity::Person { session, by, .. } => (Some(*session), Some(by.clone())),
        MinterIdentity::ServiceAccount { .. } | MinterIdentity::Run { .. } | MinterIdentity::Platform { .. } => {
            (None, None)
        }
    };
    Opener { kind: minter.kind, credential: minter.credential, session, by }
}

fn target(id: &RunId) -> String {
    format!("run:{id}")
}

/// What was asked for, with the first audience of the team's list where none was. A role means something only where a
/// token for STS can come of the run: of its bearer, or of a worker that serves it.
fn whole_terms(mut terms: RunTerms, standing: &TeamStanding) -> Result<RunTerms, Refusal> {
    if terms.audiences.is_empty() {
        let first = standing.facts.team.policy.audiences.first().ok_or(Refusal::AudienceNotAllowed)?;
        terms.audiences.push(first.audience.clone());
    }
    let reaches_sts = |audience: &Audience| audience.is_sts() || standing.facts.worker_audiences.contains(audience);
    if terms.role.is_some() && !terms.audiences.iter().any(reaches_sts) {
        return Err(Refusal::RoleNotApplicable);
    }
    Ok(terms)
}
