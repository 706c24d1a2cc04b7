//! Opaque secrets, all in one table, found by their hash.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::Store;
use super::db::{Db, Row, Tx};
use super::error::{ChangeError, StoreError};
use super::liveness::{DeadReason, dead, liveness};
use super::signed_in_json::authentication;
use crate::domain::access::Identity;
use crate::domain::audience::Audience;
use crate::domain::credential::{CredentialKind, SecretHash};
use crate::domain::id::{CredentialId, PublicKeyId, RunId, TeamUid, TokenId, TrustRuleId};
use crate::domain::platform::PlatformRights;
use crate::domain::principal::Principal;
use crate::domain::role::InstallationRole;
use crate::domain::session::Authentication;

/// A secret to be saved; of it only the hash.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Its id.
    pub id: CredentialId,
    /// The hash of its text.
    pub hash: SecretHash,
    /// What people call it; empty where it has no name.
    pub name: String,
    /// Until when it works; `None` for ever.
    pub expires_at: Option<OffsetDateTime>,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// By whose credential it was made, if by any.
    pub created_by: Option<CredentialId>,
}

/// A secret that was presented, and what it means at that instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Its id.
    pub id: CredentialId,
    /// Its kind.
    pub kind: CredentialKind,
    /// Whose it is.
    pub identity: Identity,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Until when it works.
    pub expires_at: Option<OffsetDateTime>,
    /// Since when it is revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// When it was last seen, to the precision of [`Store::touch_credentials`].
    pub last_used_at: Option<OffsetDateTime>,
    /// Why it means nothing any more, if so. What its team allows is not asked here.
    pub dead: Option<DeadReason>,
}

/// What is behind a minted token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The kind of the credential that minted it.
    pub kind: CredentialKind,
    /// The sign-in of the person's session, where one is behind it, through a run or not.
    pub session: Option<Authentication>,
}

/// A key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its id.
    pub id: CredentialId,
    /// What people call it.
    pub name: String,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Until when it works.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last seen.
    pub last_used_at: Option<OffsetDateTime>,
    /// Since when it is revoked.
    pub revoked_at: Option<OffsetDateTime>,
}

impl Store {
    /// Finds the credential of `hash`, with all that its liveness hangs on, in one query. `None` for unknown ones.
    pub async fn credential(
        &self,
        hash: &SecretHash,
        now: OffsetDateTime,
    ) -> Result<Option<CredentialRecord>, StoreError> {
        let row = self
            .db
            .fetch_optional(concat!("SELECT ", liveness!(), " WHERE c.secret_hash = $1"), [hash.to_hex().into()])
            .await?;
        row.map(|row| record(&row, now)).transpose()
    }

    /// The same by its id, to find out why a release was not alive.
    pub async fn credential_of_id(
        &self,
        id: CredentialId,
        now: OffsetDateTime,
    ) -> Result<Option<CredentialRecord>, StoreError> {
        let sql = concat!("SELECT ", liveness!(), " WHERE c.id = $1");
        self.db.fetch_optional(sql, [id.into()]).await?.map(|row| record(&row, now)).transpose()
    }

    /// Each of the bearers of `hashes` that is known, in one statement.
    pub async fn credentials_of(
        &self,
        hashes: &[SecretHash],
        now: OffsetDateTime,
    ) -> Result<HashMap<SecretHash, CredentialRecord>, StoreError> {
        macro_rules! of {
            ($hashes:literal) => {
                concat!("SELECT c.secret_hash, ", liveness!(), " WHERE c.secret_hash IN ", $hashes)
            };
        }
        if hashes.is_empty() {
            return Ok(HashMap::new());
        }
        let texts: HashMap<_, _> = hashes.iter().map(|hash| (hash.to_hex(), *hash)).collect();
        let sql = match *self.db {
            Db::Sqlite { .. } => of!("(SELECT value FROM json_each($1))"),
            Db::Postgres { .. } => of!("(SELECT jsonb_array_elements_text($1::jsonb))"),
        };
        let array = format!("[{}]", texts.keys().map(|hash| format!("\"{hash}\"")).collect::<Vec<_>>().join(","));
        let rows = self.db.fetch_all(sql, [array.into()]).await?;
        let found = rows.iter().map(|row| Ok((row.text("secret_hash")?, record(row, now)?)));
        let found: Vec<_> = found.collect::<Result<_, StoreError>>()?;
        Ok(found.into_iter().filter_map(|(text, record)| Some((*texts.get(&text)?, record))).collect())
    }

    /// For each of `tokens` that was minted: what is behind it, and why that means nothing any more, if so.
    /// One statement for all of them; tokens that were not minted are not in the answer.
    pub async fn minted_tokens(
        &self,
        tokens: &[TokenId],
        now: OffsetDateTime,
    ) -> Result<HashMap<TokenId, (Behind, Option<DeadReason>)>, StoreError> {
        macro_rules! minted {
            ($ids:literal) => {
                concat!(
                    "SELECT e.token_id, ",
                    liveness!(
                        "audit_events e JOIN credentials c ON c.id = e.credential_id",
                        "CASE WHEN c.kind = 'platform_key' AND e.principal LIKE 'user:%'
                            THEN substr(e.principal, 6) END",
                        "CASE WHEN c.kind = 'platform_key' AND e.principal LIKE 'service_account:%'
                            THEN substr(e.principal, 17) END",
                        "e.team_uid"
                    ),
                    " WHERE e.action = 'token.mint' AND e.decision = 'allowed' AND e.token_id IN ",
                    $ids
                )
            };
        }
        let array = format!("[{}]", tokens.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","));
        let sql = match *self.db {
            Db::Sqlite { .. } => minted!("(SELECT value FROM json_each($1))"),
            Db::Postgres { .. } => minted!("(SELECT jsonb_array_elements_text($1::jsonb))"),
        };
        let rows = self.db.fetch_all(sql, [array.into()]).await?;
        let behind = |row: &Row| {
            let behind = Behind { kind: row.parsed("kind", CredentialKind::parse)?, session: authentication(row)? };
            Ok((behind, dead(row, now)?))
        };
        rows.iter().map(|row| Ok((row.handle("token_id")?, behind(row)?))).collect()
    }

    /// Notes when credentials were last used, many in one transaction. Later marks win; unknown ids are ignored.
    pub async fn touch_credentials(&self, used: &[(CredentialId, OffsetDateTime)]) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        // In one order on every replica, so that no two wait for each other.
        let mut used = used.to_vec();
        used.sort_unstable_by_key(|(id, _)| *id);
        for (id, at) in &used {
            tx.execute(
                "UPDATE credentials SET last_used_at = $2 WHERE id = $1 AND COALESCE(last_used_at, 0) < $2",
                [(*id).into(), (*at).into()],
            )
            .await?;
        }
        tx.commit().await
    }
}

/// Saves a credential of an owner's; exactly one of the owner columns is given by each caller.
pub(super) async fn insert(tx: &mut Tx, new: &NewCredential, owner: Owner<'_>) -> Result<(), ChangeError> {
    let (kind, [administrator, user, session, account]) = owner.columns();
    let (parent, public_key, trust_rule) = owner.derived_from();
    let inserted = tx
        .execute(
            "INSERT INTO credentials (id, kind, secret_hash, name, administrator_id, user_uid, session_id,
                service_account_uid, created_by, created_at, expires_at, run_id, parent_id, public_key_id,
                trust_rule_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
            [
                new.id.into(),
                kind.as_str().into(),
                new.hash.to_hex().into(),
                new.name.as_str().into(),
                administrator.into(),
                user.into(),
                session.into(),
                account.into(),
                new.created_by.into(),
                new.created_at.into(),
                new.expires_at.into(),
                owner.run().map(RunId::as_str).into(),
                parent.into(),
                public_key.into(),
                trust_rule.into(),
            ],
        )
        .await?;
    if inserted == 1 { Ok(()) } else { Err(ChangeError::Conflict("credential_known")) }
}

/// What a service account showed for an access token. The token is alive only while that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerivesFrom {
    /// One of its keys.
    Key(CredentialId),
    /// An assertion signed with one of its public keys.
    PublicKey(PublicKeyId),
    /// Someone else's token, under one of its trust rules.
    TrustRule {
        /// Which.
        id: TrustRuleId,
        /// The rule's version by which the token was judged; of no other version does the judgement say anything.
        version: i64,
    },
}

/// Whose a new credential is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    Administrator(crate::domain::id::AdministratorId),
    Session(&'a crate::domain::id::UserUid, crate::domain::id::SessionId),
    Refresh(&'a crate::domain::id::UserUid, crate::domain::id::SessionId),
    ServiceAccount(&'a crate::domain::id::ServiceAccountUid),
    AccessToken(&'a crate::domain::id::ServiceAccountUid, DerivesFrom),
    Worker,
    Platform,
    Run(&'a RunId),
}

impl Owner<'_> {
    fn run(&self) -> Option<&RunId> {
        if let Self::Run(run) = self { Some(run) } else { None }
    }

    /// The kind, and the columns for administrator, user, session and service account.
    fn columns(self) -> (CredentialKind, [Option<String>; 4]) {
        match self {
            Self::Administrator(id) => (CredentialKind::Administrator, [Some(id.to_string()), None, None, None]),
            Self::Session(user, session) => {
                (CredentialKind::Access, [None, Some(user.to_string()), Some(session.to_string()), None])
            }
            Self::Refresh(user, session) => {
                (CredentialKind::Refresh, [None, Some(user.to_string()), Some(session.to_string()), None])
            }
            Self::ServiceAccount(uid) => (CredentialKind::ServiceAccount, [None, None, None, Some(uid.to_string())]),
            Self::AccessToken(uid, _) => (CredentialKind::Access, [None, None, None, Some(uid.to_string())]),
            Self::Worker => (CredentialKind::Worker, [None, None, None, None]),
            Self::Platform => (CredentialKind::Platform, [None, None, None, None]),
            Self::Run(_) => (CredentialKind::Run, [None, None, None, None]),
        }
    }

    /// The columns for key, public key and trust rule.
    const fn derived_from(self) -> (Option<CredentialId>, Option<PublicKeyId>, Option<TrustRuleId>) {
        let Self::AccessToken(_, from) = self else { return (None, None, None) };
        match from {
            DerivesFrom::Key(id) => (Some(id), None, None),
            DerivesFrom::PublicKey(id) => (None, Some(id), None),
            DerivesFrom::TrustRule { id, .. } => (None, None, Some(id)),
        }
    }
}

pub(super) fn key_info(row: &Row) -> Result<KeyInfo, StoreError> {
    Ok(KeyInfo {
        id: row.handle("id")?,
        name: row.text("name")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}

fn record(row: &Row, now: OffsetDateTime) -> Result<CredentialRecord, StoreError> {
    let kind = row.parsed("kind", CredentialKind::parse)?;
    Ok(CredentialRecord {
        id: row.handle("id")?,
        kind,
        identity: identity(row, kind)?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
        last_used_at: row.optional_time("last_used_at")?,
        dead: dead(row, now)?,
    })
}

fn identity(row: &Row, kind: CredentialKind) -> Result<Identity, StoreError> {
    Ok(match kind {
        CredentialKind::Administrator => Identity::Administrator {
            id: row.handle("administrator_id")?,
            role: row.parsed("administrator_role", InstallationRole::parse)?,
        },
        CredentialKind::Access if row.optional_text("session_id")?.is_some() => person(row)?,
        CredentialKind::Refresh => person(row)?,
        CredentialKind::Access | CredentialKind::ServiceAccount => {
            Identity::ServiceAccount { uid: row.uid("service_account_uid")?, team: row.uid("team_uid")? }
        }
        CredentialKind::Worker => Identity::Worker {
            teams: teams(row, "worker_teams")?,
            audience: row.parsed("audience", |text| Audience::parse(text).ok())?,
        },
        CredentialKind::Run => Identity::Run {
            run: row.parsed("run_id", |text| RunId::parse(text).ok())?,
            team: row.uid("team_uid")?,
            principal: row.parsed("run_principal", |text| Principal::parse(text).ok())?,
        },
        CredentialKind::Platform => Identity::Platform {
            teams: teams(row, "platform_teams")?,
            rights: row.parsed("platform_rights", PlatformRights::parse)?,
        },
        CredentialKind::Enrolment => return Err(StoreError::Corrupt("kind")),
    })
}

fn person(row: &Row) -> Result<Identity, StoreError> {
    Ok(Identity::Person {
        user: row.uid("user_uid")?,
        session: row.handle("session_id")?,
        by: authentication(row)?.ok_or(StoreError::Corrupt("session_origin"))?,
    })
}

/// The teams of a key, in the order of their uids.
pub(super) fn teams(row: &Row, column: &'static str) -> Result<Vec<TeamUid>, StoreError> {
    let list = row.optional_text(column)?.unwrap_or_default();
    let read = |text| TeamUid::parse(text).map_err(|_| StoreError::Corrupt(column));
    list.split(',').filter(|text| !text.is_empty()).map(read).collect()
}
