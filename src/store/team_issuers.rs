//! Teams' private issuers: made once, destroyed once, never made again.

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::issuers::{IssuerRow, issuer, issuer_columns};
use super::team_row::lock_version;
use super::{key_news, signing_keys, team_row};
use crate::domain::audit::Event;
use crate::domain::id::{IssuerId, TeamUid};
use crate::domain::signing_key::SigningKey;
use crate::domain::team::{MintingIssuer, TeamPolicy};

/// Most live private issuers of an installation: every replica keeps the keys and documents of all of them at hand.
pub const TEAM_ISSUERS_MAX: i64 = 1000;

impl Store {
    /// Makes a team's private issuer with its first keys, in one transaction; the team's version then. The team goes
    /// on minting as before. A team that has one, or has had one, is a conflict; so is a kid that another issuer has.
    pub async fn create_team_issuer(
        &self,
        team: &TeamUid,
        expected: Option<i64>,
        made: &IssuerRow,
        keys: &[SigningKey],
        event: &Event,
    ) -> Result<i64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let version = lock_version(&mut tx, team, expected).await?.version;
        let there = "SELECT deleted_at FROM issuers WHERE team_uid = $1";
        if let Some(row) = tx.fetch_optional(there, [team.into()]).await? {
            let deleted = row.optional_time("deleted_at")?.is_some();
            return Err(ChangeError::Conflict(if deleted { "issuer_was_deleted" } else { "issuer_exists" }));
        }
        let live = "SELECT COUNT(*) AS live FROM issuers WHERE kind = 'team' AND deleted_at IS NULL";
        let live = tx.fetch_optional(live, []).await?.map(|row| row.int("live")).transpose()?;
        if live.unwrap_or_default() >= TEAM_ISSUERS_MAX {
            return Err(ChangeError::Conflict("too_many_issuers"));
        }
        let n = &made.schedule;
        tx.execute(
            "INSERT INTO issuers (id, url, kind, team_uid, max_age, export_lag, clock_error, oldest_snapshot,
                publish_before_sign, keep_after_sign, rotation_period, x5c, created_at)
             VALUES ($1, $2, 'team', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            [
                made.id.into(),
                made.url.as_str().into(),
                team.into(),
                n.max_age.into(),
                n.export_lag.into(),
                n.clock_error.into(),
                n.oldest_snapshot.into(),
                n.publish_before_sign.into(),
                n.keep_after_sign.into(),
                n.rotation_period.into(),
                made.x5c.into(),
                made.created_at.into(),
            ],
        )
        .await?;
        for key in keys {
            signing_keys::insert(&mut tx, made.id, key, event).await?;
        }
        team_row::bump(&mut tx, team, event.at).await?;
        key_news::tell(&mut tx, made.id).await?;
        tx.commit_with(event).await?;
        Ok(version + 1)
    }

    /// A team's private issuer, where it has a live one.
    pub async fn team_issuer(&self, team: &TeamUid) -> Result<Option<IssuerRow>, StoreError> {
        let sql = concat!(issuer_columns!(), "WHERE kind = 'team' AND team_uid = $1 AND deleted_at IS NULL");
        self.db.fetch_optional(sql, [team.into()]).await?.as_ref().map(issuer).transpose()
    }

    /// Since when a team's private issuer is a tombstone, where it is one.
    pub async fn team_issuer_deleted_at(&self, team: &TeamUid) -> Result<Option<OffsetDateTime>, StoreError> {
        let sql = "SELECT deleted_at FROM issuers WHERE kind = 'team' AND team_uid = $1 AND deleted_at IS NOT NULL";
        self.db.fetch_optional(sql, [team.into()]).await?.map(|row| row.time("deleted_at")).transpose()
    }

    /// Every live private issuer, at most [`TEAM_ISSUERS_MAX`].
    pub async fn team_issuers(&self) -> Result<Vec<IssuerRow>, StoreError> {
        let sql = concat!(issuer_columns!(), "WHERE kind = 'team' AND deleted_at IS NULL ORDER BY team_uid");
        self.db.fetch_all(sql, []).await?.iter().map(issuer).collect()
    }

    /// Destroys a team's private issuer and its keys; the team's version then. Refused while it mints for the team.
    /// When it has returned, no token of it can still be released, and its URL is dead for ever.
    pub async fn delete_team_issuer(
        &self,
        team: &TeamUid,
        expected: Option<i64>,
        event: &Event,
    ) -> Result<i64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let found = lock_version(&mut tx, team, expected).await?;
        if found.policy.issuer == MintingIssuer::Private {
            return Err(ChangeError::Conflict("issuer_mints"));
        }
        if !destroy(&mut tx, team, event.at).await? {
            return Err(ChangeError::NotFound);
        }
        team_row::bump(&mut tx, team, event.at).await?;
        tx.commit_with(event).await?;
        Ok(found.version + 1)
    }
}

/// Refuses a policy that mints from an issuer which is not there.
pub(super) async fn refuse_missing(tx: &mut Tx, team: &TeamUid, policy: &TeamPolicy) -> Result<(), ChangeError> {
    if policy.issuer == MintingIssuer::Shared {
        return Ok(());
    }
    let sql = "SELECT 1 AS one FROM issuers WHERE kind = 'team' AND team_uid = $1 AND deleted_at IS NULL";
    match tx.fetch_optional(sql, [team.into()]).await? {
        Some(_) => Ok(()),
        None => Err(ChangeError::Conflict("issuer_missing")),
    }
}

/// Makes a team's private issuer a tombstone, where there is a live one, and overwrites the private halves of its
/// keys: the rows stay, so that no kid of it is ever known again, but there is nothing left to open.
pub(super) async fn destroy(tx: &mut Tx, team: &TeamUid, at: OffsetDateTime) -> Result<bool, StoreError> {
    let sql = "UPDATE issuers SET deleted_at = $2, keys_version = keys_version + 1
        WHERE kind = 'team' AND team_uid = $1 AND deleted_at IS NULL RETURNING id";
    let Some(row) = tx.fetch_optional(sql, [team.into(), at.into()]).await? else { return Ok(false) };
    let id: IssuerId = row.handle("id")?;
    tx.execute(
        "UPDATE signing_keys SET sealed_private = '', revoked_at = COALESCE(revoked_at, $2), forgotten_at = $2
         WHERE issuer_id = $1",
        [id.into(), at.into()],
    )
    .await?;
    key_news::tell(tx, id).await?;
    Ok(true)
}
