//! The audit log, to read.

use super::{AdminError, Reading};
use crate::store::{EventFilter, Order, Page, Paged, Told};

impl Reading {
    /// A page of audit rows.
    pub async fn audit(&self, filter: &EventFilter, page: &Page, order: Order) -> Result<Paged<Told>, AdminError> {
        Ok(self.store().told(filter, page, order).await?)
    }
}
