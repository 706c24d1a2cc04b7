//! News that an issuer's keys have changed: PostgreSQL tells it, so that a change shows on every replica at once.
//!
//! News may be lost (a connection breaks, a server restarts), so nobody may rely on it: replicas poll beside it.

use std::future;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Store;
use super::db::{Db, Tx, error};
use super::error::StoreError;
use crate::domain::id::IssuerId;

const CHANNEL: &str = "brevet_keys";

/// A listener on a connection of its own.
#[derive(Debug)]
pub struct KeyNews(Option<PgListener>);

impl Store {
    /// Begins to listen. On SQLite there is one process, and no news.
    pub async fn key_news(&self) -> Result<KeyNews, StoreError> {
        let Db::Postgres { pool, .. } = self.db.as_ref() else { return Ok(KeyNews(None)) };
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&own).await.map_err(error)?;
        listener.listen(CHANNEL).await.map_err(error)?;
        Ok(KeyNews(Some(listener)))
    }
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
