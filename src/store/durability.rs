//! Whether a commit means what the audit promises: that the row outlives the server.

use super::Store;
use super::db::Db;
use super::error::StoreError;

/// What weakens the promise that a committed row stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// The server has standbys, or may fail over to one, and waits for none of them: what it committed last is lost
    /// with it.
    AsynchronousReplication,
    /// The server does not wait for its disk (`fsync = off`).
    NoFsync,
}

impl Weakness {
    /// What it means, for an operator.
    pub const fn told(self) -> &'static str {
        match self {
            Self::AsynchronousReplication => {
                "replication is asynchronous: when the primary is lost, so are the audit rows of its last moments; set \
                 synchronous_standby_names"
            }
            Self::NoFsync => "fsync is off: a crash of the server's host loses audit rows",
        }
    }
}

impl Store {
    /// Asks the database whether it answers, and how far its commits can be trusted. Behind a pooler it is the server
    /// behind it that tells.
    pub async fn durability(&self) -> Result<Option<Weakness>, StoreError> {
        let Db::Postgres { cluster, .. } = self.db.as_ref() else {
            self.ping().await?;
            return Ok(None);
        };
        let row = self
            .db
            .fetch_optional(
                "SELECT CASE WHEN current_setting('fsync') = 'on' THEN 1::BIGINT ELSE 0::BIGINT END AS fsync,
                        CASE WHEN current_setting('synchronous_standby_names') = '' THEN 0::BIGINT ELSE 1::BIGINT END
                            AS synchronous,
                        (SELECT COUNT(*) FROM pg_stat_replication)::BIGINT AS standbys",
                [],
            )
            .await?
            .ok_or(StoreError::Corrupt("pg_settings"))?;
        let standbys = row.int("standbys")? > 0 || cluster.servers().len() > 1;
        Ok(if standbys && !row.flag("synchronous")? {
            Some(Weakness::AsynchronousReplication)
        } else if row.flag("fsync")? {
            None
        } else {
            Some(Weakness::NoFsync)
        })
    }
}
