//! Whether this replica can mint: honest, part by part.

use super::Issuer;
use crate::store::QUEUE_MAX;

/// One part and what is wrong with it, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// `database`, `keys`, `clock`, `audit`, `admission` or `public_keys`.
    pub name: &'static str,
    /// What is wrong, so that nothing can be minted here.
    pub fault: Option<String>,
    /// What is wrong, and does not keep anything from being minted here.
    pub warning: Option<String>,
}

impl Issuer {
    /// Tries every part that a mint needs.
    pub async fn readiness(&self) -> Vec<Part> {
        let (database, weakness) = match self.store().durability().await {
            Ok(weakness) => (None, weakness),
            Err(error) => (Some(error.to_string()), None),
        };
        let keys = self.keys().signing(self.now()).await.err().map(|error| error.to_string());
        let snapshot = self.keys().snapshot();
        let off = snapshot.clock_off;
        let clock = (off.abs() > snapshot.clock_error()).then(|| format!("{off} ms off"));
        let (waiting, most) = (self.audit().stats().queued, QUEUE_MAX);
        let audit = (waiting * 10 >= most * 9).then(|| format!("{waiting} rows wait, of at most {most}"));
        let admission = (self.0.admission.free() == 0).then(|| "every place is taken".to_owned());
        let mut parts: Vec<_> =
            [("database", database), ("keys", keys), ("clock", clock), ("audit", audit), ("admission", admission)]
                .map(|(name, fault)| Part { name, fault, warning: None })
                .into();
        parts[0].warning = weakness.map(|weakness| weakness.told().to_owned());
        let warnings: Vec<_> = self.every_ring().iter().flat_map(|ring| ring.public_warnings()).collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        parts.push(Part { name: "public_keys", fault: None, warning });
        parts
    }
}
