//! What is forgotten in time: old audit rows and the keys of old repeats; and room made for rows to come.

use std::time::Duration;

use super::Issuer;
use crate::store::StoreError;

/// How often it is looked for what to forget.
pub const INTERVAL: Duration = Duration::from_hours(24);
/// How long a create can be repeated under its `Idempotency-Key`.
pub const REPEATS: time::Duration = time::Duration::days(1);
/// How long a foreign token that was presented is remembered beyond its own end. Its replay is refused as expired by
/// then, also by a replica whose clock is behind.
pub const PRESENTED: time::Duration = time::Duration::hours(1);
/// How long an access token is known beyond its own end, and a refresh token beyond its session's: tokens that were
/// minted with it, and repeats of what it asked for, are over by then.
pub const ACCESS_TOKENS: time::Duration = time::Duration::days(1);
/// How long what led to a session, or did not, is known beyond its own end: so long whoever comes late is told why.
pub const SIGN_INS: time::Duration = time::Duration::days(1);
/// Most audit rows deleted in one transaction: audit rows of requests wait for the same lock.
const BATCH: u32 = 1000;

/// What one round has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Audit rows older than the retention.
    pub audit_rows: u64,
    /// Idempotency keys older than [`REPEATS`].
    pub idempotency_keys: u64,
    /// Presented tokens that have expired for longer than [`PRESENTED`].
    pub presented_tokens: u64,
    /// Access and refresh tokens that have been over for longer than [`ACCESS_TOKENS`].
    pub access_tokens: u64,
    /// Device grants, authorization codes and ways through the pages that have been over for longer than [`SIGN_INS`].
    pub sign_ins: u64,
}

impl Issuer {
    /// One round: deletes audit rows older than `retention`, old idempotency keys, presented tokens, tokens and sign-ins
    /// long over, and on PostgreSQL drops the partitions of months that are over and makes those of the months ahead.
    /// Several replicas may do it at once.
    pub async fn forget_old(&self, retention: time::Duration) -> Result<Forgotten, StoreError> {
        let now = self.now();
        self.store().make_audit_partitions(now).await?;
        let idempotency_keys = self.store().forget_idempotency_before(now - REPEATS).await?;
        let presented_tokens = self.store().forget_presented_before(now - PRESENTED).await?;
        let sign_ins = self.store().forget_pending_before(now - SIGN_INS).await?;
        let mut access_tokens = 0;
        loop {
            let deleted = self.store().forget_tokens_before(now - ACCESS_TOKENS, BATCH).await?;
            access_tokens += deleted;
            if deleted < u64::from(BATCH) {
                break;
            }
        }
        // Whole months first: dropping one costs nothing, however many rows it has.
        self.store().drop_audit_partitions_before(now - retention).await?;
        let mut audit_rows = 0;
        loop {
            let deleted = self.store().forget_events_before(now - retention, BATCH).await?;
            audit_rows += deleted;
            if deleted < u64::from(BATCH) {
                return Ok(Forgotten { audit_rows, idempotency_keys, presented_tokens, access_tokens, sign_ins });
            }
        }
    }

    /// A round at once and then daily, without end; the composition root drops it at shutdown.
    pub async fn keep_forgetting(self, retention: time::Duration) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.forget_old(retention).await {
                Ok(Forgotten { audit_rows: 0, .. }) => {}
                Ok(Forgotten { audit_rows, .. }) => {
                    tracing::info!(
                        audit_rows,
                        days = retention.whole_days(),
                        "audit rows past their retention are gone"
                    );
                }
                Err(error) => tracing::warn!(cause = %error, "nothing old was forgotten; the next try is in a day"),
            }
        }
    }
}
