//! Signing keys: the public half open, the private half as sealed text.

use time::OffsetDateTime;
use time::macros::datetime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use super::issuers::IssuerNumbers;
use super::key_news;
use crate::domain::audit::Event;
use crate::domain::id::IssuerId;
use crate::domain::rotation::Retimed;
use crate::domain::sealed::Sealed;
use crate::domain::signing_key::{Algorithm, KeyKind, KeyTimes, Kid, PublicKey, SigningKey};

/// What the column says of a standby whose turn is not planned: to the version before, and to the audit statement,
/// it is one that does not sign yet.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59.999 UTC);

const OF_ISSUER: &str = "SELECT kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
    sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at, seen_from, seen_until, made_first,
    forgotten_at
    FROM signing_keys WHERE issuer_id = $1 ORDER BY sign_from, kid";

/// The same as [`Store::signing_keys`] within a transaction.
pub(super) async fn read(tx: &mut Tx, issuer: IssuerId) -> Result<Vec<SigningKey>, StoreError> {
    tx.fetch_all(OF_ISSUER, [issuer.into()]).await?.iter().map(signing_key).collect()
}

fn turn(times: &KeyTimes) -> OffsetDateTime {
    times.sign_from.unwrap_or(NEVER)
}

impl Store {
    /// Saves an issuer's first keys in one transaction; `false` if it has keys already, whoever made them first.
    /// A kid that another issuer has is a conflict (THREATS 14).
    pub async fn insert_first_keys(
        &self,
        issuer: IssuerId,
        keys: &[SigningKey],
        event: &Event,
    ) -> Result<bool, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let any = "SELECT 1 AS one FROM signing_keys WHERE issuer_id = $1 LIMIT 1";
        if tx.fetch_optional(any, [issuer.into()]).await?.is_some() {
            return Ok(false);
        }
        for key in keys {
            insert(&mut tx, issuer, key, event).await?;
        }
        tx.execute("UPDATE issuers SET keys_version = keys_version + 1 WHERE id = $1", [issuer.into()]).await?;
        key_news::tell(&mut tx, issuer).await?;
        tx.commit_with(event).await?;
        Ok(true)
    }

    /// Every key an issuer has or had, in the order they were to sign.
    pub async fn signing_keys(&self, issuer: IssuerId) -> Result<Vec<SigningKey>, StoreError> {
        self.db.fetch_all(OF_ISSUER, [issuer.into()]).await?.iter().map(signing_key).collect()
    }

    /// Whether another issuer of this store has a key of this name.
    pub async fn kid_known_elsewhere(&self, issuer: IssuerId, kid: &Kid) -> Result<bool, StoreError> {
        let sql = "SELECT 1 AS one FROM signing_keys WHERE kid = $1 AND issuer_id <> $2";
        Ok(self.db.fetch_optional(sql, [kid.as_str().into(), issuer.into()]).await?.is_some())
    }

    /// Does everything in `update` or nothing, if nobody has changed the issuer's keys or numbers since the version
    /// that it was made from, so that replicas need no leader; the version after. When it has returned, no audit
    /// batch decided under the old state can still commit.
    pub async fn change_keys(
        &self,
        issuer: IssuerId,
        update: &KeysUpdate<'_>,
        event: &Event,
    ) -> Result<i64, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let bumped = tx
            .fetch_optional(
                "UPDATE issuers SET keys_version = keys_version + 1
                 WHERE id = $1 AND keys_version = $2 AND deleted_at IS NULL RETURNING keys_version",
                [issuer.into(), update.expected_version.into()],
            )
            .await?;
        let version = bumped.ok_or(CHANGED)?.int("keys_version")?;
        if let Some(numbers) = &update.numbers {
            super::issuers::write(&mut tx, issuer, numbers).await?;
        }
        for change in update.times {
            retime(&mut tx, issuer, change).await?;
        }
        for key in update.made {
            insert(&mut tx, issuer, key, event).await?;
        }
        for (kid, nothing) in update.forget {
            forget(&mut tx, issuer, kid, nothing, event.at).await?;
        }
        key_news::tell(&mut tx, issuer).await?;
        tx.commit_with(event).await?;
        Ok(version)
    }

    /// Notes a look at the public `jwks_uri` that began at `at`, and what it says of the keys; `false` if a later look
    /// is noted already, or the keys have changed since. Only a key newly seen or missed counts as a change of the
    /// issuer's keys.
    pub async fn note_look(&self, issuer: IssuerId, at: OffsetDateTime, seen: &[Retimed]) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let changes = seen.iter().any(|change| change.expected.seen_from != change.times.seen_from);
        let noted = tx
            .execute(
                "UPDATE issuers SET probed_at = $2, keys_version = keys_version + $3
                 WHERE id = $1 AND deleted_at IS NULL AND (probed_at IS NULL OR probed_at < $2)",
                [issuer.into(), at.into(), changes.into()],
            )
            .await?;
        if noted == 0 {
            return Ok(false);
        }
        for Retimed { kid, expected, times } in seen {
            let written = tx
                .execute(
                    "UPDATE signing_keys SET seen_from = $1, seen_until = $2
                     WHERE issuer_id = $3 AND kid = $4 AND COALESCE(seen_from, -1) = COALESCE($5, -1)",
                    [
                        times.seen_from.into(),
                        times.seen_until.into(),
                        issuer.into(),
                        kid.as_str().into(),
                        expected.seen_from.into(),
                    ],
                )
                .await?;
            if written == 0 {
                return Ok(false);
            }
        }
        if changes {
            key_news::tell(&mut tx, issuer).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// What one transaction does to an issuer's keys.
#[derive(Debug, Clone, Default)]
pub struct KeysUpdate<'a> {
    /// [`super::IssuerRow::keys_version`] as it was when the change was thought out.
    pub expected_version: i64,
    /// Keys whose instants change.
    pub times: &'a [Retimed],
    /// Keys that are made.
    pub made: &'a [SigningKey],
    /// Keys whose private half is destroyed, and what takes its place: sealed, and empty.
    pub forget: &'a [(Kid, Sealed)],
    /// Other numbers, where they change.
    pub numbers: Option<IssuerNumbers>,
}

const CHANGED: ChangeError = ChangeError::Conflict("signing_keys_changed");

async fn retime(tx: &mut Tx, issuer: IssuerId, change: &Retimed) -> Result<(), ChangeError> {
    let Retimed { kid, expected, times } = change;
    let changed = tx
        .execute(
            "UPDATE signing_keys SET sign_from = $1, sign_until = $2, publish_until = $3, revoked_at = $4
             WHERE issuer_id = $5 AND kid = $6 AND publish_from = $7 AND sign_from = $8
                AND COALESCE(sign_until, -1) = COALESCE($9, -1)
                AND COALESCE(publish_until, -1) = COALESCE($10, -1)
                AND COALESCE(revoked_at, -1) = COALESCE($11, -1)",
            [
                turn(times).into(),
                times.sign_until.into(),
                times.publish_until.into(),
                times.revoked_at.into(),
                issuer.into(),
                kid.as_str().into(),
                expected.publish_from.into(),
                turn(expected).into(),
                expected.sign_until.into(),
                expected.publish_until.into(),
                expected.revoked_at.into(),
            ],
        )
        .await?;
    if changed == 1 { Ok(()) } else { Err(CHANGED) }
}

/// Only what nobody can need any more is destroyed, whatever the caller thinks.
async fn forget(
    tx: &mut Tx,
    issuer: IssuerId,
    kid: &Kid,
    nothing: &Sealed,
    now: OffsetDateTime,
) -> Result<(), ChangeError> {
    let forgotten = tx
        .execute(
            "UPDATE signing_keys SET sealed_private = $1, forgotten_at = $2
             WHERE issuer_id = $3 AND kid = $4 AND forgotten_at IS NULL
                AND (revoked_at IS NOT NULL OR sign_from = sign_until OR publish_until <= $2)",
            [nothing.as_str().into(), now.into(), issuer.into(), kid.as_str().into()],
        )
        .await?;
    if forgotten == 1 { Ok(()) } else { Err(CHANGED) }
}

/// Saves a new key; a kid that any issuer has or had is a conflict.
pub(super) async fn insert(tx: &mut Tx, issuer: IssuerId, key: &SigningKey, event: &Event) -> Result<(), ChangeError> {
    let (first, second) = key.public.members();
    let inserted = tx
        .execute(
            "INSERT INTO signing_keys (kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
                sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at, made_first, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING",
            [
                key.kid.as_str().into(),
                issuer.into(),
                key.algorithm().as_str().into(),
                key.kind.bits().into(),
                first.into(),
                second.into(),
                key.certificate.as_deref().into(),
                key.private.as_str().into(),
                key.times.publish_from.into(),
                turn(&key.times).into(),
                key.times.sign_until.into(),
                key.times.publish_until.into(),
                key.times.revoked_at.into(),
                key.first.into(),
                event.at.into(),
            ],
        )
        .await?;
    if inserted == 1 { Ok(()) } else { Err(ChangeError::Conflict("signing_key_known")) }
}

fn signing_key(row: &Row) -> Result<SigningKey, StoreError> {
    let algorithm = row.parsed("algorithm", Algorithm::parse)?;
    let bits = row.number("bits")?;
    let kind = KeyKind::new(algorithm, Some(bits)).map_err(|_| StoreError::Corrupt("bits"))?;
    let public = PublicKey::new(kind, &row.text("public_first")?, &row.text("public_second")?);
    Ok(SigningKey {
        issuer: row.handle("issuer_id")?,
        kid: row.parsed("kid", |text| Kid::parse(text).ok())?,
        kind,
        public: public.map_err(|_| StoreError::Corrupt("public key"))?,
        certificate: row.optional_text("certificate")?.map(String::into_boxed_str),
        private: row.parsed("sealed_private", |text| Sealed::parse(text).ok())?,
        times: KeyTimes {
            publish_from: row.time("publish_from")?,
            sign_from: Some(row.time("sign_from")?).filter(|from| *from < NEVER),
            seen_from: row.optional_time("seen_from")?,
            seen_until: row.optional_time("seen_until")?,
            sign_until: row.optional_time("sign_until")?,
            publish_until: row.optional_time("publish_until")?,
            revoked_at: row.optional_time("revoked_at")?,
        },
        first: row.flag("made_first")?,
        forgotten_at: row.optional_time("forgotten_at")?,
    })
}
