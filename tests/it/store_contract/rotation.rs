//! Changes of keys by comparison, looks at the public address, replicas and news.

use brevet::domain::id::ReplicaId;
use brevet::domain::key_schedule::ScheduleNumbers;
use brevet::domain::rotation::Retimed;
use brevet::domain::sealed::Sealed;
use brevet::domain::signing_key::{KeyTimes, SigningKey};
use brevet::store::{ChangeError, IssuerNumbers, KeysUpdate, Store};
use futures_util::future::join_all;
use time::Duration;

use super::world::{NOW, Scene, World, retime, signing_key};

const CHANGED: ChangeError = ChangeError::Conflict("signing_keys_changed");

async fn version(store: &Store, scene: &Scene) -> i64 {
    store.issuer_of(scene.issuer).await.unwrap().unwrap().keys_version
}

/// A scene with a standby whose turn is not planned.
async fn pair(store: &Store) -> (Scene, SigningKey) {
    let scene = Scene::set(store).await;
    let times = KeyTimes { sign_until: None, publish_until: None, ..scene.key.times };
    retime(store, &scene.key, times).await.unwrap();
    let standby = SigningKey { times: KeyTimes::published(NOW), ..signing_key(scene.issuer, 's') };
    let made = [standby.clone()];
    let update = KeysUpdate { expected_version: version(store, &scene).await, made: &made, ..KeysUpdate::default() };
    store.change_keys(scene.issuer, &update, &scene.event()).await.unwrap();
    (Scene { key: SigningKey { times, ..scene.key.clone() }, ..scene }, standby)
}

fn hand_over(scene: &Scene, standby: &SigningKey) -> [Retimed; 2] {
    let (at, keep) = (Some(NOW + Duration::DAY), Some(NOW + Duration::DAY * 2));
    let ends = KeyTimes { sign_until: at, publish_until: keep, ..scene.key.times };
    let begins = KeyTimes { sign_from: at, ..standby.times };
    [(&scene.key, ends), (standby, begins)].map(|(key, times)| Retimed {
        kid: key.kid.clone(),
        expected: key.times,
        times,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_changes_both_keys_and_the_numbers_or_nothing() {
    for World { store, name, .. } in World::each().await {
        let (scene, standby) = pair(&store).await;
        let before = store.signing_keys(scene.issuer).await.unwrap();
        assert_eq!(before.iter().find(|key| key.kid == standby.kid).unwrap().times, standby.times, "{name}");
        let mut times = hand_over(&scene, &standby);
        let expected_version = version(&store, &scene).await;
        let schedule = ScheduleNumbers { max_age: 7200, ..ScheduleNumbers::default() };
        let numbers = Some(IssuerNumbers { schedule, x5c: true });
        let right = times[1].expected;
        times[1].expected.publish_from += Duration::MILLISECOND;
        let update = KeysUpdate { expected_version, times: &times, numbers, ..KeysUpdate::default() };
        assert_eq!(store.change_keys(scene.issuer, &update, &scene.event()).await, Err(CHANGED), "{name}");
        assert_eq!(store.signing_keys(scene.issuer).await.unwrap(), before, "{name}");
        assert_eq!(version(&store, &scene).await, expected_version, "{name}");

        times[1].expected = right;
        let update = KeysUpdate { expected_version, times: &times, numbers, ..KeysUpdate::default() };
        assert_eq!(store.change_keys(scene.issuer, &update, &scene.event()).await, Ok(expected_version + 1), "{name}");
        let row = store.issuer_of(scene.issuer).await.unwrap().unwrap();
        assert_eq!((row.schedule, row.x5c, row.keys_version), (schedule, true, expected_version + 1), "{name}");
        let after = store.signing_keys(scene.issuer).await.unwrap();
        for change in &times {
            assert_eq!(after.iter().find(|key| key.kid == change.kid).unwrap().times, change.times, "{name}");
        }
        assert_eq!(store.change_keys(scene.issuer, &update, &scene.event()).await, Err(CHANGED), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_16_of_replicas_that_execute_one_plan_one_does() {
    for world in World::each().await {
        let (scene, standby) = pair(&world.store).await;
        let (times, expected_version) = (hand_over(&scene, &standby), version(&world.store, &scene).await);
        let tries = (0..6).map(|n| {
            let store = if n % 2 == 0 { &world.store } else { &world.replica };
            let update = KeysUpdate { expected_version, times: &times, ..KeysUpdate::default() };
            let event = scene.event();
            async move { store.change_keys(scene.issuer, &update, &event).await }
        });
        let done = join_all(tries).await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1, "{}: {done:?}", world.name);
        assert!(done.iter().all(|done| matches!(done, Ok(_) | Err(CHANGED))), "{}: {done:?}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_15_a_private_half_is_destroyed_only_when_nobody_needs_it() {
    for World { store, name, .. } in World::each().await {
        let (scene, _) = pair(&store).await;
        let nothing = Sealed::parse("v1.0123456789abcdef.bm9uY2U.bm90aGluZw").unwrap();
        let forget = async || {
            let forget = [(scene.key.kid.clone(), nothing.clone())];
            let expected_version = version(&store, &scene).await;
            let update = KeysUpdate { expected_version, forget: &forget, ..KeysUpdate::default() };
            store.change_keys(scene.issuer, &update, &scene.event()).await
        };
        assert_eq!(forget().await, Err(CHANGED), "{name}: it signs");
        retime(&store, &scene.key, KeyTimes { revoked_at: Some(NOW), ..scene.key.times }).await.unwrap();
        forget().await.unwrap();
        let keys = store.signing_keys(scene.issuer).await.unwrap();
        let key = keys.iter().find(|key| key.kid == scene.key.kid).unwrap();
        assert_eq!((&key.private, key.forgotten_at), (&nothing, Some(scene.event().at)), "{name}");
        assert_eq!(forget().await, Err(CHANGED), "{name}: once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_40_looks_are_noted_in_their_order_and_change_the_keys_only_by_what_is_newly_seen() {
    for World { store, name, .. } in World::each().await {
        let (scene, standby) = pair(&store).await;
        let mut seen_now = standby.times;
        let mut look = async |at, seen_from, seen_until| {
            let times = KeyTimes { seen_from, seen_until, ..seen_now };
            let change = Retimed { kid: standby.kid.clone(), expected: seen_now, times };
            let noted = store.note_look(scene.issuer, at, &[change]).await.unwrap();
            if noted {
                seen_now = times;
            }
            (noted, version(&store, &scene).await)
        };
        let first = version(&store, &scene).await;
        let at = |seconds| NOW + Duration::seconds(seconds);
        assert_eq!(look(at(10), Some(at(10)), Some(at(10))).await, (true, first + 1), "{name}");
        assert_eq!(look(at(20), Some(at(10)), Some(at(20))).await, (true, first + 1), "{name}: prolonged only");
        assert_eq!(look(at(15), None, None).await, (false, first + 1), "{name}: an older look comes late");
        assert_eq!(look(at(30), None, None).await, (true, first + 2), "{name}");
        let row = store.issuer_of(scene.issuer).await.unwrap().unwrap();
        assert_eq!(row.probed_at, Some(at(30)), "{name}");
        let keys = store.signing_keys(scene.issuer).await.unwrap();
        assert_eq!(keys.iter().find(|key| key.kid == standby.kid).unwrap().times, standby.times, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_say_what_they_publish_until_they_leave_or_fall_silent() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let id = |n| ReplicaId::new(uuid::Uuid::from_u128(n));
        let confirm = async |n, at, version| {
            store.confirm_keys(id(n), "1.2.3", NOW, at, &[(scene.issuer, version)]).await.unwrap();
        };
        confirm(1, NOW, 1).await;
        confirm(2, NOW, 1).await;
        confirm(2, NOW + Duration::HOUR, 3).await;
        let told = async || -> Vec<_> {
            let replicas = store.replicas(scene.issuer).await.unwrap();
            replicas.into_iter().map(|replica| (replica.id, replica.seen_at, replica.keys_version)).collect()
        };
        assert_eq!(told().await, [(id(1), NOW, Some(1)), (id(2), NOW + Duration::HOUR, Some(3))], "{name}");
        assert_eq!(store.forget_replicas(NOW + Duration::MINUTE).await, Ok(1), "{name}");
        assert_eq!(told().await.len(), 1, "{name}");
        store.remove_replica(id(2)).await.unwrap();
        assert_eq!(told().await, [], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_change_reaches_other_replicas_where_the_database_tells_it() {
    for world in World::each().await {
        let (scene, standby) = pair(&world.store).await;
        let mut news = world.replica.key_news().await.unwrap();
        let times = hand_over(&scene, &standby);
        let expected_version = version(&world.store, &scene).await;
        let update = KeysUpdate { expected_version, times: &times, ..KeysUpdate::default() };
        world.store.change_keys(scene.issuer, &update, &scene.event()).await.unwrap();
        if world.is_postgres() {
            assert_eq!(news.next().await, Ok(()));
        }
    }
}
