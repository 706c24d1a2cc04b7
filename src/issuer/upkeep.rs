//! What goes on beside the requests: keys read again and rotated, documents published, last uses written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use time::OffsetDateTime;

use super::Issuer;
use super::keys::KeyRing;
use super::oauth::metadata;
use super::publish::{Publication, Published};
use crate::domain::id::{IssuerId, ReplicaId};
use crate::fetch::Client;
use crate::store::{Replica, StoreError};

/// How often the store is asked for what another replica changed, at least.
pub const INTERVAL: Duration = Duration::from_secs(3);
/// How often a replica says that it lives, when nothing has changed.
const SIGN_OF_LIFE: time::Duration = time::Duration::seconds(10);
/// After so long a silence a replica is forgotten.
const SILENCE: time::Duration = time::Duration::DAY;
/// How many issuers' public documents are looked at together.
const LOOKS_AT_ONCE: usize = 8;

/// This process among the replicas.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// Its id, new at every start.
    pub id: ReplicaId,
    /// Since when it runs.
    pub started_at: OffsetDateTime,
}

impl Issuer {
    /// One round: reads the keys, does what rotation asks for, publishes what the keys make now, writes last uses.
    /// Without the database it publishes from the rows at hand, whose instants go on counting.
    pub async fn round(&self, publication: &Arc<Publication>) {
        match self.keys().reload().await {
            Ok(_) => keep_rotating(self.keys()).await,
            Err(error) => tracing::warn!(cause = %error, "the signing keys were not read; publishing goes on"),
        }
        if let Some(off) = self.keys().clock_doubt().filter(|_| publication.current().is_some()) {
            // By a clock that is hours ahead, keys would leave the JWKS while tokens of theirs are alive.
            tracing::warn!(off_milliseconds = off, "the clock is off; what is published stays as it is");
        } else {
            self.publish(publication).await;
            self.refresh_private_issuers().await;
        }
        self.write_last_used().await;
    }

    /// Publishes what the keys at hand make now.
    async fn publish(&self, publication: &Arc<Publication>) {
        let (snapshot, now) = (self.keys().snapshot(), self.now());
        let (endpoints, max_age) = (metadata::endpoints(self.url()), snapshot.max_age);
        let published = Published::with_endpoints(self.url(), endpoints, &snapshot.keys, snapshot.x5c, max_age, now);
        let publication = Arc::clone(publication);
        match tokio::task::spawn_blocking(move || publication.publish(published)).await {
            Ok(Ok(true)) => tracing::info!("the public documents changed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "the public documents were not saved"),
            Err(error) => tracing::error!(cause = %error, "publishing failed"),
        }
    }

    /// Rounds without end, each followed by this replica's word on what it publishes; the composition root drops it at
    /// shutdown.
    pub async fn keep_current(self, publication: Arc<Publication>, serving: Serving) {
        let mut confirmed = Confirmed::default();
        loop {
            self.round(&publication).await;
            if let Err(error) = self.confirm(serving, &mut confirmed).await {
                tracing::debug!(cause = %error, "what this replica publishes was not confirmed");
            }
            let pause = self.keys().snapshot().schedule.look_every();
            let pause = Duration::try_from(pause).unwrap_or(INTERVAL).min(INTERVAL);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.keys().woken() => {}
            }
        }
    }

    /// Hears what other replicas change, without end, where the database tells it; what it does not hear, the next
    /// round reads all the same.
    pub async fn keep_listening(self) {
        loop {
            let heard: Result<(), StoreError> = async {
                let mut news = self.store().key_news().await?;
                loop {
                    // Also after the connection was lost: what was told meanwhile is.
                    self.keys().wake();
                    news.next().await?;
                }
            }
            .await;
            if let Err(error) = heard {
                tracing::debug!(cause = %error, "no news of keys; they are read every few seconds");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Looks at what verifiers get, without end.
    pub async fn keep_looking(self, client: Client) {
        loop {
            let rings = self.every_ring();
            let look = |ring: Arc<KeyRing>| {
                let client = client.clone();
                async move {
                    if let Err(error) = ring.look(&client).await {
                        tracing::debug!(issuer = %ring.url(), cause = %error, "the public jwks_uri was not seen");
                    }
                }
            };
            futures_util::stream::iter(rings.clone()).for_each_concurrent(LOOKS_AT_ONCE, look).await;
            let soonest = rings.iter().map(|ring| ring.snapshot().schedule.look_every()).min();
            let pause = soonest.and_then(|every| Duration::try_from(every / 2).ok()).unwrap_or(INTERVAL);
            tokio::time::sleep(pause.min(INTERVAL)).await;
        }
    }

    /// The shared issuer's keys, then those of teams' private ones.
    pub fn every_ring(&self) -> Vec<Arc<KeyRing>> {
        let private = self.rings().teams().into_iter().map(|kept| kept.ring);
        std::iter::once(Arc::clone(self.keys())).chain(private).collect()
    }

    /// Says that this replica lives and which state of the keys it publishes, where that is news.
    async fn confirm(&self, serving: Serving, confirmed: &mut Confirmed) -> Result<(), StoreError> {
        let published: BTreeSet<_> =
            self.every_ring().iter().map(|ring| (ring.id(), ring.snapshot().row.keys_version)).collect();
        let elapsed = self.keys().elapsed();
        let recent = confirmed.after.is_some_and(|after| elapsed - after < SIGN_OF_LIFE);
        if recent && confirmed.published == published {
            return Ok(());
        }
        let now = self.now();
        let version = env!("CARGO_PKG_VERSION");
        // There may be a thousand issuers, and few of them change.
        let news: Vec<_> = published.iter().filter(|said| !confirmed.published.contains(said)).copied().collect();
        self.store().confirm_keys(serving.id, version, serving.started_at, now, &news).await?;
        self.store().forget_replicas(now - SILENCE).await?;
        *confirmed = Confirmed { after: Some(elapsed), published };
        let behind = self.keys().unconfirmed().await?.len();
        metrics::gauge!("brevet_replicas_unconfirmed").set(u32::try_from(behind).unwrap_or(u32::MAX));
        Ok(())
    }
}

impl KeyRing {
    /// Replicas that have not said that they publish what is at hand here, the oldest first. One that is silent may
    /// be cut off from the database, and go on publishing what it read last; it signs no more.
    pub async fn unconfirmed(&self) -> Result<Vec<Replica>, StoreError> {
        let version = self.snapshot().row.keys_version;
        let replicas = self.store().replicas(self.id()).await?;
        Ok(replicas.into_iter().filter(|replica| replica.keys_version.is_none_or(|has| has < version)).collect())
    }
}

/// What this replica last said of itself.
#[derive(Debug, Default)]
struct Confirmed {
    after: Option<time::Duration>,
    published: BTreeSet<(IssuerId, i64)>,
}

/// Does what the clock asks for; what fails is tried again at the next round.
pub(super) async fn keep_rotating(ring: &KeyRing) {
    if let Err(error) = ring.rotate().await {
        tracing::warn!(issuer = %ring.url(), cause = %error, "rotation did not go on");
        metrics::counter!("brevet_rotation_failures_total").increment(1);
    }
}
