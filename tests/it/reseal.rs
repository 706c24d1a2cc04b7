//! A change of the key-encryption key over everything that is sealed: cut off anywhere, run again, beside another run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use brevet::crypto::keypair::KeyPair;
use brevet::crypto::new_key::new_signing_key;
use brevet::crypto::seal::{Kek, SealError};
use brevet::crypto::signer::KeySet;
use brevet::domain::audit::Action;
use brevet::domain::id::IssuerId;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::key_schedule::KeySchedule;
use brevet::domain::secret::Secret;
use brevet::domain::signing_key::{KeyKind, SigningKey};
use brevet::issuer::bootstrap::{self, Host};
use brevet::issuer::kek::{self, KekError};
use brevet::issuer::reseal::{ResealError, Resealed, reseal};
use brevet::store::{EventFilter, Page, SealedText, Store, Target};
use futures_util::FutureExt as _;

use crate::support::clock::clock;
use crate::support::entropy::SeededEntropy;
use crate::support::postgres;

/// Six sealed keys, in a database of its own.
struct World {
    store: Store,
    issuer: IssuerId,
    host: Host,
    old: Kek,
    _folder: tempfile::TempDir,
    // Dropped last: the store holds connections to it.
    _database: Option<postgres::TestDatabase>,
}

fn same(kek: &Kek) -> Kek {
    Kek::parse(&kek.to_text()).unwrap()
}

impl World {
    async fn each() -> Vec<Self> {
        let mut worlds = vec![Self::in_database(None).await];
        if let Some(database) = postgres::database() {
            worlds.push(Self::in_database(Some(database)).await);
        }
        worlds
    }

    async fn in_database(database: Option<postgres::TestDatabase>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = match &database {
            Some(database) => Target::Postgres { url: Secret::new(database.url()) },
            None => Target::Sqlite { path: folder.path().join("brevet.db") },
        };
        let store = Store::connect(&target).await.unwrap();
        let host = Host { clock: Arc::new(clock()), entropy: Arc::new(SeededEntropy::new(1)) };
        let (now, entropy) = (host.clock.now(), host.entropy.as_ref());
        store.migrate(now).await.unwrap();
        let url = IssuerUrl::parse("https://id.example.com", Development::Off).unwrap();
        let issuer = bootstrap::issuer(&store, &url, &host).await.unwrap().id;
        let old = Kek::generate(entropy).unwrap();
        let (signs, waits) = KeySchedule::first_pair(now);
        let key = |times| {
            let pair = KeyPair::generate(KeyKind::P256).unwrap();
            new_signing_key(&pair, issuer, times, &old, entropy, now).unwrap()
        };
        let keys: Vec<SigningKey> = [key(signs)].into_iter().chain((0..5).map(|_| key(waits))).collect();
        let mut event = brevet::domain::audit::Event::new(
            brevet::domain::id::EventId::new(entropy.uuid_v7(now)),
            now,
            issuer,
            Action::SigningKeyCreate,
            brevet::domain::audit::Decision::Allowed,
        );
        event.target = Some(format!("signing_key:{}", keys[0].kid));
        assert!(store.insert_first_keys(issuer, &keys, &event).await.unwrap());
        Self { store, issuer, host, old, _folder: folder, _database: database }
    }

    fn new_kek(&self) -> Kek {
        Kek::generate(self.host.entropy.as_ref()).unwrap()
    }

    async fn by(&self, kek: &Kek) -> usize {
        self.store.sealed().await.unwrap().iter().filter(|sealed| sealed.text.kek_id() == kek.id()).count()
    }

    async fn run(&self, kek: &Kek) -> Result<Resealed, ResealError> {
        reseal(&self.store, kek, &self.host, |_, _| ()).await
    }

    /// Every key opens with `kek` alone, and is the one that its row names.
    async fn all_open(&self, kek: &Kek) {
        for key in self.store.signing_keys(self.issuer).await.unwrap() {
            KeySet::open(&key, kek, self.host.entropy.as_ref()).unwrap();
        }
    }
}

#[tokio::test]
async fn threat_15_a_reseal_that_is_cut_off_goes_on_and_every_key_opens_at_every_moment() {
    for world in World::each().await {
        let new = world.new_kek();
        let both = same(&new).with_previous(same(&world.old));
        for cut in 1..=3 {
            let mut told = 0;
            let progress = |_, all| {
                assert_eq!(all, 6);
                told += 1;
                assert!(told < 2, "cut off");
            };
            let run = AssertUnwindSafe(reseal(&world.store, &both, &world.host, progress)).catch_unwind().await;
            assert!(run.is_err(), "it was cut off in the middle");
            let (done, left) = (world.by(&new).await, world.by(&world.old).await);
            assert_eq!((done, left), (cut * 2, 6 - cut * 2));
            world.all_open(&both).await;
            if left == 0 {
                break;
            }
            // Whoever has one of the two keys only is told which is missing, before anything else.
            for alone in [&new, &world.old] {
                let refused = kek::check(&world.store, alone, world.host.clock.now()).await.unwrap_err();
                assert!(
                    matches!(&refused, KekError::Other { what, source: SealError::OtherKek { .. } }
                    if what.starts_with("signing_key:")),
                    "{refused}"
                );
            }
            let refused = world.run(&new).await.unwrap_err();
            assert!(matches!(refused, ResealError::Seal { source: SealError::OtherKek { .. }, .. }), "{refused}");
            assert_eq!(world.by(&new).await, done, "a run that cannot finish changes nothing");
        }
        assert_eq!(world.run(&both).await.unwrap(), Resealed { done: 0, already: 6, left: 0 });
        world.all_open(&new).await;
        assert!(kek::check(&world.store, &new, world.host.clock.now()).await.is_ok());
        let filter = EventFilter { action: Some(Action::SigningKeyReseal), ..EventFilter::default() };
        let rows = world.store.events(&filter, &Page::default()).await.unwrap();
        assert_eq!(rows.items.len(), 6, "one row for each key");
    }
}

#[tokio::test]
async fn two_runs_at_once_seal_each_key_once_and_a_text_that_changed_is_not_overwritten() {
    for world in World::each().await {
        let new = world.new_kek();
        let both = same(&new).with_previous(same(&world.old));
        let (one, other) = tokio::join!(world.run(&both), world.run(&both));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.done + other.done, 6, "{one:?} {other:?}");
        world.all_open(&new).await;

        let sealed: SealedText = world.store.sealed().await.unwrap().remove(0);
        let third = world.new_kek().with_previous(same(&new));
        assert_eq!(world.run(&third).await.unwrap().done, 6);
        let event = brevet::domain::audit::Event::new(
            brevet::domain::id::EventId::new(world.host.entropy.uuid_v7(world.host.clock.now())),
            world.host.clock.now(),
            world.issuer,
            Action::SigningKeyReseal,
            brevet::domain::audit::Decision::Allowed,
        );
        assert!(!world.store.replace_sealed(&sealed, &sealed.text, &event).await.unwrap());
        world.all_open(&third).await;
    }
}
