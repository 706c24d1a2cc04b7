//! How long a statement may wait: the database server itself ends one that waits for a lock, so that neither its session
//! nor ours is held for longer. On SQLite only the write lock is waited for (`races`).

use std::time::Duration;

use brevet::domain::id::TeamUid;
use brevet::store::Target;
use futures_util::future::join_all;
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::world::World;

/// Sessions of this database that wait for a lock.
const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_a_statement_that_waits_for_a_lock_too_long() {
    let worlds = World::each().await;
    join_all(worlds.iter().map(|world| async move {
        let (Target::Postgres { url } | Target::Pooled { direct: url, .. }) = &world.target else { return };
        let mut holder = PgConnection::connect(url.expose()).await.unwrap();
        let mut held = holder.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.unwrap();

        let team = TeamUid::parse("red").unwrap();
        let mut looker = PgConnection::connect(url.expose()).await.unwrap();
        let waits = async {
            while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut looker).await.unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (asked, waited) = tokio::join!(world.store.team(&team), timeout(Duration::from_mins(1), waits));
        waited.expect("it waits for the lock");
        let error = asked.unwrap_err();
        // Had our own patience ended it, the server would let its session wait on; and the message would be ours.
        assert!(error.is_retryable() && error.to_string().contains("lock timeout"), "{}: {error}", world.name);
        let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(&mut looker).await.unwrap();
        assert_eq!(waiting, 0, "{}", world.name);

        held.rollback().await.unwrap();
        assert_eq!(world.store.team(&team).await.unwrap(), None, "{}: the connection is good again", world.name);
    }))
    .await;
}
