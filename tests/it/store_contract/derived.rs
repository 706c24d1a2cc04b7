//! Access tokens of agents: alive only while what they derive from is, in both places that know liveness.

use brevet::domain::client_key::{ClientKey, KeySource};
use brevet::domain::credential::CredentialKind;
use brevet::domain::id::{CredentialId, PublicKeyId, ServiceAccountUid};
use brevet::domain::signing_key::{KeyKind, PublicKey};
use brevet::store::{AuditWriter, ChangeError, DeadReason, DerivesFrom, NewCredential, Page, Store, Verdict};
use futures_util::future::BoxFuture;
use time::Duration;

use super::world::{NOW, Scene, World, account, account_uid, credential, fresh};

/// What an agent's access tokens derive from.
struct Sources {
    key: CredentialId,
    public_key: PublicKeyId,
}

pub(super) fn client_key(expires: Option<Duration>) -> ClientKey {
    let public = PublicKey::new(KeyKind::P256, &"A".repeat(43), &"B".repeat(43)).unwrap();
    ClientKey {
        id: fresh(),
        name: "laptop".to_owned(),
        source: KeySource::Jwk { kid: Some("key/1".into()), public },
        created_at: NOW,
        expires_at: expires.map(|life| NOW + life),
        last_used_at: None,
        revoked_at: None,
    }
}

async fn access_token(store: &Store, scene: &Scene, account: &ServiceAccountUid, from: DerivesFrom) -> CredentialId {
    let token = NewCredential { name: String::new(), ..credential() };
    store.create_access_token(account, &token, from, &scene.event()).await.unwrap();
    token.id
}

async fn released(store: &Store, scene: &Scene, writer: &AuditWriter, token: CredentialId, at: Duration) -> bool {
    let mut release = scene.release(store, scene.agent()).await;
    release.event.credential = Some((CredentialKind::Access, token));
    release.event.at = NOW + at;
    release.proof.credential = token;
    writer.release(release).unwrap().committed().await.unwrap() == Verdict::Released
}

type Cut = for<'a> fn(&'a Store, &'a Scene, &'a Sources) -> BoxFuture<'a, ()>;

/// What is cut, and why tokens that derive from the key, and from the public key, are then dead.
const CUTS: [(&str, Option<DeadReason>, Option<DeadReason>, Cut); 6] = [
    ("nothing", None, None, |_, _, _| Box::pin(async {})),
    ("the key is revoked", Some(DeadReason::ParentKeyRevoked), None, |store, scene, sources| {
        Box::pin(async {
            store.revoke_service_account_key(&scene.account, sources.key, &scene.event()).await.unwrap();
        })
    }),
    ("the public key is revoked", None, Some(DeadReason::PublicKeyRevoked), |store, scene, sources| {
        Box::pin(async {
            store.revoke_public_key(&scene.account, sources.public_key, &scene.event()).await.unwrap();
        })
    }),
    ("the key is rotated without an overlap", Some(DeadReason::ParentKeyExpired), None, |store, scene, sources| {
        Box::pin(async {
            let events = [&scene.event(), &scene.event()];
            let (account, old) = (&scene.account, sources.key);
            store.rotate_service_account_key(account, old, NOW, &credential(), events, None).await.unwrap();
        })
    }),
    (
        "the agent is deleted",
        Some(DeadReason::ParentKeyRevoked),
        Some(DeadReason::PublicKeyRevoked),
        |store, scene, _| {
            Box::pin(async { store.delete_service_account(&scene.account, None, &scene.event()).await.unwrap() })
        },
    ),
    ("the team is deleted", Some(DeadReason::TeamDeleted), Some(DeadReason::TeamDeleted), |store, scene, _| {
        Box::pin(async { store.delete_team(&scene.team, None, &scene.event()).await.unwrap() })
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn threat_23_an_access_token_is_alive_only_while_what_it_derives_from_is() {
    for world in World::each().await {
        for (name, of_key, of_public_key, cut) in CUTS {
            let store = &world.store;
            let scene = Scene::set(store).await;
            let writer = AuditWriter::start(store.clone());
            let registered = client_key(None);
            store.create_public_key(&scene.account, &registered, &scene.event(), None).await.unwrap();
            let sources = Sources { key: scene.account_key, public_key: registered.id };
            let by_key = access_token(store, &scene, &scene.account, DerivesFrom::Key(sources.key)).await;
            let by_public_key =
                access_token(store, &scene, &scene.account, DerivesFrom::PublicKey(sources.public_key)).await;
            for token in [by_key, by_public_key] {
                assert!(released(store, &scene, &writer, token, Duration::ZERO).await, "before: {name}");
            }
            cut(store, &scene, &sources).await;
            for (token, dead) in [(by_key, of_key), (by_public_key, of_public_key)] {
                let whole = dead.is_none();
                assert_eq!(
                    released(store, &scene, &writer, token, Duration::ZERO).await,
                    whole,
                    "{name} on {}",
                    world.name
                );
                let record = store.credential_of_id(token, NOW).await.unwrap().unwrap();
                // The token itself is revoked with its agent; that is told first.
                let told = record.dead.filter(|reason| *reason != DeadReason::CredentialRevoked);
                assert_eq!(record.dead.is_none(), whole, "{name} on {}", world.name);
                assert!(told.is_none() || told == dead, "{name} on {}: {told:?}", world.name);
            }
            world.empty().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_access_token_derives_from_may_end_by_itself() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        let registered = client_key(Some(Duration::hours(1)));
        store.create_public_key(&scene.account, &registered, &scene.event(), None).await.unwrap();
        let token = access_token(store, &scene, &scene.account, DerivesFrom::PublicKey(registered.id)).await;
        for (minutes, alive) in [(59, true), (60, false)] {
            let after = Duration::minutes(minutes);
            assert_eq!(released(store, &scene, &writer, token, after).await, alive, "{minutes} on {}", world.name);
            let dead = store.credential_of_id(token, NOW + after).await.unwrap().unwrap().dead;
            assert_eq!(dead, (!alive).then_some(DeadReason::PublicKeyExpired), "{minutes} on {}", world.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_20_an_access_token_that_derives_from_anothers_key_releases_nothing() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        store.create_service_account(&account("agent-2", "team-1"), &scene.event(), None).await.unwrap();
        let (other, registered) = (account_uid("agent-2"), client_key(None));
        store.create_public_key(&other, &registered, &scene.event(), None).await.unwrap();
        let token = access_token(store, &scene, &scene.account, DerivesFrom::PublicKey(registered.id)).await;
        assert!(!released(store, &scene, &writer, token, Duration::ZERO).await, "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_are_kept_listed_used_and_revoked() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let (account, event) = (&scene.account, || scene.event());
        let (jwk, place) = (
            client_key(None),
            ClientKey { source: KeySource::JwksUri("https://x.example/j".into()), ..client_key(Some(Duration::HOUR)) },
        );
        for key in [&jwk, &place] {
            store.create_public_key(account, key, &event(), None).await.unwrap();
            assert_eq!(store.public_key(account, key.id).await.unwrap().as_ref(), Some(key));
        }
        let missing = store.create_public_key(&account_uid("nobody"), &client_key(None), &event(), None).await;
        assert_eq!(missing, Err(ChangeError::NotFound));
        assert_eq!(store.public_key(&account_uid("agent-2"), jwk.id).await.unwrap(), None);
        let live = store.client_keys(account, NOW).await.unwrap().unwrap();
        assert_eq!((live.team, live.dead, live.keys.len()), (scene.team.clone(), None, 2));
        assert_eq!(
            store.client_keys(account, NOW + Duration::HOUR).await.unwrap().unwrap().keys,
            std::slice::from_ref(&jwk)
        );
        assert!(store.client_keys(&account_uid("nobody"), NOW).await.unwrap().is_none());

        access_token(store, &scene, account, DerivesFrom::PublicKey(jwk.id)).await;
        assert_eq!(store.public_key(account, jwk.id).await.unwrap().unwrap().last_used_at, Some(NOW));
        store.revoke_public_key(account, jwk.id, &event()).await.unwrap();
        assert_eq!(store.revoke_public_key(account, jwk.id, &event()).await, Err(ChangeError::NotFound));
        assert_eq!(store.client_keys(account, NOW).await.unwrap().unwrap().keys, std::slice::from_ref(&place));
        let listed = store.public_keys(account, &Page { after: None, limit: 1 }).await.unwrap();
        assert_eq!((listed.items.len(), listed.next.is_some()), (1, true));
        // Access tokens are no keys.
        assert_eq!(store.service_account_keys(account, &Page::default()).await.unwrap().items.len(), 1);

        for _ in 1..brevet::domain::client_key::CLIENT_KEYS_MAX {
            store.create_public_key(account, &client_key(None), &event(), None).await.unwrap();
        }
        let full = store.create_public_key(account, &client_key(None), &event(), None).await;
        assert_eq!(full, Err(ChangeError::Conflict("public_keys_max")), "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_makes_one_key_and_shortens_the_other() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let account = &scene.account;
        let events = || [scene.event(), scene.event()];
        let rotate = async |old, until, new: &NewCredential| {
            let [ends, made] = events();
            store.rotate_service_account_key(account, old, until, new, [&ends, &made], None).await
        };
        let new = credential();
        rotate(scene.account_key, NOW + Duration::HOUR, &new).await.unwrap();
        let old = store.service_account_key(account, scene.account_key).await.unwrap().unwrap();
        assert_eq!(old.expires_at, Some(NOW + Duration::HOUR), "{}", world.name);
        assert!(store.service_account_key(account, new.id).await.unwrap().is_some());
        // It never ends later than it would have.
        rotate(scene.account_key, NOW + Duration::DAY, &credential()).await.unwrap();
        let old = store.service_account_key(account, scene.account_key).await.unwrap().unwrap();
        assert_eq!(old.expires_at, Some(NOW + Duration::HOUR));
        // What is over is not followed by anything.
        let late = NewCredential { created_at: NOW + Duration::HOUR, ..credential() };
        assert_eq!(rotate(scene.account_key, NOW + Duration::DAY, &late).await, Err(ChangeError::NotFound));
        assert!(store.service_account_key(account, late.id).await.unwrap().is_none());
        assert_eq!(rotate(scene.worker_key, NOW, &credential()).await, Err(ChangeError::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_access_tokens_are_forgotten_and_live_ones_are_not() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let token = access_token(store, &scene, &scene.account, DerivesFrom::Key(scene.account_key)).await;
        let end = NOW + Duration::hours(12);
        assert_eq!(store.forget_tokens_before(end, 10).await.unwrap(), 0);
        assert!(store.credential_of_id(token, NOW).await.unwrap().is_some());
        // An access token of a person goes as well, and their refresh token with its session.
        assert_eq!(store.forget_tokens_before(end + Duration::SECOND, 10).await.unwrap(), 3);
        assert!(store.credential_of_id(token, NOW).await.unwrap().is_none());
        assert!(store.credential_of_id(scene.access, NOW).await.unwrap().is_none());
        // Keys are not its to forget.
        assert!(store.credential_of_id(scene.account_key, NOW).await.unwrap().is_some());
    }
}
