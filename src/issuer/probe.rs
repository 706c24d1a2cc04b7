//! Looking at the public `jwks_uri` as a verifier would: whether what we publish is what they get.
//!
//! Between us and the verifiers may stand a proxy, a CDN or a copy that somebody exported once and forgot. A key that
//! they do not get must not sign; whether it may is decided by `domain::rotation` on what is noted here.

use std::sync::PoisonError;

use time::{Duration, OffsetDateTime};

use super::keys::{KeyRing, Snapshot};
use super::publish::JWKS_PATH;
use crate::crypto::jwk::{Jwks, JwksError};
use crate::domain::rotation::sighting;
use crate::domain::signing_key::{self, Kid, SigningKey};
use crate::fetch::{Client, FetchError};
use crate::store::StoreError;

/// How many looks may go without an answer before that is worth a warning.
const PATIENCE: i32 = 5;

/// Why a look said nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// No answer, or not the one of a document.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An answer that is no JWKS.
    #[error("the answer is no JWKS: {0}")]
    Jwks(#[from] JwksError),
    /// It could not be noted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl KeyRing {
    /// Where verifiers find the keys.
    pub fn jwks_uri(&self) -> String {
        self.url().join(JWKS_PATH)
    }

    /// Looks, unless this or another replica has just done so, and notes what it sees. Not by a clock that is off: one
    /// that is ahead would make a moment count as the whole lead time, and keep the others from looking until then.
    pub async fn look(&self, client: &Client) -> Result<(), LookError> {
        let (snapshot, now) = (self.snapshot(), self.now());
        let every = snapshot.schedule.look_every();
        if self.clock_doubt().is_some() {
            return Ok(());
        }
        if snapshot.row.probed_at.is_some_and(|looked| now - looked < every) || !self.begins(every) {
            return Ok(());
        }
        let found = self.listed(client).await;
        let fault = found.as_ref().err().map(ToString::to_string);
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if let (None, Some(cause)) = (&looked.fault, &fault) {
                tracing::warn!(jwks_uri = self.jwks_uri(), cause, "the public jwks_uri does not show our keys");
            }
            looked.fault = fault.map(|fault| (looked.fault.as_ref().map_or(now, |(since, _)| *since), fault));
            if let Ok(listed) = &found {
                let ours = signing_key::published(&snapshot.keys, now);
                let is_ours = |kid: &&Kid| ours.iter().any(|key| key.kid == **kid);
                looked.stray = listed.iter().filter(|kid| !is_ours(kid)).cloned().collect();
            }
        }
        let change = sighting(&snapshot.keys, &found?, now);
        let news = change.times.iter().any(|change| change.times.seen_from != change.expected.seen_from);
        for lost in change.times.iter().filter(|change| change.times.seen_from.is_none()) {
            tracing::warn!(kid = %lost.kid, jwks_uri = self.jwks_uri(), "a published key is not at the public jwks_uri");
        }
        if self.store().note_look(self.id(), now, &change.times).await? && news {
            self.wake();
        }
        Ok(())
    }

    /// Whether it is time for this process to look; if so, it now has.
    fn begins(&self, every: Duration) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.after.is_none_or(|after| self.elapsed() - after >= every);
        if due {
            looked.after = Some(self.elapsed());
        }
        due
    }

    async fn listed(&self, client: &Client) -> Result<Vec<Kid>, LookError> {
        let document = client.document(&self.jwks_uri()).await?;
        Ok(Jwks::parse(&document)?.keys().iter().map(|(kid, _)| kid.clone()).collect())
    }

    /// What is wrong out there, for whoever runs this: none of it keeps tokens from being minted.
    pub fn public_warnings(&self) -> Vec<String> {
        let (snapshot, now, uri) = (self.snapshot(), self.now(), self.jwks_uri());
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut warnings = Vec::new();
        let patience = snapshot.schedule.look_every() * PATIENCE;
        if let Some((since, fault)) = &looked.fault
            && now - snapshot.row.probed_at.unwrap_or(*since) > patience
        {
            warnings.push(format!("{uri} has not answered since {since}: {fault}"));
        }
        for key in missing(&snapshot, now, patience) {
            warnings.push(format!("signing key {} is published, but {uri} does not list it", key.kid));
        }
        for kid in &looked.stray {
            warnings.push(format!("{uri} lists key {kid}, which is not to be published"));
        }
        if let Some(since) = overdue(&snapshot, now) {
            warnings.push(format!(
                "rotation has been due since {since}: the standby was not seen at {uri} for the lead time"
            ));
        }
        warnings
    }
}

/// Published keys that looks, long after they were published, did not find.
fn missing(snapshot: &Snapshot, now: OffsetDateTime, patience: Duration) -> Vec<&SigningKey> {
    let Some(looked) = snapshot.row.probed_at else { return Vec::new() };
    let unseen = |key: &&SigningKey| key.times.seen_from.is_none() && key.times.publish_from + patience < looked;
    signing_key::published(&snapshot.keys, now).into_iter().filter(unseen).collect()
}

/// Since when the signing key's turn is over without a hand-over being planned.
fn overdue(snapshot: &Snapshot, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let times = signing_key::signing_key(&snapshot.keys, now).ok()?.times;
    let due = snapshot.schedule.turn_until(times.sign_from?);
    (times.sign_until.is_none() && due + snapshot.schedule.handover_lead() < now).then_some(due)
}
