//! A database with one of everything in it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Decision, Event, Origin, TokenFacts};
use brevet::domain::credential::{CredentialKind, SecretHash};
use brevet::domain::id::{
    AdministratorId, CredentialId, Handle, IssuerId, ServiceAccountUid, SessionId, TeamUid, UserUid,
};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::principal::Principal;
use brevet::domain::role::InstallationRole;
use brevet::domain::rotation::Retimed;
use brevet::domain::sealed::Sealed;
use brevet::domain::secret::Secret;
use brevet::domain::signing_key::{KeyKind, KeyTimes, Kid, PublicKey, SigningKey};
use brevet::domain::team::{Membership, ServiceAccount, Team, TeamPolicy, User};
use brevet::store::{
    Administrator, ChangeError, KeysUpdate, MemberReach, NewCredential, NewEnrolmentCode, NewSession, Proof, Release,
    Store, Target,
};
use tempfile::TempDir;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::postgres::{self, TestDatabase};

/// When everything happens, unless a test says otherwise.
pub(super) const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

/// An id that no other call gives.
pub(super) fn fresh<K>() -> Handle<K> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Handle::new(Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into()))
}

/// A database of one test.
pub(super) struct World {
    pub(super) target: Target,
    pub(super) store: Store,
    /// What a replica would have: on PostgreSQL connections of its own, on SQLite the one process's.
    pub(super) replica: Store,
    pub(super) name: &'static str,
    pub(super) folder: Option<TempDir>,
    // Dropped last: the stores above still hold connections to it.
    pub(super) database: Option<TestDatabase>,
}

impl World {
    /// An empty, migrated database of each kind there is.
    pub(super) async fn each() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Sqlite { path: folder.path().join("brevet.db") };
        let store = Store::connect(&target).await.unwrap();
        let replica = store.clone();
        let mut worlds = vec![Self { target, store, replica, name: "sqlite", folder: Some(folder), database: None }];
        if let Some(database) = postgres::database() {
            let target = Target::Postgres { url: Secret::new(database.url()) };
            let store = Store::connect(&target).await.unwrap();
            let replica = Store::connect(&target).await.unwrap();
            let name = "postgres";
            worlds.push(Self { target, store, replica, name, folder: None, database: Some(database) });
        }
        if let Some((database, pooler)) = postgres::pooled_database() {
            let (url, direct) = (Secret::new(pooler), Secret::new(database.url()));
            let target = Target::Pooled { url, direct };
            let store = Store::connect(&target).await.unwrap();
            let replica = Store::connect(&target).await.unwrap();
            let name = "pooled";
            worlds.push(Self { target, store, replica, name, folder: None, database: Some(database) });
        }
        for world in &worlds {
            world.store.migrate(NOW).await.unwrap();
        }
        worlds
    }

    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self.target, Target::Postgres { .. } | Target::Pooled { .. })
    }

    /// Deletes every row, for the next scene.
    pub(super) async fn empty(&self) {
        self.sabotage(
            "DELETE FROM audit_events; DELETE FROM provider_settings; DELETE FROM enrolment_codes;
             DELETE FROM authorization_codes; DELETE FROM device_grants; DELETE FROM sign_ins;
             DELETE FROM upstream_identities; DELETE FROM installation_keys;
             DELETE FROM worker_key_teams; DELETE FROM platform_key_teams; DELETE FROM platform_keys; DELETE FROM runs;
             DELETE FROM public_keys; DELETE FROM trust_rules;
             DELETE FROM worker_keys; DELETE FROM credentials; DELETE FROM sessions; DELETE FROM upstream_providers;
             DELETE FROM service_accounts;
             DELETE FROM memberships; DELETE FROM users; DELETE FROM teams; DELETE FROM signing_keys;
             DELETE FROM replicas; DELETE FROM issuers",
        )
        .await;
    }

    /// Holds what an audit batch holds, until the connection is dropped: whatever must be alone waits, and gives up after
    /// 8 s. `None` where there is no such lock.
    pub(super) async fn as_if_minting(&self) -> Option<sqlx::PgConnection> {
        use sqlx::Connection as _;
        let (Target::Postgres { url } | Target::Pooled { direct: url, .. }) = &self.target else { return None };
        let mut connection = sqlx::PgConnection::connect(url.expose()).await.unwrap();
        // The lock of `store/db.rs`, for the session.
        let sql = "SELECT pg_advisory_lock_shared(7093843922244599809)";
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        Some(connection)
    }

    /// Runs statements that the store would never make.
    pub(super) async fn sabotage(&self, sql: &'static str) {
        use sqlx::Connection as _;
        match &self.target {
            Target::Sqlite { path } => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            Target::Postgres { url } | Target::Pooled { direct: url, .. } => {
                let mut connection = sqlx::PgConnection::connect(url.expose()).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
        }
    }
}

pub(super) fn issuer_url() -> IssuerUrl {
    IssuerUrl::parse("https://id.example.com", Development::Off).unwrap()
}

pub(super) fn team_uid(text: &str) -> TeamUid {
    TeamUid::parse(text).unwrap()
}

pub(super) fn user_uid(text: &str) -> UserUid {
    UserUid::parse(text).unwrap()
}

pub(super) fn account_uid(text: &str) -> ServiceAccountUid {
    ServiceAccountUid::parse(text).unwrap()
}

pub(super) fn hash(id: CredentialId) -> SecretHash {
    SecretHash::of(&id.to_string())
}

pub(super) fn credential() -> NewCredential {
    let id = fresh();
    NewCredential {
        id,
        hash: hash(id),
        name: "a key".to_owned(),
        expires_at: Some(NOW + Duration::hours(12)),
        created_at: NOW,
        created_by: None,
    }
}

pub(super) fn team(uid: &str) -> Team {
    Team {
        uid: team_uid(uid),
        name: "Team".to_owned(),
        policy: TeamPolicy::new_team(),
        external_id: format!("external-{uid}"),
        created_at: NOW,
        disabled_at: None,
        deleted_at: None,
        version: 1,
    }
}

pub(super) fn user(uid: &str) -> User {
    User {
        uid: user_uid(uid),
        name: "Ada Lovelace".to_owned(),
        email: Some("ada@example.com".to_owned()),
        created_at: NOW,
        disabled_at: None,
        deleted_at: None,
        version: 1,
    }
}

pub(super) fn account(uid: &str, team: &str) -> ServiceAccount {
    ServiceAccount {
        uid: account_uid(uid),
        team: team_uid(team),
        name: "Agent".to_owned(),
        created_at: NOW,
        disabled_at: None,
        deleted_at: None,
        version: 1,
    }
}

pub(super) fn administrator(bootstrap: bool) -> Administrator {
    Administrator {
        id: fresh::<brevet::domain::id::Administrator>() as AdministratorId,
        name: "Root".to_owned(),
        role: InstallationRole::Operator,
        bootstrap,
        created_at: NOW,
        expires_at: bootstrap.then_some(NOW + Duration::DAY),
        revoked_at: None,
        version: 1,
    }
}

pub(super) fn signing_key(issuer: IssuerId, letter: char) -> SigningKey {
    SigningKey {
        issuer,
        kid: Kid::parse(&letter.to_string().repeat(43)).unwrap(),
        kind: KeyKind::P256,
        public: PublicKey::new(KeyKind::P256, &"A".repeat(43), &"B".repeat(43)).unwrap(),
        certificate: None,
        private: Sealed::parse("v1.0123456789abcdef.bm9uY2U.Y2lwaGVy").unwrap(),
        times: KeyTimes {
            sign_from: Some(NOW - Duration::HOUR),
            sign_until: Some(NOW + Duration::DAY),
            publish_until: Some(NOW + 2 * Duration::DAY),
            ..KeyTimes::published(NOW - Duration::HOUR)
        },
        first: false,
        forgotten_at: None,
    }
}

/// Changes a key's instants from what they were when `key` was read.
pub(super) async fn retime(store: &Store, key: &SigningKey, times: KeyTimes) -> Result<i64, ChangeError> {
    let expected_version = store.issuer_of(key.issuer).await?.ok_or(ChangeError::NotFound)?.keys_version;
    let times = [Retimed { kid: key.kid.clone(), expected: key.times, times }];
    let update = KeysUpdate { expected_version, times: &times, ..KeysUpdate::default() };
    store.change_keys(key.issuer, &update, &event(key.issuer)).await
}

/// An audit row of an administrator's change.
pub(super) fn event(issuer: IssuerId) -> Event {
    let origin =
        Origin { address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))), user_agent: Some("agent/1".to_owned()) };
    Event { origin, ..Event::new(fresh(), NOW, issuer, Action::AdminUpdate, Decision::Allowed) }
}

/// One of everything, alive.
pub(super) struct Scene {
    pub(super) issuer: IssuerId,
    pub(super) key: SigningKey,
    pub(super) team: TeamUid,
    pub(super) user: UserUid,
    pub(super) session: SessionId,
    pub(super) access: CredentialId,
    pub(super) account: ServiceAccountUid,
    pub(super) account_key: CredentialId,
    pub(super) worker_key: CredentialId,
}

impl Scene {
    pub(super) async fn set(store: &Store) -> Self {
        let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
        let event = || event(issuer);
        let key = signing_key(issuer, 'k');
        assert!(store.insert_first_keys(issuer, std::slice::from_ref(&key), &event()).await.unwrap());
        let (team_row, user_row, account_row) = (team("team-1"), user("person-1"), account("agent-1", "team-1"));
        store.create_team(&team_row, &event(), None).await.unwrap();
        store.create_user(&user_row, &event(), None).await.unwrap();
        let membership = Membership::new(team_row.uid.clone(), user_row.uid.clone(), NOW);
        store.add_member(&membership, MemberReach::Everyone, &event()).await.unwrap();
        store.create_service_account(&account_row, &event(), None).await.unwrap();
        let account_key = credential();
        store.create_service_account_key(&account_row.uid, &account_key, &event(), None).await.unwrap();
        let worker_key = credential();
        let audience = Audience::parse("https://worker.example.com").unwrap();
        let teams = [team_row.uid.clone()];
        store.create_worker_key(&worker_key, &audience, &teams, &event(), None).await.unwrap();
        let (session, access) = open_session(store, issuer, &user_row.uid).await;
        Self {
            issuer,
            key,
            team: team_row.uid,
            user: user_row.uid,
            session,
            access,
            account: account_row.uid,
            account_key: account_key.id,
            worker_key: worker_key.id,
        }
    }

    pub(super) fn event(&self) -> Event {
        event(self.issuer)
    }

    pub(super) fn person(&self) -> Principal {
        Principal::User(self.user.clone())
    }

    pub(super) fn agent(&self) -> Principal {
        Principal::ServiceAccount(self.account.clone())
    }

    /// A token of `principal`'s, decided under the team as it is now.
    pub(super) async fn release(&self, store: &Store, principal: Principal) -> Release {
        let version = store.team(&self.team).await.unwrap().map_or(0, |team| team.version);
        self.release_under(version, principal)
    }

    pub(super) fn release_under(&self, team_version: i64, principal: Principal) -> Release {
        let (kind, credential) = match &principal {
            Principal::User(_) => (CredentialKind::Access, self.access),
            Principal::ServiceAccount(_) => (CredentialKind::ServiceAccount, self.account_key),
        };
        let token = TokenFacts {
            audience: "sts.amazonaws.com".to_owned(),
            lifetime_seconds: 300,
            token_id: fresh::<brevet::domain::id::Token>().to_string(),
            kid: self.key.kid.to_string(),
            role_arn: Some("arn:aws:iam::111122223333:role/bedrock".to_owned()),
            run_id: None,
            signing_input_sha256: "0".repeat(64),
        };
        Release {
            event: Event {
                action: Action::TokenMint,
                credential: Some((kind, credential)),
                team: Some(self.team.clone()),
                principal: Some(principal),
                token: Some(token),
                ..self.event()
            },
            proof: Proof {
                credential,
                team_version,
                issuer: self.issuer,
                kid: self.key.kid.clone(),
                also: None,
                original_token: None,
            },
        }
    }
}

/// Lets a person in with a code.
pub(super) async fn open_session(store: &Store, issuer: IssuerId, user: &UserUid) -> (SessionId, CredentialId) {
    let code = new_code(user);
    store.create_enrolment_code(&code, &event(issuer), None).await.unwrap();
    let session = new_session();
    store.redeem_enrolment_code(&code.hash, &session, NOW, &event(issuer)).await.unwrap();
    (session.id, session.access.id)
}

pub(super) fn new_code(user: &UserUid) -> NewEnrolmentCode {
    let id = fresh();
    NewEnrolmentCode {
        id,
        hash: hash(id),
        user: user.clone(),
        created_by: None,
        created_at: NOW,
        team: None,
        expires_at: NOW + Duration::minutes(10),
    }
}

pub(super) fn new_session() -> NewSession {
    NewSession { id: fresh(), access: credential(), refresh: credential(), device: Some("laptop".to_owned()) }
}
