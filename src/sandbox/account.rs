//! What the stand-in knows: identity providers, roles, and the sessions it issued.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::trail::Trail;
use crate::domain::secret::Secret;
use crate::iam::document::Document;

/// An IAM OIDC provider.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    /// The URL without `https://`, case and trailing slash as registered. A loopback issuer keeps its `http://` out
    /// of here too: `scheme` remembers it.
    pub(super) url: String,
    pub(super) scheme: &'static str,
    pub(super) client_ids: Vec<String>,
    pub(super) thumbprints: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: OffsetDateTime,
}

impl Provider {
    /// The `iss` of its tokens.
    pub(super) fn issuer(&self) -> String {
        format!("{}{}", self.scheme, self.url)
    }
}

/// An IAM role.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) arn: String,
    /// `AROA…`.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) trust: Document,
    pub(super) policies: BTreeMap<String, Document>,
    pub(super) max_session_seconds: i64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: OffsetDateTime,
}

impl Role {
    pub(super) fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

/// Session tags: key as given → value. Keys are unique without case.
pub(super) type Tags = BTreeMap<String, String>;

/// Temporary credentials and what they stand for.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret: Secret,
    pub(super) token: Secret,
    pub(super) issued_at: OffsetDateTime,
    pub(super) expires_at: OffsetDateTime,
    pub(super) role_arn: String,
    pub(super) role_id: String,
    pub(super) name: String,
    pub(super) tags: Tags,
    pub(super) transitive: Vec<String>,
    pub(super) source_identity: Option<String>,
    pub(super) policy: Option<Arc<Document>>,
    /// Condition keys of the identity provider that stay usable in the session.
    pub(super) federated: BTreeMap<String, Vec<String>>,
}

impl Session {
    pub(super) fn account(&self) -> &str {
        self.role_arn.split(':').nth(4).unwrap_or_default()
    }

    /// `arn:P:sts::ACCOUNT:assumed-role/ROLE/SESSION`: the role's path is dropped.
    pub(super) fn arn(&self) -> String {
        let partition = self.role_arn.split(':').nth(1).unwrap_or("aws");
        let role = self.role_arn.rsplit('/').next().unwrap_or_default();
        format!("arn:{partition}:sts::{}:assumed-role/{role}/{}", self.account(), self.name)
    }

    /// `AROA…:SESSION`.
    pub(super) fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.name)
    }
}

/// Everything behind one lock. It is never held across an await.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By ARN.
    pub(super) providers: BTreeMap<String, Provider>,
    /// By ARN.
    pub(super) roles: BTreeMap<String, Role>,
    /// By access key id.
    pub(super) sessions: HashMap<String, Session>,
    /// URL prefix of an issuer → where its documents are read instead.
    pub(super) origins: BTreeMap<String, String>,
    pub(super) trail: Trail,
}

impl State {
    pub(super) fn role_named(&self, account: &str, name: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.account() == account && role.name.eq_ignore_ascii_case(name))
    }

    /// Keeps a session and forgets those long expired.
    pub(super) fn remember(&mut self, session: Session, now: OffsetDateTime) {
        self.sessions.retain(|_, known| known.expires_at + time::Duration::HOUR > now);
        self.sessions.insert(session.access_key_id.clone(), session);
    }
}

/// The shared state.
#[derive(Debug, Clone, Default)]
pub(super) struct Account(Arc<Mutex<State>>);

impl Account {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
