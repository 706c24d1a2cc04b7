//! Whether this replica can mint: honest, part by part.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Issuer;
use super::refusals::Unavailable;
use crate::store::{QUEUE_MAX, Ticket, Verdict};

/// How long an audit row that was not written counts, where none was since. It must end by itself: a replica that gets
/// no requests because it is not ready would never find out that there is room again.
const UNWRITTEN: Duration = Duration::from_secs(10);

/// An audit row that was not written: a disk may be full though the database answers.
#[derive(Debug, Clone)]
pub(super) struct Unwritten {
    at: Instant,
    cause: String,
    /// How many rows were committed by then.
    committed: u64,
}

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
            Ok(weakness) => (self.unwritten(), weakness),
            Err(error) => (Some(error.to_string()), None),
        };
        let keys = self.keys().signing(self.now()).await.err().map(|error| error.to_string());
        let snapshot = self.keys().snapshot();
        let off = snapshot.clock_off;
        let clock = (off.abs() > snapshot.clock_error()).then(|| format!("{off} ms off"));
        let (waiting, most) = (self.audit().stats().queued, QUEUE_MAX);
        let audit = (waiting * 10 >= most * 9).then(|| format!("{waiting} rows wait, of at most {most}"));
        // No fault: it goes on minting at its best rate, and without this replica the others would only be fuller.
        let full = self.0.admission.is_full().then(|| format!("saturated: {} mints wait", self.0.admission.waiting()));
        let mut parts: Vec<_> =
            [("database", database), ("keys", keys), ("clock", clock), ("audit", audit), ("admission", None)]
                .map(|(name, fault)| Part { name, fault, warning: None })
                .into();
        parts[0].warning = weakness.map(|weakness| weakness.told().to_owned());
        parts[4].warning = full;
        let warnings: Vec<_> = self.every_ring().iter().flat_map(|ring| ring.public_warnings()).collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        parts.push(Part { name: "public_keys", fault: None, warning });
        parts
    }

    /// Waits for a row, and remembers why where it was not written.
    pub(super) async fn committed(&self, ticket: Ticket) -> Result<Verdict, Unavailable> {
        ticket.committed().await.map_err(|error| {
            let committed = self.audit().stats().committed;
            let unwritten = Unwritten { at: Instant::now(), cause: error.to_string(), committed };
            *self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(unwritten);
            Unavailable::Unwritten(error)
        })
    }

    /// Why the last audit row was not written, if it was not.
    fn unwritten(&self) -> Option<String> {
        let last = self.0.unwritten.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|last| last.at.elapsed() < UNWRITTEN && last.committed == self.audit().stats().committed)
            .map(|last| format!("an audit row was not written: {}", last.cause))
    }
}
