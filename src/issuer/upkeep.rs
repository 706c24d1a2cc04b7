//! What goes on beside the requests: keys read again and rotated, documents published, last uses written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::Issuer;
use super::keys::KeyRing;
use super::oauth::metadata;
use super::publish::{Made, Published};
use super::rings::TeamRing;
use super::rotate::RotateError;
use crate::domain::id::{IssuerId, ReplicaId};
use crate::fetch::Client;
use crate::store::{Replica, StoreError};

/// How often the store is asked for what another replica changed, at least.
pub const INTERVAL: Duration = Duration::from_secs(3);
/// How often a replica says that it lives, when nothing has changed.
const SIGN_OF_LIFE: time::Duration = time::Duration::seconds(10);
/// How long anybody waits for what was published to be saved.
const SAVING: Duration = Duration::from_secs(5);
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
    /// One round of everything: what [`Issuer::keep_current`], [`Issuer::keep_rotating`] and
    /// [`Issuer::keep_saving`] do beside each other.
    pub async fn round(&self) {
        self.read_and_publish().await;
        if self.rotate().await {
            self.read_and_publish().await;
        }
        self.saved().await;
        self.write_last_used().await;
    }

    /// Reads the keys and publishes what they make now. Without the database it publishes from the rows at hand, whose
    /// instants go on counting.
    async fn read_and_publish(&self) {
        if let Err(error) = self.keys().reload().await {
            tracing::warn!(cause = %error, "the signing keys were not read; publishing goes on");
        }
        if let Some(off) = self.keys().clock_doubt() {
            tracing::warn!(
                off_milliseconds = off,
                "the clock is off; nothing but distrusted keys leaves what is published"
            );
        }
        self.publish(None);
        self.refresh_private_issuers().await;
    }

    /// Does what the clock asks of every issuer's keys; whether there was anything. What fails is tried again at the
    /// next round.
    async fn rotate(&self) -> bool {
        let mut moved = false;
        for ring in self.every_ring() {
            match ring.rotate().await {
                Ok(steps) => moved |= !steps.is_empty(),
                Err(RotateError::Unavailable(error)) if error.passes() => {
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

    /// Publishes what the keys of `ring` at hand make at `settled`, so that whoever changed them finds them published, and
    /// waits a moment for them to be saved too.
    pub(super) async fn publish_of(&self, ring: &Arc<KeyRing>, settled: OffsetDateTime) {
        match ring.team() {
            Some(team) => {
                let kept = TeamRing { team: team.clone(), ring: Arc::clone(ring) };
                self.publish_for_teams(vec![kept], None, Some(settled)).await;
            }
            None => self.publish(Some(settled)),
        }
        self.saved().await;
    }

    /// Waits for what is published to be saved, and not for a disk that hangs.
    pub async fn saved(&self) {
        let _saved_or_not = tokio::time::timeout(SAVING, self.save()).await;
    }

    /// Publishes what the keys of the shared issuer at hand make now, or at `at_least` where that is later.
    fn publish(&self, at_least: Option<OffsetDateTime>) {
        let doubt = self.keys().clock_doubt().is_some();
        let make = |before: Option<&Published>| {
            self.keys().documents(metadata::endpoints(self.url()), before, doubt, at_least)
        };
        if self.0.publication.publish(make) {
            tracing::info!("the public documents changed");
            self.0.published.notify_one();
        }
    }

    /// Saves what is published, for a start without the database.
    async fn save(&self) {
        let saving = Arc::clone(&self.0.saving).lock_owned().await;
        let issuer = self.clone();
        let save = move || {
            let _one_at_a_time = saving;
            issuer.0.publication.save();
            issuer.0.teams.save();
        };
        if let Err(error) = tokio::task::spawn_blocking(save).await {
            tracing::error!(cause = %error, "saving the public documents failed");
        }
    }

    /// Saves what is published without end: beside publishing, which no disk holds up.
    pub async fn keep_saving(self) {
        loop {
            self.save().await;
            let _timed_out_or_told = tokio::time::timeout(INTERVAL, self.0.published.notified()).await;
        }
    }

    /// Reads and publishes without end, each time followed by this replica's word on what it publishes; the composition
    /// root drops it at shutdown.
    pub async fn keep_current(self) {
        let mut confirmed = Confirmed::default();
        let mut woken = self.keys().woken();
        loop {
            self.read_and_publish().await;
            self.write_last_used().await;
            if let Err(error) = self.confirm(&mut confirmed).await {
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
    async fn confirm(&self, confirmed: &mut Confirmed) -> Result<(), StoreError> {
        let serving = self.0.serving;
        let published: BTreeSet<_> =
            self.every_ring().iter().filter_map(|ring| Some((ring.id(), self.published_version(ring)?))).collect();
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
        let behind = self.unconfirmed(self.keys()).await?.len();
        metrics::gauge!("brevet_replicas_unconfirmed").set(u32::try_from(behind).unwrap_or(u32::MAX));
        Ok(())
    }

    /// The state of the keys of `ring` that this replica publishes.
    fn published_version(&self, ring: &KeyRing) -> Option<i64> {
        match ring.team() {
            Some(team) => self.teams().version(team),
            None => self.0.publication.version(),
        }
    }

    /// Replicas of which nobody knows that they publish what is at hand here, the oldest first: that is what they say, and
    /// of this one what it does. One that is silent may be cut off from the database, and go on publishing what it read
    /// last; it signs no more.
    pub async fn unconfirmed(&self, ring: &KeyRing) -> Result<Vec<Replica>, StoreError> {
        let version = ring.snapshot().row.keys_version;
        let publishes = self.published_version(ring).is_some_and(|published| published >= version);
        let replicas = self.store().replicas(ring.id()).await?.into_iter();
        let is_behind = |replica: &Replica| replica.keys_version.is_none_or(|has| has < version);
        let knows = |replica: &Replica| publishes && replica.id == self.0.serving.id;
        Ok(replicas.filter(|replica| is_behind(replica) && !knows(replica)).collect())
    }
}

impl KeyRing {
    /// What the keys at hand make now, or at `at_least` where that is later. In `doubt` of the clock that is what was
    /// published `before`, without keys that were distrusted since: by a clock that is hours ahead, others would leave the
    /// JWKS while tokens of theirs are alive. `None` where nothing changes.
    pub(super) fn documents(
        &self,
        endpoints: Map<String, Value>,
        before: Option<&Published>,
        doubt: bool,
        at_least: Option<OffsetDateTime>,
    ) -> Option<Made> {
        let seen = self.snapshot();
        if let Some(before) = before.filter(|_| doubt || self.clock_doubt().is_some()) {
            let is_distrusted =
                |kid: &str| seen.keys.iter().any(|key| key.kid.as_str() == kid && key.times.revoked_at.is_some());
            return Some(Made { documents: before.without(is_distrusted)?, version: None });
        }
        let now = at_least.map_or(self.now(), |at_least| at_least.max(self.now()));
        let documents = Published::with_endpoints(self.url(), endpoints, &seen.keys, seen.x5c, seen.max_age, now);
        Some(Made { documents, version: Some(seen.row.keys_version) })
    }
}

/// What this replica last said of itself.
#[derive(Debug, Default)]
struct Confirmed {
    after: Option<time::Duration>,
    published: BTreeSet<(IssuerId, i64)>,
}
