//! A team's runs, for who administers or audits it; whoever opened them, and whose they are.

use super::{AdminError, Administration, Reading};
use crate::domain::access::RunsOf;
use crate::domain::audit::Action;
use crate::domain::id::{RunId, TeamUid};
use crate::domain::run::Run;
use crate::store::{ChangeError, Page, Paged, RunFilter};

const KIND: &str = "run";

impl Reading {
    /// A page of a team's runs, the newest first. What `filter` says of whose they are does not count.
    pub async fn runs_of(&self, team: &TeamUid, filter: RunFilter, page: &Page) -> Result<Paged<Run>, AdminError> {
        self.team(team).await?;
        let filter = RunFilter { whose: RunsOf::InTeam(team.clone()), ..filter };
        Ok(self.store().runs(&filter, page).await?)
    }

    /// One run of a team.
    pub async fn run_of(&self, team: &TeamUid, id: &RunId) -> Result<Run, AdminError> {
        self.team(team).await?;
        let run = self.store().known_run(id, &RunsOf::InTeam(team.clone())).await?;
        run.ok_or(AdminError::NotFound(KIND))
    }
}

impl Administration {
    /// Ends a run of a team before its time; one that is over is left as it is. When it has returned, its bearer gets no
    /// token.
    pub async fn end_run_of(&self, team: &TeamUid, id: &RunId) -> Result<(), AdminError> {
        let run = self.run_of(team, id).await?;
        let mut event = self.event(Action::RunEnd, Some(team), format!("run:{id}"));
        event.principal = Some(run.principal);
        match self.store().end_run(id, &RunsOf::InTeam(team.clone()), &event).await {
            // It was over already, which is what was asked for.
            Ok(()) | Err(ChangeError::NotFound) => {
                self.issuer.forget();
                Ok(())
            }
            Err(error) => Err(AdminError::of(KIND)(error)),
        }
    }
}
