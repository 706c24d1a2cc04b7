//! News that an issuer's keys have changed: PostgreSQL tells it, so that a change shows on every replica at once.
//!
//! News may be lost (a connection breaks, a server restarts), so nobody may rely on it: replicas poll beside it.

use std::future;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::Store;
use super::db::{Db, Tx};
use super::error::{StoreError, of_driver as error};
use crate::domain::id::IssuerId;

const CHANNEL: &str = "brevet_keys";
/// How long a server may take to let us listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// A listener on a connection of its own.
#[derive(Debug)]
pub struct KeyNews(Option<PgListener>);

impl Store {
    /// Begins to listen. On SQLite there is one process, and no news.
    pub async fn key_news(&self) -> Result<KeyNews, StoreError> {
        let Db::Postgres { news, .. } = self.db.as_ref() else { return Ok(KeyNews(None)) };
        let mut failed = StoreError::Unavailable("no server tells news".to_owned());
        // Of several servers the standbys refuse: only the primary tells.
        for server in news {
            match listen(server.clone()).await {
                Ok(listener) => return Ok(KeyNews(Some(listener))),
                Err(fault) => failed = error(fault),
            }
        }
        Err(failed)
    }
}

async fn listen(server: PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let own = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(server);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

impl KeyNews {
    /// Waits until some issuer's keys have changed, or may have: a connection that broke and stands again counts as
    /// news too, since what was told meanwhile is lost.
    pub async fn next(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(listener) => listener.try_recv().await.map(drop).map_err(error),
            None => future::pending().await,
        }
    }
}

/// Tells every replica once the transaction is committed.
pub(super) async fn tell(tx: &mut Tx, issuer: IssuerId) -> Result<(), StoreError> {
    if tx.is_postgres() {
        tx.execute("SELECT pg_notify($1, $2)", [CHANNEL.into(), issuer.into()]).await?;
    }
    Ok(())
}
