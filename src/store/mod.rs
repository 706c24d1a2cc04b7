//! The database: one concrete store over SQLite and PostgreSQL, one file per table.
//!
//! Rows become domain types here; JSON of policies and settings is written and read nowhere else. Keeps sealed
//! key text it cannot open. The only place that names sqlx, and that only in `db`, `autocommit`, `cluster`, `open`,
//! `key_news` and `error`.
//! Queries name their columns: a `*` would break a prepared statement when a newer version migrates beside us.
//! Every change is one transaction that also writes its audit row; every change that may stop a mint takes the
//! lock that audit batches share, so that when it has returned, no batch decided before it can still commit.
//! May import: domain, limit.

mod access_tokens;
mod administrators;
mod asker;
mod audiences;
mod audit;
mod audit_batch;
mod audit_columns;
mod audit_counted;
mod audit_entry;
mod audit_partitions;
mod audit_queue;
mod audit_writer;
mod authorization_codes;
mod autocommit;
mod backup;
mod burial;
mod cluster;
mod credentials;
mod db;
mod device_grants;
mod durability;
mod enrolment_codes;
mod error;
mod idempotency;
mod installation_keys;
mod issuers;
mod key_news;
mod liveness;
mod memberships;
mod migrate;
mod open;
mod page;
mod pending_sessions;
mod platform_keys;
mod policy_json;
mod presented_tokens;
mod public_keys;
mod refresh_tokens;
mod replicas;
mod roles_in_use;
mod run_counts;
mod run_json;
mod runs;
mod sealed;
mod service_account_keys;
mod service_accounts;
mod sessions;
mod settings;
mod settings_json;
mod sign_ins;
mod signed_in_json;
mod signing_keys;
mod sole;
mod team_facts;
mod team_issuers;
mod team_keys;
mod team_row;
mod teams;
mod tombstone;
mod tombstones;
mod trust_json;
mod trust_rules;
mod upstream_identities;
mod upstream_json;
mod upstream_logout;
mod upstream_providers;
mod upstream_sign_in;
mod users;
mod worker_keys;

use std::sync::Arc;

use time::OffsetDateTime;

pub use access_tokens::AccessToken;
pub use administrators::{Administrator, AdministratorChange};
pub use audit::{EventFilter, Order, RoleNamed, Told};
pub use audit_batch::Verdict;
pub use audit_entry::{Proof, Release};
pub use audit_queue::QueueFull;
pub use audit_writer::{Announced, AuditStats, AuditWriter, QUEUE_MAX, Ticket};
pub use authorization_codes::{CodeError, CodeShown, NewAuthorizationCode};
pub use burial::{Buried, BuryError};
pub use cluster::place;
pub use credentials::{Behind, CredentialRecord, DerivesFrom, KeyInfo, NewCredential};
pub use device_grants::{DecideError, DevicePoll, NewDeviceGrant, WaitingDevice};
pub use durability::Weakness;
pub use enrolment_codes::{EnrolmentCode, NewEnrolmentCode, RedeemError, Redeemed};
pub use error::{ChangeError, StoreError};
pub use idempotency::{Remember, Remembered};
pub use installation_keys::USER_CODE_KEY;
pub use memberships::{Member, MemberReach, MembershipChange};

pub use issuers::{IssuerNumbers, IssuerRow};
pub use key_news::KeyNews;
pub use liveness::DeadReason;
pub use migrate::Migrated;
pub use open::Target;
pub use page::{PAGE_LIMIT_MAX, Page, Paged};
pub use platform_keys::{PlatformKey, PlatformKeyChange};
pub use presented_tokens::Presented;
pub use public_keys::ClientKeys;
pub use refresh_tokens::{RefreshError, RefreshToken};
pub use replicas::Replica;
pub use roles_in_use::RoleInUse;
pub use runs::RunFilter;
pub use sealed::{SealedPlace, SealedText};
pub use service_accounts::ServiceAccountChange;
pub use sessions::{NewSession, OpenError, OpenedSession, Session};
pub use sign_ins::Arrival;
pub use signing_keys::KeysUpdate;
pub use team_facts::TeamFacts;
pub use team_issuers::TEAM_ISSUERS_MAX;
pub use teams::TeamChange;
pub use tombstone::{NoTombstones, Tombstones};
pub use trust_rules::{TrustRuleChange, Trusting};
pub use upstream_identities::{IDENTITIES_MAX, UpstreamIdentity};
pub use upstream_logout::UpstreamLogout;
pub use upstream_providers::UpstreamProviderChange;
pub use upstream_sign_in::{AdmitError, Admitted, SignInEvents};
pub use users::UserChange;
pub use worker_keys::{WorkerKey, WorkerKeyChange};

use db::Db;

/// A handle to the database, cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Arc<Db>,
}

impl Store {
    /// Opens the database: checks file modes (SQLite: 0600, wider is refused), takes the lock of the one serving
    /// process (SQLite), and refuses a store that a newer version has migrated. An older or empty one is opened;
    /// [`Store::migrate`] brings it up to date and [`Store::check_schema`] refuses it.
    pub async fn connect(target: &Target) -> Result<Self, StoreError> {
        // Boxed: what opens a database is large, and would stand in the future of every command.
        let store = Self { db: Arc::new(Box::pin(open::open(target)).await?) };
        store.refuse_newer_schema().await?;
        Ok(store)
    }

    /// Opens a store that is there, also while another process serves from it, to copy something out of it: the
    /// schema must be ours.
    pub async fn beside(target: &Target) -> Result<Self, StoreError> {
        let store = Self { db: Arc::new(open::open_beside(target).await?) };
        store.check_schema().await?;
        Ok(store)
    }

    /// Asks the database whether it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.fetch_all("SELECT 1 AS one", []).await.map(drop)
    }

    /// The database's own time, to compare with ours; `None` for SQLite, which has no other clock than ours.
    pub async fn database_time(&self) -> Result<Option<OffsetDateTime>, StoreError> {
        self.db.time().await
    }

    /// Closes every connection; what is running first ends.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
