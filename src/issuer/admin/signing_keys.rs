//! Signing keys in the hands of an operator: what cannot wait for the clock.

use std::ops::Deref;

use time::OffsetDateTime;

use super::{AdminError, Administration, KeyReading, KeyRefused, Reading};
use crate::domain::audit::Action;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::Development;
use crate::domain::key_schedule::{KeySchedule, ScheduleNumbers};
use crate::domain::rotation::{self, KeyChange, Outage};
use crate::domain::signing_key::{self, KeyKind, Kid, SigningKey};
use crate::issuer::keys::Snapshot;
use crate::issuer::rotate::{Decided, Done};
use crate::store::{IssuerNumbers, Replica};

/// What a change of the keys did, and what stays accepted for how long.
#[derive(Debug, Clone)]
pub struct KeysChanged {
    /// When.
    pub at: OffsetDateTime,
    /// The key that signs now.
    pub signs: Option<Kid>,
    /// The standby.
    pub standby: Option<Kid>,
    /// Keys that were distrusted by it.
    pub distrusted: Vec<Kid>,
    /// Until when verifiers that honour max-age may go on taking tokens of those, from a JWKS they hold.
    pub accepted_until: Option<OffsetDateTime>,
    /// Which verifiers fail, and until when.
    pub outage: Option<Outage>,
    /// Replicas that have not said yet that they publish the new state.
    pub unconfirmed: Vec<Replica>,
}

/// What changes of the numbers; `None` keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeNumbers {
    /// `max-age` of the public documents, in seconds.
    pub max_age: Option<u32>,
    /// How far a statically exported JWKS may lag behind, in seconds.
    pub export_lag: Option<u32>,
    /// How far a replica's clock may be off the database's, in seconds; beyond 5 it does not sign, whatever this says.
    pub clock_error: Option<u32>,
    /// The oldest snapshot of the keys a replica may sign with, in seconds.
    pub oldest_snapshot: Option<u32>,
    /// From publication to the first signature, in seconds.
    pub publish_before_sign: Option<u32>,
    /// From the last signature to the end of publication, in seconds.
    pub keep_after_sign: Option<u32>,
    /// From one first signature to the next, in seconds.
    pub rotation_period: Option<u32>,
}

impl ChangeNumbers {
    fn of(self, old: ScheduleNumbers) -> ScheduleNumbers {
        ScheduleNumbers {
            max_age: self.max_age.unwrap_or(old.max_age),
            export_lag: self.export_lag.unwrap_or(old.export_lag),
            clock_error: self.clock_error.unwrap_or(old.clock_error),
            oldest_snapshot: self.oldest_snapshot.unwrap_or(old.oldest_snapshot),
            publish_before_sign: self.publish_before_sign.unwrap_or(old.publish_before_sign),
            keep_after_sign: self.keep_after_sign.unwrap_or(old.keep_after_sign),
            rotation_period: self.rotation_period.unwrap_or(old.rotation_period),
        }
    }
}

/// The keys of one issuer in the hands of an operator.
#[derive(Debug, Clone)]
pub struct KeyAdministration {
    pub(super) admin: Administration,
    reading: KeyReading,
}

/// Who may change keys may look at them.
impl Deref for KeyAdministration {
    type Target = KeyReading;

    fn deref(&self) -> &KeyReading {
        &self.reading
    }
}

/// What a command remembers of its decision.
#[derive(Debug, Default)]
struct Told {
    distrusted: Vec<Kid>,
    accepted_until: Option<OffsetDateTime>,
    outage: Option<Outage>,
}

impl Administration {
    /// The same, to be changed.
    pub async fn keys_of(&self, team: Option<&TeamUid>) -> Result<KeyAdministration, KeyRefused> {
        Ok(KeyAdministration { admin: self.clone(), reading: Reading::keys_of(self, team).await? })
    }
}

impl KeyAdministration {
    /// Replaces the next standby by one of `kind`; a change of algorithm is a rotation to it.
    pub async fn prepare(&self, kind: KeyKind) -> Result<KeysChanged, KeyRefused> {
        self.change(Action::SigningKeyPrepare, None, |snapshot, now| {
            Ok((rotation::prepare(&snapshot.keys, &snapshot.schedule, kind, now)?, Told::default()))
        })
        .await
    }

    /// Moves signing to the standby at once; refused with the date while it is too young.
    pub async fn rotate(&self) -> Result<KeysChanged, KeyRefused> {
        self.change(Action::SigningKeyRotate, None, |snapshot, now| {
            let step = rotation::rotate_now(&snapshot.keys, &snapshot.schedule, now)?;
            Ok((step.change(&snapshot.schedule, now), Told::default()))
        })
        .await
    }

    /// Distrusts a key from now on; where it signs, signing moves first, in the same transaction. If verifiers fail
    /// for it, that must be accepted.
    pub async fn distrust(&self, kid: &Kid, accept_outage: bool) -> Result<KeysChanged, KeyRefused> {
        self.change(Action::SigningKeyDistrust, Some(kid), |snapshot, now| {
            let done = rotation::distrust(&snapshot.keys, &snapshot.schedule, kid, now)?;
            accepted(done.outage, accept_outage)?;
            let (distrusted, accepted_until) = (vec![kid.clone()], Some(done.accepted_until));
            Ok((done.change, Told { distrusted, accepted_until, outage: done.outage }))
        })
        .await
    }

    /// Distrusts every key, and publishes and signs with new ones at once: the store or the key-encryption key was
    /// stolen. Every verifier fails until it fetches again, and that must be accepted. The new keys are of `kind`, or
    /// of that of the signing key.
    pub async fn replace_all(&self, kind: Option<KeyKind>, accept_outage: bool) -> Result<KeysChanged, KeyRefused> {
        self.change(Action::SigningKeyReplaceAll, None, |snapshot, now| {
            let signs = signing_key::signing_key(&snapshot.keys, now).ok();
            let kind = kind.or(signs.map(|key| key.kind)).unwrap_or_default();
            let done = rotation::replace_all(&snapshot.keys, &snapshot.schedule, kind, now);
            accepted(Some(done.outage), accept_outage)?;
            let distrusted = done.change.times.iter().map(|change| change.kid.clone()).collect();
            let accepted_until = Some(done.accepted_until);
            Ok((done.change, Told { distrusted, accepted_until, outage: Some(done.outage) }))
        })
        .await
    }

    /// Changes the numbers of the schedule, if [`ScheduleNumbers::version`] is still `expected` where that is given.
    /// Those that break a rule are refused with the arithmetic, except under an issuer of development; a hand-over that
    /// would come too early by the new ones is postponed with them.
    pub async fn renumber(&self, change: ChangeNumbers, expected: Option<i64>) -> Result<KeysChanged, KeyRefused> {
        let development = if self.ring.url().is_loopback() { Development::On } else { Development::Off };
        let decide = |snapshot: &Snapshot, now| -> Result<_, KeyRefused> {
            let current = snapshot.row.schedule.version();
            if expected.is_some_and(|expected| expected != current) {
                return Err(AdminError::VersionMismatch { current }.into());
            }
            let numbers = change.of(snapshot.row.schedule);
            numbers.within_bounds(development)?;
            let new = KeySchedule::new(numbers, development)?;
            Ok(Some(Decided {
                change: rotation::renumber(&snapshot.keys, &new, now),
                numbers: Some(IssuerNumbers { schedule: numbers, x5c: snapshot.row.x5c }),
                told: Told::default(),
            }))
        };
        let target = format!("issuer:{}", self.ring.id());
        let action = Action::SigningKeyReschedule;
        let event = |_: &Told, _: &[SigningKey], _| self.admin.event(action, None, target.clone());
        let done = self.ring.change(decide, event).await?;
        count(action);
        self.told(done).await
    }

    async fn change(
        &self,
        action: Action,
        about: Option<&Kid>,
        decide: impl Fn(&Snapshot, OffsetDateTime) -> Result<(KeyChange, Told), KeyRefused>,
    ) -> Result<KeysChanged, KeyRefused> {
        let decide = |snapshot: &Snapshot, now| -> Result<_, KeyRefused> {
            let (change, told) = decide(snapshot, now)?;
            Ok(Some(Decided::keys(change, told)))
        };
        let event = |_: &Told, made: &[SigningKey], _| {
            let kid = about.or_else(|| made.first().map(|key| &key.kid));
            let target = kid.map_or_else(|| format!("issuer:{}", self.ring.id()), |kid| format!("signing_key:{kid}"));
            self.admin.event(action, None, target)
        };
        let done = self.ring.change(decide, event).await?;
        count(action);
        self.told(done).await
    }

    async fn told(&self, done: Option<Done<Told>>) -> Result<KeysChanged, KeyRefused> {
        // Every command decides something, or is refused.
        let Done { at, told, .. } = done.ok_or(KeyRefused::Busy)?;
        // Instants are whole milliseconds, rounded up: what was done is so from the next one on.
        let settled = at + time::Duration::MILLISECOND;
        self.admin.issuer.publish_of(&self.ring, settled).await;
        let snapshot = self.ring.snapshot();
        let kid = |key: &SigningKey| key.kid.clone();
        Ok(self.admin.changed(KeysChanged {
            at,
            signs: signing_key::signing_key(&snapshot.keys, settled).ok().map(kid),
            standby: rotation::standby(&snapshot.keys, settled).map(kid),
            distrusted: told.distrusted,
            accepted_until: told.accepted_until,
            outage: told.outage,
            unconfirmed: self.admin.issuer.unconfirmed(&self.ring).await.map_err(AdminError::from)?,
        }))
    }
}

fn count(action: Action) {
    metrics::counter!("brevet_signing_key_commands_total", "action" => action.as_str()).increment(1);
}

fn accepted(outage: Option<Outage>, accept: bool) -> Result<(), KeyRefused> {
    match outage {
        Some(outage) if !accept => Err(KeyRefused::OutageNotAccepted(outage)),
        _ => Ok(()),
    }
}
