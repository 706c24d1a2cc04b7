//! What goes on beside the requests: keys read again, documents published, last uses written.

use std::sync::Arc;
use std::time::Duration;

use super::Issuer;
use super::publish::{Publication, Published};

/// How often the store is asked for what another replica changed.
pub const INTERVAL: Duration = Duration::from_secs(3);

impl Issuer {
    /// One round: reads the keys, publishes what they make now, writes last uses. Without the database it
    /// publishes from the rows at hand, whose instants go on counting.
    pub async fn round(&self, publication: &Arc<Publication>) {
        let snapshot = match self.keys().reload().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::warn!(cause = %error, "the signing keys were not read; publishing goes on");
                self.keys().snapshot()
            }
        };
        let now = self.now();
        let published = Published::of(self.url(), &snapshot.keys, snapshot.x5c, snapshot.max_age, now);
        let publication = Arc::clone(publication);
        match tokio::task::spawn_blocking(move || publication.publish(published)).await {
            Ok(Ok(true)) => tracing::info!("the public documents changed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "the public documents were not saved"),
            Err(error) => tracing::error!(cause = %error, "publishing failed"),
        }
        self.refresh_private_issuers().await;
        self.write_last_used().await;
    }

    /// Rounds without end; the composition root drops it at shutdown.
    pub async fn keep_current(self, publication: Arc<Publication>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.round(&publication).await;
        }
    }
}
