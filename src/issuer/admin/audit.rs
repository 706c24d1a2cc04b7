//! The audit log, to read.

use super::{AdminError, Administration};
use crate::domain::audit::RecordedEvent;
use crate::store::{EventFilter, Page, Paged};

impl Administration {
    /// A page of audit rows, the newest first.
    pub async fn audit(&self, filter: &EventFilter, page: &Page) -> Result<Paged<RecordedEvent>, AdminError> {
        Ok(self.store().events(filter, page).await?)
    }
}
