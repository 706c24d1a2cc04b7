//! Issuers and their numbers. One is shared by the whole installation; teams' private ones are in `team_issuers`.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::StoreError;
use crate::domain::id::{IssuerId, TeamUid};
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::domain::key_schedule::ScheduleNumbers;

/// An issuer as its row tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRow {
    /// Its id, on keys and audit rows.
    pub id: IssuerId,
    /// Its URL, byte for byte as first configured.
    pub url: IssuerUrl,
    /// Whose private issuer it is; `None` is the shared one.
    pub team: Option<TeamUid>,
    /// The numbers of its key schedule, max-age among them.
    pub schedule: ScheduleNumbers,
    /// Whether keys are published with a certificate.
    pub x5c: bool,
    /// Since when it exists.
    pub created_at: OffsetDateTime,
    /// Counts every change of its numbers and keys; a look at the public `jwks_uri` only where it changes what is
    /// seen.
    pub keys_version: i64,
    /// The last look at the public `jwks_uri` that was answered, by whatever replica.
    pub probed_at: Option<OffsetDateTime>,
}

/// How an issuer publishes and rotates; the numbers are the caller's to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerNumbers {
    /// The numbers of its key schedule.
    pub schedule: ScheduleNumbers,
    /// Whether keys are published with a certificate.
    pub x5c: bool,
}

/// The columns that [`issuer`] reads.
macro_rules! issuer_columns {
    () => {
        "SELECT id, url, team_uid, max_age, export_lag, clock_error, oldest_snapshot, publish_before_sign,
    keep_after_sign, rotation_period, x5c, created_at, keys_version, probed_at
    FROM issuers "
    };
}
pub(super) use issuer_columns;

const SHARED: &str = concat!(issuer_columns!(), "WHERE kind = 'shared' AND deleted_at IS NULL");

impl Store {
    /// The installation's shared issuer, made under `id` with the default numbers where there is none. Another
    /// URL in the store is refused: its keys would be published under two names (THREATS 14).
    pub async fn ensure_issuer(
        &self,
        url: &IssuerUrl,
        id: IssuerId,
        now: OffsetDateTime,
    ) -> Result<IssuerRow, StoreError> {
        let mut tx = self.db.begin().await?;
        let n = ScheduleNumbers::default();
        tx.execute(
            "INSERT INTO issuers (id, url, kind, max_age, export_lag, clock_error, oldest_snapshot,
                publish_before_sign, keep_after_sign, rotation_period, x5c, created_at)
             VALUES ($1, $2, 'shared', $3, $4, $5, $6, $7, $8, $9, 0, $10) ON CONFLICT DO NOTHING",
            [
                id.into(),
                url.as_str().into(),
                n.max_age.into(),
                n.export_lag.into(),
                n.clock_error.into(),
                n.oldest_snapshot.into(),
                n.publish_before_sign.into(),
                n.keep_after_sign.into(),
                n.rotation_period.into(),
                now.into(),
            ],
        )
        .await?;
        let row = tx.fetch_optional(SHARED, []).await?.ok_or(StoreError::Corrupt("issuers"))?;
        tx.commit().await?;
        let found = issuer(&row)?;
        if found.url == *url {
            Ok(found)
        } else {
            Err(StoreError::OtherIssuer { stored: found.url.to_string(), configured: url.to_string() })
        }
    }

    /// The installation's shared issuer, where there is one.
    pub async fn issuer(&self) -> Result<Option<IssuerRow>, StoreError> {
        self.db.fetch_optional(SHARED, []).await?.as_ref().map(issuer).transpose()
    }

    /// An issuer that is not deleted, shared or not.
    pub async fn issuer_of(&self, id: IssuerId) -> Result<Option<IssuerRow>, StoreError> {
        let sql = concat!(issuer_columns!(), "WHERE id = $1 AND deleted_at IS NULL");
        self.db.fetch_optional(sql, [id.into()]).await?.as_ref().map(issuer).transpose()
    }
}

/// Writes the numbers, in the transaction that changes the keys with them.
pub(super) async fn write(tx: &mut Tx, id: IssuerId, numbers: &IssuerNumbers) -> Result<(), StoreError> {
    let IssuerNumbers { schedule, x5c } = numbers;
    tx.execute(
        "UPDATE issuers SET max_age = $2, export_lag = $3, clock_error = $4, oldest_snapshot = $5,
            publish_before_sign = $6, keep_after_sign = $7, rotation_period = $8, x5c = $9
         WHERE id = $1 AND deleted_at IS NULL",
        [
            id.into(),
            schedule.max_age.into(),
            schedule.export_lag.into(),
            schedule.clock_error.into(),
            schedule.oldest_snapshot.into(),
            schedule.publish_before_sign.into(),
            schedule.keep_after_sign.into(),
            schedule.rotation_period.into(),
            (*x5c).into(),
        ],
    )
    .await?;
    Ok(())
}

/// An issuer of either kind.
pub(super) fn issuer(row: &Row) -> Result<IssuerRow, StoreError> {
    let team: Option<TeamUid> = row.optional_parsed("team_uid", |text| TeamUid::parse(text).ok())?;
    Ok(IssuerRow {
        id: row.handle("id")?,
        // Whether loopback may be used was decided when it was configured.
        url: row.parsed("url", |text| match &team {
            None => IssuerUrl::parse(text, Development::On).ok(),
            Some(team) => IssuerUrl::parse_of_team(text, team),
        })?,
        team,
        schedule: ScheduleNumbers {
            max_age: row.number("max_age")?,
            export_lag: row.number("export_lag")?,
            clock_error: row.number("clock_error")?,
            oldest_snapshot: row.number("oldest_snapshot")?,
            publish_before_sign: row.number("publish_before_sign")?,
            keep_after_sign: row.number("keep_after_sign")?,
            rotation_period: row.number("rotation_period")?,
        },
        x5c: row.flag("x5c")?,
        created_at: row.time("created_at")?,
        keys_version: row.int("keys_version")?,
        probed_at: row.optional_time("probed_at")?,
    })
}
