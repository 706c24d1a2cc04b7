//! Replicas: which there are, and which state of the keys each publishes.

use time::OffsetDateTime;

use super::Store;
use super::error::StoreError;
use crate::domain::id::{IssuerId, ReplicaId};

/// A replica as its row tells it, from the view of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its id, new at every start.
    pub id: ReplicaId,
    /// The version of the program.
    pub version: String,
    /// Since when it runs.
    pub started_at: OffsetDateTime,
    /// When it was last heard of.
    pub seen_at: OffsetDateTime,
    /// [`super::IssuerRow::keys_version`] of what it publishes; `None` where it does not publish this issuer.
    pub keys_version: Option<i64>,
}

impl Store {
    /// Says that replica `id` lives and, for each issuer, which state of the keys it publishes.
    pub async fn confirm_keys(
        &self,
        id: ReplicaId,
        version: &str,
        started_at: OffsetDateTime,
        now: OffsetDateTime,
        published: &[(IssuerId, i64)],
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute(
            "INSERT INTO replicas (id, version, started_at, seen_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at",
            [id.into(), version.into(), started_at.into(), now.into()],
        )
        .await?;
        for (issuer, keys_version) in published {
            tx.execute(
                "INSERT INTO replica_keys (replica_id, issuer_id, keys_version) VALUES ($1, $2, $3)
                 ON CONFLICT (replica_id, issuer_id) DO UPDATE SET keys_version = excluded.keys_version",
                [id.into(), (*issuer).into(), (*keys_version).into()],
            )
            .await?;
        }
        tx.commit().await
    }

    /// Every replica that was heard of, with what it publishes of `issuer`, the oldest first.
    pub async fn replicas(&self, issuer: IssuerId) -> Result<Vec<Replica>, StoreError> {
        let sql = "SELECT r.id, r.version, r.started_at, r.seen_at, k.keys_version FROM replicas r
            LEFT JOIN replica_keys k ON k.replica_id = r.id AND k.issuer_id = $1 ORDER BY r.started_at, r.id";
        let rows = self.db.fetch_all(sql, [issuer.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Replica {
                    id: row.handle("id")?,
                    version: row.text("version")?,
                    started_at: row.time("started_at")?,
                    seen_at: row.time("seen_at")?,
                    keys_version: row.optional_int("keys_version")?,
                })
            })
            .collect()
    }

    /// Forgets a replica that stops in order.
    pub async fn remove_replica(&self, id: ReplicaId) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute("DELETE FROM replicas WHERE id = $1", [id.into()]).await?;
        tx.commit().await
    }

    /// Forgets replicas that were not heard of since `before`; how many.
    pub async fn forget_replicas(&self, before: OffsetDateTime) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        let forgotten = tx.execute("DELETE FROM replicas WHERE seen_at < $1", [before.into()]).await?;
        tx.commit().await?;
        Ok(forgotten)
    }
}
