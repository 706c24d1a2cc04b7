//! The first start: the issuer's row, its first keys, the first administrator.

use std::sync::Arc;

use time::Duration;

use crate::crypto::keypair::{KeyError, KeyPair};
use crate::crypto::new_key::{NewKeyError, new_signing_key};
use crate::crypto::seal::Kek;
use crate::crypto::signer::KeySet;
use crate::domain::audit::{Action, Decision, Event};
use crate::domain::clock::Clock;
use crate::domain::credential::{CredentialKind, OpaqueCredential};
use crate::domain::entropy::Entropy;
use crate::domain::id::{AdministratorId, CredentialId, EventId, IssuerId};
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::domain::key_schedule::{KeySchedule, ScheduleError, ScheduleNumbers};
use crate::domain::role::InstallationRole;
use crate::domain::rotation;
use crate::domain::secret::Secret;
use crate::domain::signing_key::{KeyKind, Kid, SigningKey};
use crate::store::{
    Administrator, ChangeError, IssuerNumbers, IssuerRow, KeysUpdate, NewCredential, Store, StoreError,
};

/// How long the first administrator's key lasts; it also ends when a second administrator exists.
pub const FIRST_KEY_LENGTH: Duration = Duration::hours(24);

/// Why a first start failed. Nothing is half-done then.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database did not take a change.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// A key pair was not made.
    #[error(transparent)]
    Key(#[from] NewKeyError),
    /// A key known under another issuer would make both issuers admit each other's tokens (threat 14).
    #[error("signing key {0} is already known under another issuer: every issuer needs keys of its own")]
    ForeignKey(Kid),
    /// What was asked for breaks a rule of the key schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The store has keys, and the key-encryption key given is not the one that sealed them.
    #[error("the signing keys do not open: {0}")]
    Sealed(#[from] crate::crypto::signer::SignerError),
}

/// The first administrator's key, shown once.
#[derive(Debug, Clone)]
pub struct FirstAdministrator {
    /// The key.
    pub key: Secret,
    /// The administrator.
    pub id: AdministratorId,
    /// When the key ends.
    pub expires_at: time::OffsetDateTime,
}

/// Time and randomness of a start.
#[derive(Clone)]
pub struct Host {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl Host {
    pub(super) fn event(&self, issuer: IssuerId, action: Action) -> Event {
        let at = self.clock.now();
        Event::new(EventId::new(self.entropy.uuid_v7(at)), at, issuer, action, Decision::Allowed)
    }
}

/// The row of the issuer at `url`, made where the store is new. Another URL than the store's is an error that
/// names both: subjects and trust policies belong to one URL.
pub async fn issuer(store: &Store, url: &IssuerUrl, host: &Host) -> Result<IssuerRow, BootstrapError> {
    let now = host.clock.now();
    let id = IssuerId::new(host.entropy.uuid_v7(now));
    Ok(store.ensure_issuer(url, id, now).await?)
}

/// What an operator says at a start of how keys are published. What is absent stays as the store has it: replicas
/// share the row, and one that is told nothing must not undo what another was told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Publishing {
    /// Whether keys come with their certificates.
    pub x5c: Option<bool>,
    /// How long the public documents may be cached, in seconds.
    pub max_age: Option<u32>,
}

/// Writes what was asked for into the issuer's row, with an audit row, where it differs; the row as it is then. A
/// max-age for which the waits of rotation are too short is refused with the arithmetic.
pub async fn publishing(
    store: &Store,
    row: IssuerRow,
    asked: Publishing,
    development: Development,
    host: &Host,
) -> Result<IssuerRow, BootstrapError> {
    let max_age = asked.max_age.unwrap_or(row.schedule.max_age);
    let schedule = ScheduleNumbers { max_age, ..row.schedule };
    let wanted = IssuerRow { schedule, x5c: asked.x5c.unwrap_or(row.x5c), ..row.clone() };
    if wanted == row {
        return Ok(row);
    }
    let schedule = KeySchedule::new(wanted.schedule, development)?;
    let mut event = host.event(row.id, Action::AdminUpdate);
    event.target = Some(format!("issuer:{}", row.id));
    // Other replicas, started with the same words, may be changing the row too.
    let keys = store.signing_keys(row.id).await?;
    let change = rotation::renumber(&keys, &schedule, event.at);
    let update = KeysUpdate {
        expected_version: row.keys_version,
        times: &change.times,
        numbers: Some(IssuerNumbers { schedule: wanted.schedule, x5c: wanted.x5c }),
        ..KeysUpdate::default()
    };
    let keys_version = store.change_keys(row.id, &update, &event).await?;
    Ok(IssuerRow { keys_version, ..wanted })
}

/// The same for the private issuers of teams. What another replica, started with the same words, has changed meanwhile
/// is left to it.
pub async fn publishing_for_teams(
    store: &Store,
    asked: Publishing,
    development: Development,
    host: &Host,
) -> Result<(), BootstrapError> {
    for row in store.team_issuers().await? {
        match publishing(store, row, asked, development, host).await {
            Ok(_) | Err(BootstrapError::Change(ChangeError::Conflict(_))) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the issuer's first key and its standby, in one transaction, where it has none; whether it made them.
/// Of two replicas that start at once, one's keys stand.
pub async fn first_keys(store: &Store, issuer: IssuerId, kek: &Kek, host: &Host) -> Result<bool, BootstrapError> {
    if !store.signing_keys(issuer).await?.is_empty() {
        return Ok(false);
    }
    let (active, standby) = (generate().await?, generate().await?);
    let now = host.clock.now();
    let (signs, waits) = KeySchedule::first_pair(now);
    let made = |pair, times| -> Result<_, NewKeyError> {
        let key = new_signing_key(pair, issuer, times, kek, host.entropy.as_ref(), now)?;
        Ok(SigningKey { first: true, ..key })
    };
    let keys = [made(&active, signs)?, made(&standby, waits)?];
    insert(store, issuer, &keys, Action::SigningKeyCreate, host).await
}

/// Makes `imported` the issuer's first key, with a new standby of its kind, where it has none; whether it did. The
/// private half is opened from its row and tried once before anything is saved.
///
/// The standby waits like every later key: verifiers may hold a JWKS from before the move, with the imported key alone.
pub async fn import_key(
    store: &Store,
    issuer: IssuerId,
    imported: &KeyPair,
    kek: &Kek,
    host: &Host,
) -> Result<bool, BootstrapError> {
    if !store.signing_keys(issuer).await?.is_empty() {
        return Ok(false);
    }
    let standby = generate_kind(imported.kind()).await?;
    let now = host.clock.now();
    let (signs, waits) = KeySchedule::first_pair(now);
    let made = |pair, times| new_signing_key(pair, issuer, times, kek, host.entropy.as_ref(), now);
    let keys = [SigningKey { first: true, ..made(imported, signs)? }, made(&standby, waits)?];
    KeySet::open(&keys[0], kek, host.entropy.as_ref())?;
    insert(store, issuer, &keys, Action::SigningKeyImport, host).await
}

async fn insert(
    store: &Store,
    issuer: IssuerId,
    keys: &[SigningKey; 2],
    action: Action,
    host: &Host,
) -> Result<bool, BootstrapError> {
    refuse_foreign(store, issuer, keys).await?;
    let mut event = host.event(issuer, action);
    event.target = Some(format!("signing_key:{}", keys[0].kid));
    Ok(store.insert_first_keys(issuer, keys, &event).await?)
}

/// Refuses keys that are known under another issuer (threat 14): with one, both issuers would admit each other's
/// tokens.
pub async fn refuse_foreign(store: &Store, issuer: IssuerId, keys: &[SigningKey]) -> Result<(), BootstrapError> {
    for key in keys {
        if store.kid_known_elsewhere(issuer, &key.kid).await? {
            return Err(BootstrapError::ForeignKey(key.kid.clone()));
        }
    }
    Ok(())
}

/// RSA takes its time to make: not on a thread that serves.
async fn generate() -> Result<KeyPair, NewKeyError> {
    generate_kind(KeyKind::default()).await
}

pub(super) async fn generate_kind(kind: KeyKind) -> Result<KeyPair, NewKeyError> {
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(kind)).await;
    Ok(made.unwrap_or(Err(KeyError::Generate))?)
}

/// A first administrator who is nowhere yet: their key can be handed out, or its place be made sure of, before
/// [`Candidate::commit`] makes it one that counts.
pub struct Candidate {
    first: FirstAdministrator,
    administrator: Administrator,
    credential: NewCredential,
    event: Event,
}

impl Candidate {
    /// Draws id and key.
    pub fn draw(issuer: IssuerId, host: &Host) -> Self {
        let now = host.clock.now();
        let key = OpaqueCredential::generate(CredentialKind::Administrator, host.entropy.as_ref());
        let id = AdministratorId::new(host.entropy.uuid_v7(now));
        let expires_at = now + FIRST_KEY_LENGTH;
        let mut event = host.event(issuer, Action::Bootstrap);
        event.target = Some(format!("administrator:{id}"));
        let administrator = Administrator {
            id,
            name: "first".to_owned(),
            role: InstallationRole::Operator,
            bootstrap: true,
            created_at: now,
            expires_at: Some(expires_at),
            revoked_at: None,
            version: 1,
        };
        let credential = NewCredential {
            id: CredentialId::new(host.entropy.uuid_v7(now)),
            hash: key.hash(),
            name: "first".to_owned(),
            expires_at: Some(expires_at),
            created_at: now,
            created_by: None,
        };
        Self {
            first: FirstAdministrator { key: key.secret().clone(), id, expires_at },
            administrator,
            credential,
            event,
        }
    }

    /// What there is to hand out.
    pub const fn first(&self) -> &FirstAdministrator {
        &self.first
    }

    /// Makes it the first administrator, where there is none yet; `None` where there is, and the key is worth nothing.
    pub async fn commit(self, store: &Store) -> Result<Option<FirstAdministrator>, BootstrapError> {
        let Self { first, administrator, credential, event } = self;
        Ok(store.create_first_administrator(&administrator, &credential, &event).await?.then_some(first))
    }
}

/// Makes the first administrator and its key, where there is no administrator yet; `None` where there is. For
/// callers that cannot lose the key: whoever shows or writes it makes sure of its place first, with [`Candidate`].
pub async fn administrator(
    store: &Store,
    issuer: IssuerId,
    host: &Host,
) -> Result<Option<FirstAdministrator>, BootstrapError> {
    Candidate::draw(issuer, host).commit(store).await
}
