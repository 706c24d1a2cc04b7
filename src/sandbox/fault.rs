//! Faults on demand, so that a test or a demo can see how a client takes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::error::AwsError;

/// What goes wrong at the next call that it fits; used up by it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The call is answered with this error, before anything of it is looked at.
    Refuse {
        /// The action it waits for; absent: any.
        action: Option<String>,
        /// HTTP status.
        status: u16,
        /// Error code, such as `Throttling`.
        code: String,
        /// Its message.
        message: String,
    },
    /// The call is held this long, then goes on.
    Delay {
        /// The action it waits for; absent: any.
        action: Option<String>,
        /// Milliseconds.
        millis: u64,
    },
    /// The answer's stream ends with a broken connection.
    BreakStream {
        /// After so many events.
        after: usize,
    },
    /// The answer's stream ends with an exception event.
    StreamException {
        /// After so many events.
        after: usize,
        /// Its `:exception-type`, such as `throttlingException`.
        code: String,
        /// Its message.
        message: String,
    },
}

impl Fault {
    fn fits(&self, action: &str) -> bool {
        match self {
            Self::Refuse { action: wanted, .. } | Self::Delay { action: wanted, .. } => {
                wanted.as_deref().is_none_or(|wanted| wanted == action)
            }
            Self::BreakStream { .. } | Self::StreamException { .. } => false,
        }
    }

    const fn is_of_stream(&self) -> bool {
        matches!(self, Self::BreakStream { .. } | Self::StreamException { .. })
    }
}

/// The faults waiting, in the order they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(fault);
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = waiting.iter().position(wanted)?;
        waiting.remove(index)
    }

    /// Meets the faults that wait for `action`: delays pass, a refusal ends the call.
    pub(super) async fn meet(&self, action: &str) -> Result<(), AwsError> {
        while let Some(fault) = self.take(|fault| fault.fits(action)) {
            match fault {
                Fault::Delay { millis, .. } => tokio::time::sleep(Duration::from_millis(millis)).await,
                Fault::Refuse { status, code, message, .. } => return Err(AwsError::new(status, &code, message)),
                Fault::BreakStream { .. } | Fault::StreamException { .. } => {}
            }
        }
        Ok(())
    }

    /// The fault that the stream about to begin will meet.
    pub(super) fn for_stream(&self) -> Option<Fault> {
        self.take(Fault::is_of_stream)
    }
}
