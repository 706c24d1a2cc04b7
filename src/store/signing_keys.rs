//! Signing keys: the public half open, the private half as sealed text.

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError};
use crate::domain::audit::Event;
use crate::domain::id::IssuerId;
use crate::domain::sealed::Sealed;
use crate::domain::signing_key::{Algorithm, KeyKind, KeyTimes, Kid, PublicKey, SigningKey};

impl Store {
    /// Saves an issuer's first keys in one transaction; `false` if it has keys already, whoever made them first.
    /// A kid that another issuer has is a conflict (THREATS 14).
    pub async fn insert_first_keys(
        &self,
        issuer: IssuerId,
        keys: &[SigningKey],
        event: &Event,
    ) -> Result<bool, ChangeError> {
        let mut tx = self.db.begin_alone().await?;
        let any = "SELECT 1 AS one FROM signing_keys WHERE issuer_id = $1 LIMIT 1";
        if tx.fetch_optional(any, [issuer.into()]).await?.is_some() {
            return Ok(false);
        }
        for key in keys {
            insert(&mut tx, issuer, key, event).await?;
        }
        tx.commit_with(event).await?;
        Ok(true)
    }

    /// Every key an issuer has or had, in the order they were to sign.
    pub async fn signing_keys(&self, issuer: IssuerId) -> Result<Vec<SigningKey>, StoreError> {
        let sql = "SELECT kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
            sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at
            FROM signing_keys WHERE issuer_id = $1 ORDER BY sign_from, kid";
        self.db.fetch_all(sql, [issuer.into()]).await?.iter().map(signing_key).collect()
    }

    /// Whether another issuer of this store has a key of this name.
    pub async fn kid_known_elsewhere(&self, issuer: IssuerId, kid: &Kid) -> Result<bool, StoreError> {
        let sql = "SELECT 1 AS one FROM signing_keys WHERE kid = $1 AND issuer_id <> $2";
        Ok(self.db.fetch_optional(sql, [kid.as_str().into(), issuer.into()]).await?.is_some())
    }

    /// Changes a key's instants if they are still `expected`, so that replicas need no leader. When it has
    /// returned, no audit batch decided under the old instants can still commit.
    pub async fn set_key_times(
        &self,
        issuer: IssuerId,
        kid: &Kid,
        expected: &KeyTimes,
        times: &KeyTimes,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_alone().await?;
        let changed = tx
            .execute(
                "UPDATE signing_keys SET publish_from = $1, sign_from = $2, sign_until = $3, publish_until = $4,
                    revoked_at = $5
                 WHERE issuer_id = $6 AND kid = $7 AND publish_from = $8 AND sign_from = $9
                    AND COALESCE(sign_until, -1) = COALESCE($10, -1)
                    AND COALESCE(publish_until, -1) = COALESCE($11, -1)
                    AND COALESCE(revoked_at, -1) = COALESCE($12, -1)",
                [
                    times.publish_from.into(),
                    times.sign_from.into(),
                    times.sign_until.into(),
                    times.publish_until.into(),
                    times.revoked_at.into(),
                    issuer.into(),
                    kid.as_str().into(),
                    expected.publish_from.into(),
                    expected.sign_from.into(),
                    expected.sign_until.into(),
                    expected.publish_until.into(),
                    expected.revoked_at.into(),
                ],
            )
            .await?;
        if changed == 0 {
            return Err(ChangeError::Conflict("signing_key_changed"));
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// Saves a new key; a kid that any issuer has or had is a conflict.
pub(super) async fn insert(tx: &mut Tx, issuer: IssuerId, key: &SigningKey, event: &Event) -> Result<(), ChangeError> {
    let (first, second) = key.public.members();
    let inserted = tx
        .execute(
            "INSERT INTO signing_keys (kid, issuer_id, algorithm, bits, public_first, public_second, certificate,
                sealed_private, publish_from, sign_from, sign_until, publish_until, revoked_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
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
                key.times.sign_from.into(),
                key.times.sign_until.into(),
                key.times.publish_until.into(),
                key.times.revoked_at.into(),
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
            sign_from: row.time("sign_from")?,
            sign_until: row.optional_time("sign_until")?,
            publish_until: row.optional_time("publish_until")?,
            revoked_at: row.optional_time("revoked_at")?,
        },
    })
}
