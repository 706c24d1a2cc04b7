//! A change of the key-encryption key: everything sealed in the store is sealed anew with the current one.

use super::bootstrap::Host;
use crate::crypto::seal::{Kek, SealError, Sealing};
use crate::domain::audit::Action;
use crate::domain::sealed::Sealed;
use crate::store::{ChangeError, SealedPlace, SealedText, Store, StoreError};

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed anew by this run.
    pub done: usize,
    /// Sealed with the current key before it came to them.
    pub already: usize,
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
        let all = store.sealed().await?;
        // Nothing is begun that cannot be finished: a text of a third key is told before any is changed.
        for sealed in &all {
            kek.knows(&sealed.text).map_err(|source| ResealError::Seal { what: sealed.place.to_string(), source })?;
        }
        let (current, older): (Vec<_>, Vec<_>) = all.iter().partition(|sealed| sealed.text.kek_id() == kek.id());
        if older.is_empty() {
            return Ok(Resealed { done, already: current.len().saturating_sub(done) });
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
    match store.sealed().await?.iter().filter(|sealed| sealed.text.kek_id() != kek.id()).count() {
        0 => Ok(Resealed { done, already: 0 }),
        _ => Err(ResealError::Restless(left)),
    }
}

fn sealed_anew(kek: &Kek, old: &SealedText, host: &Host) -> Result<Sealed, ResealError> {
    let error = |source| ResealError::Seal { what: old.place.to_string(), source };
    let sealing = match &old.place {
        SealedPlace::SigningKey { issuer, kid } => Sealing::signing_key(*issuer, kid),
    };
    let plain = kek.open(&old.text, &sealing).map_err(error)?;
    kek.seal(host.entropy.as_ref(), &plain, &sealing).map_err(error)
}

const fn issuer_of(place: &SealedPlace) -> crate::domain::id::IssuerId {
    match place {
        SealedPlace::SigningKey { issuer, .. } => *issuer,
    }
}
