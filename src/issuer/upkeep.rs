//! What goes on beside the requests: keys read again and rotated, documents published, last uses written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::Issuer;
use super::keys::KeyRing;
use super::oauth::metadata;
use super::publish::Published;
use super::rings::TeamRing;
use super::rotate::RotateError;
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
    /// One round of everything: what [`Issuer::keep_current`] and [`Issuer::keep_rotating`] do beside each other.
    pub async fn round(&self) {
        self.read_and_publish().await;
        if self.rotate().await {
            self.read_and_publish().await;
        }
        self.write_last_used().await;
    }

    /// Reads the keys and publishes what they make now. Without the database it publishes from the rows at hand, whose
    /// instants go on counting.
    async fn read_and_publish(&self) {
        if let Err(error) = self.keys().reload().await {
            tracing::warn!(cause = %error, "the signing keys were not read; publishing goes on");
        }
        if let Some(off) = self.keys().clock_doubt().filter(|_| self.0.publication.current().is_some()) {
            // By a clock that is hours ahead, keys would leave the JWKS while tokens of theirs are alive.
            tracing::warn!(off_milliseconds = off, "the clock is off; what is published stays as it is");
            return;
        }
        self.publish().await;
        self.refresh_private_issuers().await;
    }

    /// Does what the clock asks of every issuer's keys; whether there was anything. What fails is tried again at the
    /// next round.
    async fn rotate(&self) -> bool {
        let mut moved = false;
        for ring in self.every_ring() {
            match ring.rotate().await {
                Ok(steps) => moved |= !steps.is_empty(),
                Err(RotateError::Unavailable(error)) => {
                    tracing::debug!(issuer = %ring.url(), cause = %error, "rotation waits for the database or the clock");
                }
                Err(error) => {
                    tracing::warn!(issuer = %ring.url(), cause = %error, "rotation did not go on");
                    metrics::counter!("brevet_rotation_failures_total").increment(1);
                }
            }
        }
        moved
    }

    /// Publishes what the keys of `ring` at hand make now, so that whoever changed them finds them published.
    pub(super) async fn publish_of(&self, ring: &Arc<KeyRing>) {
        match ring.team() {
            _ if ring.clock_doubt().is_some() => {}
            Some(team) => {
                let kept = TeamRing { team: team.clone(), ring: Arc::clone(ring) };
                self.publish_for_teams(vec![kept], None).await;
            }
            None => self.publish().await,
        }
    }

    /// Publishes what the keys of the shared issuer at hand make now.
    async fn publish(&self) {
        let issuer = self.clone();
        let publish = move || {
            issuer.0.publication.publish(|| {
                let (seen, now) = (issuer.keys().snapshot(), issuer.now());
                let endpoints = metadata::endpoints(issuer.url());
                let documents =
                    Published::with_endpoints(issuer.url(), endpoints, &seen.keys, seen.x5c, seen.max_age, now);
                (documents, seen.row.keys_version)
            })
        };
        match tokio::task::spawn_blocking(publish).await {
            Ok(Ok(true)) => tracing::info!("the public documents changed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(cause = %error, "the public documents were not saved"),
            Err(error) => tracing::error!(cause = %error, "publishing failed"),
        }
    }

    /// Reads and publishes without end, each time followed by this replica's word on what it publishes; the composition
    /// root drops it at shutdown.
    pub async fn keep_current(self, serving: Serving) {
        let mut confirmed = Confirmed::default();
        let mut woken = self.keys().woken();
        loop {
            self.read_and_publish().await;
            self.write_last_used().await;
            if let Err(error) = self.confirm(serving, &mut confirmed).await {
                tracing::debug!(cause = %error, "what this replica publishes was not confirmed");
            }
            self.pause(&mut woken).await;
        }
    }

    /// Does what rotation asks for without end: beside publishing, which never waits for a key that is being made.
    pub async fn keep_rotating(self) {
        let mut woken = self.keys().woken();
        loop {
            self.rotate().await;
            self.pause(&mut woken).await;
        }
    }

    /// Waits for the next round.
    async fn pause(&self, woken: &mut watch::Receiver<()>) {
        let pause = self.keys().snapshot().schedule.look_every();
        let pause = Duration::try_from(pause).unwrap_or(INTERVAL).min(INTERVAL);
        // Its end is what is waited for, whichever way: nobody drops the sender, which is in the keys.
        let _timed_out_or_woken = tokio::time::timeout(pause, woken.changed()).await;
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
        let version = |ring: &KeyRing| match ring.team() {
            Some(team) => self.teams().version(team),
            None => self.0.publication.version(),
        };
        let published: BTreeSet<_> =
            self.every_ring().iter().filter_map(|ring| Some((ring.id(), version(ring)?))).collect();
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
