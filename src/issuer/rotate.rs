//! Rotation carried out: what the plan or an operator decides becomes one transaction, by whatever replica is first.
//!
//! No replica leads. Each decides on what it has read, and the store takes the change only if nothing has changed since
//! (`store::signing_keys`); whoever comes second reads again and decides anew. So a crash between any two statements
//! leaves a state from which the next attempt goes on.

use time::OffsetDateTime;

use super::keys::{KeyRing, Snapshot};
use super::refusals::Unavailable;
use crate::crypto::keypair::{KeyError, KeyPair};
use crate::crypto::new_key::{NewKeyError, new_signing_key};
use crate::crypto::seal::{SealError, Sealing};
use crate::domain::audit::{Action, Decision, Event};
use crate::domain::id::EventId;
use crate::domain::rotation::{KeyChange, NewKey, Step, plan};
use crate::domain::sealed::Sealed;
use crate::domain::secret::SecretBytes;
use crate::domain::signing_key::{KeyKind, Kid, SigningKey};
use crate::store::{ChangeError, IssuerNumbers, KeysUpdate};

/// How often a change is decided anew when others were faster, and how many steps one round takes at most.
const ATTEMPTS: usize = 8;

/// Why a change of keys was not made.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The keys cannot be read, or this replica's clock is off.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The store did not take it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A key was not made.
    #[error(transparent)]
    Key(#[from] NewKeyError),
    /// Others changed the keys again and again.
    #[error("the signing keys are being changed by others; try again")]
    Busy,
}

impl From<SealError> for RotateError {
    fn from(error: SealError) -> Self {
        Self::Key(error.into())
    }
}

/// What is to be done to an issuer's keys and numbers, and what the deciding one wants to remember of it.
#[derive(Debug)]
pub(super) struct Decided<T> {
    pub(super) change: KeyChange,
    pub(super) numbers: Option<IssuerNumbers>,
    pub(super) told: T,
}

impl<T> Decided<T> {
    pub(super) const fn keys(change: KeyChange, told: T) -> Self {
        Self { change, numbers: None, told }
    }
}

/// What was done.
#[derive(Debug)]
pub(super) struct Done<T> {
    /// When it was decided.
    pub(super) at: OffsetDateTime,
    /// What the deciding one remembered.
    pub(super) told: T,
}

impl KeyRing {
    /// Does what the clock asks for, step by step, and tells what this replica did. Nothing is done on rows that are
    /// too old or by a clock that is off.
    pub async fn rotate(&self) -> Result<Vec<Step>, RotateError> {
        let mut steps = Vec::new();
        while steps.len() < ATTEMPTS && !self.due(&self.snapshot()).is_empty() {
            let decide = |snapshot: &Snapshot, now| -> Result<_, RotateError> {
                let step = plan(&snapshot.keys, &snapshot.schedule, now).into_iter().next();
                Ok(step.map(|step| Decided::keys(step.change(&snapshot.schedule, now), step)))
            };
            let event = |step: &Step, made: &[SigningKey], now| {
                let (action, kid) = told(step, made);
                let id = EventId::new(self.entropy().uuid_v7(now));
                let target = kid.map(|kid| format!("signing_key:{kid}"));
                Event { target, ..Event::new(id, now, self.id(), action, Decision::Allowed) }
            };
            let Some(done) = self.change(decide, event).await? else { break };
            tracing::info!(issuer = %self.url(), step = ?done.told, "a step of rotation");
            metrics::counter!("brevet_rotation_steps_total", "step" => word(&done.told)).increment(1);
            steps.push(done.told);
        }
        Ok(steps)
    }

    fn due(&self, snapshot: &Snapshot) -> Vec<Step> {
        plan(&snapshot.keys, &snapshot.schedule, self.now())
    }

    /// Reads the keys, lets `decide` say what is to be done, and does it in one transaction with the row that `event`
    /// makes; all over again where another replica was faster. `None` where there is nothing to do any more.
    ///
    /// Keys are made between two decisions on the same reading: that takes its time, and a key is published from when
    /// it is there.
    pub(super) async fn change<T, E: From<RotateError>>(
        &self,
        decide: impl Fn(&Snapshot, OffsetDateTime) -> Result<Option<Decided<T>>, E>,
        event: impl Fn(&T, &[SigningKey], OffsetDateTime) -> Event,
    ) -> Result<Option<Done<T>>, E> {
        let mut pairs: Vec<KeyPair> = Vec::new();
        for _ in 0..ATTEMPTS {
            let snapshot = self.reload().await.map_err(RotateError::from)?;
            self.believed().map_err(RotateError::from)?;
            let Some(first) = decide(&snapshot, self.now())? else { return Ok(None) };
            provide(&mut pairs, &first.change.make).await.map_err(RotateError::from)?;
            let now = self.now();
            let Some(Decided { change, numbers, told }) = decide(&snapshot, now)? else { return Ok(None) };
            let Some(made) = self.made(&change.make, &pairs, now)? else { continue };
            let update = KeysUpdate {
                expected_version: snapshot.row.keys_version,
                times: &change.times,
                made: &made,
                forget: &self.emptied(&change.forget)?,
                numbers,
            };
            let row = event(&told, &made, now);
            match self.store().change_keys(self.id(), &update, &row).await {
                Ok(_) => {
                    // From here on this replica signs by it, and whoever publishes here and elsewhere hears of it.
                    self.wake();
                    self.reload().await.map_err(RotateError::from)?;
                    return Ok(Some(Done { at: now, told }));
                }
                Err(ChangeError::Conflict(_)) => {}
                Err(error) => return Err(RotateError::from(error).into()),
            }
        }
        Err(RotateError::Busy.into())
    }

    /// The rows of new keys; `None` where the pairs at hand do not fit them.
    fn made(
        &self,
        new: &[NewKey],
        pairs: &[KeyPair],
        now: OffsetDateTime,
    ) -> Result<Option<Vec<SigningKey>>, RotateError> {
        if !fits(new, pairs) {
            return Ok(None);
        }
        let row = |(new, pair): (&NewKey, &KeyPair)| {
            new_signing_key(pair, self.id(), new.times, self.kek(), self.entropy(), now)
        };
        Ok(Some(new.iter().zip(pairs).map(row).collect::<Result<_, _>>()?))
    }

    /// What takes the place of private halves that are destroyed: the seal of nothing.
    fn emptied(&self, kids: &[Kid]) -> Result<Vec<(Kid, Sealed)>, RotateError> {
        let nothing = |kid: &Kid| {
            let sealing = Sealing::signing_key(self.id(), kid);
            Ok((kid.clone(), self.kek().seal(self.entropy(), &SecretBytes::new(Vec::new()), &sealing)?))
        };
        kids.iter().map(nothing).collect()
    }
}

fn fits(new: &[NewKey], pairs: &[KeyPair]) -> bool {
    new.len() == pairs.len() && new.iter().zip(pairs).all(|(new, pair)| new.kind == pair.kind())
}

/// Makes the pairs that `new` asks for, unless those at hand will do. RSA takes its time: not on a thread that serves.
async fn provide(pairs: &mut Vec<KeyPair>, new: &[NewKey]) -> Result<(), NewKeyError> {
    if fits(new, pairs) {
        return Ok(());
    }
    let kinds: Vec<KeyKind> = new.iter().map(|new| new.kind).collect();
    let make = move || kinds.into_iter().map(KeyPair::generate).collect::<Result<Vec<_>, _>>();
    *pairs = tokio::task::spawn_blocking(make).await.unwrap_or(Err(KeyError::Generate))?;
    Ok(())
}

fn told<'a>(step: &'a Step, made: &'a [SigningKey]) -> (Action, Option<&'a Kid>) {
    match step {
        Step::MakeStandby { .. } => (Action::SigningKeyCreate, made.first().map(|key| &key.kid)),
        Step::HandOver { to, .. } => (Action::SigningKeyHandOver, Some(to)),
        Step::Postpone { to, .. } => (Action::SigningKeyPostpone, Some(to)),
        Step::Forget { kid } => (Action::SigningKeyForget, Some(kid)),
    }
}

const fn word(step: &Step) -> &'static str {
    match step {
        Step::MakeStandby { .. } => "make_standby",
        Step::HandOver { .. } => "hand_over",
        Step::Postpone { .. } => "postpone",
        Step::Forget { .. } => "forget",
    }
}
