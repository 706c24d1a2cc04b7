//! What was called, by whom and with what outcome, in the manner of CloudTrail; no secret is ever in it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Events kept; the oldest go first.
const KEPT: usize = 1000;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Event {
    /// `AssumeRoleWithWebIdentity`, `InvokeModel`, …
    pub action: String,
    /// `ok`, or the error code answered.
    pub outcome: String,
    /// The caller's ARN once its signature held, or the ARN of the session made.
    pub principal: Option<String>,
    /// The role asked for, or the model called.
    pub resource: Option<String>,
    /// The token's `sub`, once verified.
    pub subject: Option<String>,
    /// The session's source identity.
    pub source_identity: Option<String>,
    /// The session's tags.
    pub tags: BTreeMap<String, String>,
    /// The session's duration, in seconds.
    pub duration_seconds: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Trail {
    events: VecDeque<Event>,
    calls: BTreeMap<String, u64>,
}

impl Trail {
    pub(super) fn record(&mut self, event: Event) {
        *self.calls.entry(event.action.clone()).or_default() += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    pub(super) fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }
}
