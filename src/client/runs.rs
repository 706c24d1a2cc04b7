//! Runs, for whoever may open, see and end them.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::call::{Client, ClientError};
use crate::domain::secret::Secret;
use crate::wire::admin::page::Page;
use crate::wire::run::{OpenRun, OpenedRun, Run};

/// Which runs are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunsOf {
    /// Of one team.
    pub team: Option<String>,
    /// Of one principal: `user:<uid>` or `service_account:<uid>`.
    pub principal: Option<String>,
    /// Only those that go on.
    pub open: bool,
}

impl Client {
    /// Opens a run; its bearer is in the answer, this once.
    pub async fn open_run(&self, bearer: &Secret, request: &OpenRun) -> Result<OpenedRun, ClientError> {
        self.send(Method::POST, Some(bearer), "/v1/runs", request).await
    }

    /// Every run that the bearer knows of and that is asked for, page by page, the newest first.
    pub async fn runs(&self, bearer: &Secret, of: &RunsOf) -> Result<Vec<Run>, ClientError> {
        self.runs_at(bearer, "/v1/runs", of).await
    }

    /// The same at another path.
    pub(super) async fn runs_at(&self, bearer: &Secret, at: &str, of: &RunsOf) -> Result<Vec<Run>, ClientError> {
        let mut query = format!("{at}?limit=100");
        let state = of.open.then(|| "open".to_owned());
        for (name, value) in [("team", &of.team), ("principal", &of.principal), ("state", &state)] {
            if let Some(value) = value {
                query = format!("{query}&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        }
        let mut runs = Vec::new();
        let mut path = query.clone();
        loop {
            let mut page: Page<Run> = self.get(bearer, &path).await?;
            runs.append(&mut page.items);
            let Some(after) = page.next else { return Ok(runs) };
            path = format!("{query}&after={}", utf8_percent_encode(&after, NON_ALPHANUMERIC));
        }
    }

    /// Ends a run before its time.
    pub async fn end_run(&self, bearer: &Secret, id: &str) -> Result<(), ClientError> {
        self.delete(bearer, &format!("/v1/runs/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))).await
    }
}
