//! People. A deleted one leaves a tombstone: the uid, and nothing that tells who it was.

use time::OffsetDateTime;

use super::Store;
use super::audit;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::upstream_identities;
use crate::domain::audit::Event;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::team::User;

/// What to change of a person; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// Another name.
    pub name: Option<String>,
    #[expect(clippy::option_option, reason = "keep, clear and set are three things")]
    /// `Some(Some(_))` sets, `Some(None)` clears.
    pub email: Option<Option<String>>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches them off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
}

impl Store {
    /// Saves a new person. The uid must never have been used, in whatever case.
    pub async fn create_user(
        &self,
        user: &User,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        insert(&mut tx, user).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// A person; tombstones are not found.
    pub async fn user(&self, uid: &UserUid) -> Result<Option<User>, StoreError> {
        let sql = "SELECT uid, name, email, created_at, disabled_at, deleted_at, version
            FROM users WHERE uid = $1 AND deleted_at IS NULL";
        self.db.fetch_optional(sql, [uid.into()]).await?.as_ref().map(user).transpose()
    }

    /// A page of people, in the order of their uids.
    pub async fn users(&self, page: &Page) -> Result<Paged<User>, StoreError> {
        let sql = "SELECT uid, name, email, created_at, disabled_at, deleted_at, version
            FROM users WHERE uid > $1 AND deleted_at IS NULL ORDER BY uid LIMIT $2";
        let rows = self.db.fetch_page(sql, [page.after()?.into(), page.fetch().into()]).await?;
        let users = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(users, |user| user.uid.to_string()))
    }

    /// Changes a person if the version is `expected`. When it has returned, a disabled one gets no token.
    pub async fn update_user(
        &self,
        uid: &UserUid,
        expected: Option<i64>,
        change: &UserChange,
        event: &Event,
    ) -> Result<User, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let mut user = lock_version(&mut tx, uid, expected).await?;
        if let Some(name) = &change.name {
            user.name.clone_from(name);
        }
        if let Some(email) = &change.email {
            user.email.clone_from(email);
        }
        if let Some(disabled_at) = change.disabled_at {
            user.disabled_at = disabled_at;
        }
        user.version += 1;
        tx.execute(
            "UPDATE users SET name = $2, email = $3, disabled_at = $4, version = $5, updated_at = $6 WHERE uid = $1",
            [
                uid.into(),
                user.name.as_str().into(),
                user.email.as_deref().into(),
                user.disabled_at.into(),
                user.version.into(),
                event.at.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(user)
    }

    /// Makes a person a tombstone: memberships, sessions, credentials and codes end, and name, e-mail, devices,
    /// addresses and user agents are erased, in audit rows too. The uid stays taken, decisions stay told.
    pub async fn delete_user(&self, uid: &UserUid, expected: Option<i64>, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        lock_version(&mut tx, uid, expected).await?;
        end(&mut tx, uid, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }
}

/// Makes a person a tombstone, and forgets who it was.
pub(super) async fn end(tx: &mut Tx, uid: &UserUid, at: OffsetDateTime) -> Result<(), StoreError> {
    for sql in [
        "UPDATE users SET deleted_at = $2, updated_at = $2, version = version + 1, name = '', email = NULL
            WHERE uid = $1",
        "UPDATE memberships SET removed_at = COALESCE(removed_at, $2), disabled_at = NULL
            WHERE user_uid = $1 AND (removed_at IS NULL OR disabled_at IS NOT NULL)",
        "UPDATE sessions SET ended_at = COALESCE(ended_at, $2), device = NULL, address = NULL, user_agent = NULL,
            upstream_subject = NULL, upstream_sid = NULL, amr = NULL WHERE user_uid = $1",
        "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $2), name = '' WHERE user_uid = $1",
        "UPDATE enrolment_codes SET revoked_at = COALESCE(revoked_at, $2) WHERE user_uid = $1",
    ] {
        tx.execute(sql, [uid.into(), at.into()]).await?;
    }
    // What waits to become a session says who signed in and from where; nothing of it may become one now.
    for sql in [
        "DELETE FROM device_grants WHERE user_uid = $1",
        "DELETE FROM authorization_codes WHERE user_uid = $1",
        "DELETE FROM sign_ins WHERE user_uid = $1",
    ] {
        tx.execute(sql, [uid.into()]).await?;
    }
    upstream_identities::erase_person(tx, uid).await?;
    audit::erase_person(tx, uid).await?;
    idempotency::forget_mentions(tx, uid.as_str()).await
}

/// Saves a new person.
pub(super) async fn insert(tx: &mut Tx, user: &User) -> Result<(), ChangeError> {
    let inserted = tx
        .execute(
            "INSERT INTO users (uid, uid_fold, name, email, version, created_at, updated_at, disabled_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT DO NOTHING",
            [
                (&user.uid).into(),
                user.uid.folded().into(),
                user.name.as_str().into(),
                user.email.as_deref().into(),
                user.version.into(),
                user.created_at.into(),
                user.disabled_at.into(),
            ],
        )
        .await?;
    if inserted == 0 { Err(ChangeError::UidTaken) } else { Ok(()) }
}

/// The teams that a person is in, also where they are disabled there.
pub(super) async fn teams_in(tx: &mut Tx, user: &UserUid) -> Result<Vec<TeamUid>, StoreError> {
    let sql = "SELECT m.team_uid FROM memberships m JOIN teams t ON t.uid = m.team_uid
        WHERE m.user_uid = $1 AND (m.removed_at IS NULL OR m.disabled_at IS NOT NULL) AND t.deleted_at IS NULL
        ORDER BY m.team_uid";
    tx.fetch_all(sql, [user.into()]).await?.iter().map(|row| row.uid("team_uid")).collect()
}

async fn lock_version(tx: &mut Tx, uid: &UserUid, expected: Option<i64>) -> Result<User, ChangeError> {
    let sql = "UPDATE users SET version = version WHERE uid = $1 AND deleted_at IS NULL
        RETURNING uid, name, email, created_at, disabled_at, deleted_at, version";
    let row = tx.fetch_optional(sql, [uid.into()]).await?.ok_or(ChangeError::NotFound)?;
    let user = user(&row)?;
    check_version(expected, user.version)?;
    Ok(user)
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        uid: row.uid("uid")?,
        name: row.text("name")?,
        email: row.optional_text("email")?,
        created_at: row.time("created_at")?,
        disabled_at: row.optional_time("disabled_at")?,
        deleted_at: row.optional_time("deleted_at")?,
        version: row.int("version")?,
    })
}
