//! A change of the key-encryption key: everything sealed in the store is sealed anew with the current one.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::bootstrap::{Host, generate_kind};
use crate::crypto::new_key::{NewKeyError, new_signing_key};
use crate::crypto::seal::{Kek, SealError, Sealing};
use crate::domain::audit::Action;
use crate::domain::id::{IssuerId, UpstreamUid};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::key_schedule::KeySchedule;
use crate::domain::rotation::{self, NewKey, Outage};
use crate::domain::sealed::Sealed;
use crate::domain::signing_key::{self, KeyKind, Kid};
use crate::store::{ChangeError, IssuerRow, KeysUpdate, SealedPlace, SealedText, Store, StoreError};

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed anew by this run.
    pub done: usize,
    /// Sealed with the current key before it came to them.
    pub already: usize,
    /// Left as they are: no key at hand opens them, and nobody needs to. They are destroyed when their time is over.
    pub left: usize,
}

/// Why a run stopped. What it had done stays done; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// A text does not open, or does not seal.
    #[error("{what}: {source}")]
    Seal {
        /// What is sealed: `signing_key:<kid>`.
        what: String,
        /// Why.
        source: SealError,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not take a change.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Texts went on changing under our hands.
    #[error("{0} sealed texts changed meanwhile, by a replica that still seals with another key: run it again")]
    Restless(usize),
}

/// How often the store is read again for what changed meanwhile.
const ROUNDS: usize = 4;

/// Seals everything with `kek` that its predecessor sealed, each text in a transaction of its own, only where it is
/// still the one that was opened, and tells `progress` the texts done and all there are. Cut off anywhere, every text
/// is sealed with one key or the other, and says with which: the next run does the rest. It may run beside serving
/// replicas that have both keys.
pub async fn reseal(
    store: &Store,
    kek: &Kek,
    host: &Host,
    mut progress: impl FnMut(usize, usize),
) -> Result<Resealed, ResealError> {
    let mut done = 0;
    let mut left = 0;
    for _ in 0..ROUNDS {
        let now = host.clock.now();
        let (all, lost): (Vec<_>, Vec<_>) = store
            .sealed()
            .await?
            .into_iter()
            .partition(|sealed| kek.knows(&sealed.text).is_ok() || sealed.is_needed(now));
        // Nothing is begun that cannot be finished: a text of a third key is told before any is changed.
        for sealed in &all {
            kek.knows(&sealed.text).map_err(|source| ResealError::Seal { what: sealed.place.to_string(), source })?;
        }
        let (current, older): (Vec<_>, Vec<_>) = all.iter().partition(|sealed| sealed.text.kek_id() == kek.id());
        if older.is_empty() {
            return Ok(Resealed { done, already: current.len().saturating_sub(done), left: lost.len() });
        }
        left = older.len();
        for (at, old) in older.into_iter().enumerate() {
            let new = sealed_anew(kek, old, host)?;
            let mut event = host.event(issuer_of(&old.place), Action::SigningKeyReseal);
            event.target = Some(old.place.to_string());
            done += usize::from(store.replace_sealed(old, &new, &event).await?);
            progress(current.len() + at + 1, all.len());
        }
    }
    Err(ResealError::Restless(left))
}

/// Keys replaced because what sealed them is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The issuer whose keys they are.
    pub issuer: IssuerUrl,
    /// The key that signs from now on.
    pub signs: Kid,
    /// Which verifiers fail, and until when.
    pub outage: Outage,
}

/// Issuers with a signing key or a standby that nobody can open with `kek`.
pub async fn lost(store: &Store, kek: &Kek, now: OffsetDateTime) -> Result<Vec<IssuerRow>, StoreError> {
    let sealed = store.sealed().await?;
    let lost = sealed.iter().filter(|sealed| sealed.is_needed(now) && kek.knows(&sealed.text).is_err());
    let signs = |sealed: &&SealedText| matches!(sealed.place, SealedPlace::SigningKey { .. });
    let issuers: BTreeSet<_> = lost.filter(signs).map(|sealed| issuer_of(&sealed.place)).collect();
    let mut rows = Vec::new();
    for issuer in issuers {
        rows.extend(store.issuer_of(issuer).await?);
    }
    Ok(rows)
}

/// Forgets what nobody can open with `kek` and what can be had again: the installation's own keys, which are made anew
/// when they are next needed (what was kept under them, user codes of ten minutes, is lost with them), and our secrets
/// at sign-in providers, which the operator sets again; nobody signs in there before. Tells which providers those are.
pub async fn forget_lost(store: &Store, kek: &Kek, host: &Host) -> Result<Vec<UpstreamUid>, ChangeError> {
    let mut providers = Vec::new();
    for sealed in store.sealed().await? {
        if kek.knows(&sealed.text).is_ok() {
            continue;
        }
        let mut event = host.event(issuer_of(&sealed.place), Action::AdminDelete);
        event.target = Some(sealed.place.to_string());
        match &sealed.place {
            SealedPlace::SigningKey { .. } => {}
            SealedPlace::InstallationKey { name, .. } => {
                store.forget_installation_key(name, &sealed.text, &event).await?;
            }
            SealedPlace::UpstreamClientSecret { provider, .. } => {
                store.forget_upstream_secret(provider, &sealed.text, &event).await?;
                providers.push(provider.clone());
            }
        }
    }
    Ok(providers)
}

/// Replaces the keys of `issuer` by two new ones under `kek`, of which the first signs at once. The old ones were not
/// stolen: they sign no more, and stay published until their last tokens have ended.
pub async fn replace_lost(
    store: &Store,
    issuer: &IssuerRow,
    kek: &Kek,
    host: &Host,
) -> Result<Replaced, ReplaceLostError> {
    let keys = store.signing_keys(issuer.id).await?;
    let kind = signing_key::signing_key(&keys, host.clock.now()).map_or(KeyKind::default(), |key| key.kind);
    let pairs = (generate_kind(kind).await?, generate_kind(kind).await?);
    let now = host.clock.now();
    let schedule = KeySchedule::stored(issuer.schedule);
    let rotation::ReplaceAll { change, outage, .. } = rotation::retire_all(&keys, &schedule, kind, now);
    let [first, second] = change.make[..] else { return Err(ReplaceLostError::Shape) };
    let row = |pair, new: NewKey| new_signing_key(pair, issuer.id, new.times, kek, host.entropy.as_ref(), now);
    let made = [row(&pairs.0, first)?, row(&pairs.1, second)?];
    let update = KeysUpdate {
        expected_version: issuer.keys_version,
        times: &change.times,
        made: &made,
        ..KeysUpdate::default()
    };
    let mut event = host.event(issuer.id, Action::SigningKeyReplaceAll);
    event.target = Some(format!("issuer:{}", issuer.id));
    store.change_keys(issuer.id, &update, &event).await?;
    Ok(Replaced { issuer: issuer.url.clone(), signs: made[0].kid.clone(), outage })
}

/// Why lost keys were not replaced; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceLostError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not take the change.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A key was not made.
    #[error(transparent)]
    Key(#[from] NewKeyError),
    /// The plan is not the one of two new keys.
    #[error("the plan of two new keys does not have two")]
    Shape,
}

fn sealed_anew(kek: &Kek, old: &SealedText, host: &Host) -> Result<Sealed, ResealError> {
    let error = |source| ResealError::Seal { what: old.place.to_string(), source };
    let sealing = match &old.place {
        SealedPlace::SigningKey { issuer, kid } => Sealing::signing_key(*issuer, kid),
        SealedPlace::InstallationKey { name, .. } => Sealing::installation_key(name),
        SealedPlace::UpstreamClientSecret { provider, .. } => Sealing::upstream_client_secret(provider),
    };
    let plain = kek.open(&old.text, &sealing).map_err(error)?;
    kek.seal(host.entropy.as_ref(), &plain, &sealing).map_err(error)
}

const fn issuer_of(place: &SealedPlace) -> IssuerId {
    match place {
        SealedPlace::SigningKey { issuer, .. }
        | SealedPlace::InstallationKey { issuer, .. }
        | SealedPlace::UpstreamClientSecret { issuer, .. } => *issuer,
    }
}
