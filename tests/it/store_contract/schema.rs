//! Migrations.

use brevet::store::{Migrated, Store, StoreError};

use super::world::{NOW, World};

#[tokio::test(flavor = "multi_thread")]
async fn migrations_apply_once_whoever_runs_them() {
    for world in World::each().await {
        let known = Store::known_schema_version();
        let again = world.store.migrate(NOW).await;
        assert_eq!(again, Ok(Migrated { from: known, to: known }), "{}", world.name);
        world.store.check_schema().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_says_so_and_is_brought_up_by_many_at_once() {
    for world in World::each().await {
        if world.is_postgres() {
            world.sabotage("DROP SCHEMA public CASCADE").await;
            world.sabotage("CREATE SCHEMA public").await;
            let known = Store::known_schema_version();
            assert_eq!(world.store.check_schema().await, Err(StoreError::OldSchema { found: 0, known }));
            let tries = (0..4).map(|n| {
                let store = if n % 2 == 0 { world.store.clone() } else { world.replica.clone() };
                tokio::spawn(async move { store.migrate(NOW).await })
            });
            for done in futures_util::future::join_all(tries).await {
                assert_eq!(done.unwrap().unwrap().to, known);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused_and_both_versions_named() {
    for world in World::each().await {
        world
            .sabotage("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (4711, 'x', 'x', 0)")
            .await;
        let known = Store::known_schema_version();
        let refused = StoreError::NewerSchema { found: 4711, known };
        assert_eq!(world.store.check_schema().await.as_ref(), Err(&refused), "{}", world.name);
        assert_eq!(world.store.migrate(NOW).await.as_ref(), Err(&refused), "{}", world.name);
        let told = refused.to_string();
        assert!(told.contains("4711") && told.contains(&known.to_string()), "{told}");
        let World { target, store, replica, folder: _folder, database: _database, .. } = world;
        store.close().await;
        drop((store, replica));
        assert_eq!(Store::connect(&target).await.unwrap_err(), refused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_differs_from_ours_is_refused() {
    for world in World::each().await {
        world.sabotage("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1").await;
        assert_eq!(world.store.migrate(NOW).await, Err(StoreError::Checksum(1)), "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_and_is_no_panic() {
    use super::world::{Scene, account_uid, team_uid};
    for world in World::each().await {
        let scene = Scene::set(&world.store).await;
        world.sabotage("UPDATE teams SET policy = '{\"audiences\":[]}'").await;
        assert_eq!(world.store.team(&team_uid("team-1")).await, Err(StoreError::Corrupt("policy")));
        world.sabotage("UPDATE signing_keys SET bits = 17").await;
        assert_eq!(world.store.signing_keys(scene.issuer).await, Err(StoreError::Corrupt("bits")));
        world.sabotage("UPDATE service_accounts SET created_at = 9223372036854775807").await;
        let read = world.store.service_account(&account_uid("agent-1")).await;
        assert_eq!(read, Err(StoreError::Corrupt("created_at")), "{}", world.name);
    }
}
