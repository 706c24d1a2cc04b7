//! Whether this replica can mint: honest, part by part.

use super::Issuer;
use super::keys::CLOCK_ERROR_MAX;
use crate::store::QUEUE_MAX;

/// One part and what is wrong with it, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `database`, `keys`, `clock`, `audit` or `admission`.
    pub name: &'static str,
    /// What is wrong.
    pub fault: Option<String>,
}

impl Issuer {
    /// Tries every part that a mint needs.
    pub async fn readiness(&self) -> Vec<Part> {
        let database = self.store().ping().await.err().map(|error| error.to_string());
        let keys = self.keys().signing(self.now()).await.err().map(|error| error.to_string());
        let off = self.keys().snapshot().clock_off;
        let clock = (off.abs() > CLOCK_ERROR_MAX).then(|| format!("{off} ms off"));
        let (waiting, most) = (self.audit().stats().queued, QUEUE_MAX);
        let audit = (waiting * 10 >= most * 9).then(|| format!("{waiting} rows wait, of at most {most}"));
        let admission = (self.0.admission.free() == 0).then(|| "every place is taken".to_owned());
        [("database", database), ("keys", keys), ("clock", clock), ("audit", audit), ("admission", admission)]
            .map(|(name, fault)| Part { name, fault })
            .to_vec()
    }
}
