//! A change of the key-encryption key over everything that is sealed: cut off anywhere, run again, beside another run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use brevet::crypto::keypair::KeyPair;
use brevet::crypto::new_key::new_signing_key;
use brevet::crypto::seal::{Kek, SealError, Sealing};
use brevet::crypto::signer::KeySet;
use brevet::domain::audit::{Action, Decision, Event};
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::{EventId, IssuerId, UpstreamUid};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::key_schedule::KeySchedule;
use brevet::domain::secret::{Secret, SecretBytes};
use brevet::domain::signing_key::{KeyKind, SigningKey};
use brevet::domain::upstream::{UpstreamProvider, UpstreamSettings, Word};
use brevet::issuer::bootstrap::{self, Host};
use brevet::issuer::kek::{self, KekError};
use brevet::issuer::reseal::{ResealError, Resealed, forget_lost, reseal};
use brevet::store::{EventFilter, Page, SealedText, Store, Target, USER_CODE_KEY};
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

    /// Seals the key under which user codes are kept, and our secret at a provider, with `kek`.
    async fn seal_more(&self, kek: &Kek) {
        let (now, entropy) = (self.host.clock.now(), self.host.entropy.as_ref());
        let bytes = |byte| SecretBytes::new(vec![byte; 32]);
        let sealed = kek.seal(entropy, &bytes(7), &Sealing::installation_key(USER_CODE_KEY)).unwrap();
        let event = self.event(Action::Bootstrap);
        assert!(self.store.insert_installation_key(USER_CODE_KEY, &sealed, &event).await.unwrap());
        let uid = UpstreamUid::parse("okta").unwrap();
        let client_secret = kek.seal(entropy, &bytes(b's'), &Sealing::upstream_client_secret(&uid)).ok();
        let provider = UpstreamProvider {
            uid,
            name: "Acme".to_owned(),
            issuer: ForeignIssuer::parse("https://acme.okta.com", Development::Off).unwrap(),
            client_id: Word::parse("c").unwrap(),
            client_secret,
            settings: UpstreamSettings::new_provider(),
            version: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
        };
        self.store.create_upstream_provider(&provider, &self.event(Action::AdminCreate), None).await.unwrap();
    }

    fn event(&self, action: Action) -> Event {
        let now = self.host.clock.now();
        Event::new(EventId::new(self.host.entropy.uuid_v7(now)), now, self.issuer, action, Decision::Allowed)
    }

    /// The key of user codes as `kek` opens it.
    async fn user_code_key(&self, kek: &Kek) -> Result<Vec<u8>, SealError> {
        let sealed = self.store.installation_key(USER_CODE_KEY).await.unwrap().unwrap();
        kek.open(&sealed, &Sealing::installation_key(USER_CODE_KEY)).map(|bytes| bytes.expose().to_vec())
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

#[tokio::test]
async fn threat_15_what_is_sealed_beside_signing_keys_is_resealed_with_them() {
    for world in World::each().await {
        world.seal_more(&world.old).await;
        let new = world.new_kek();
        let both = same(&new).with_previous(same(&world.old));
        assert_eq!(world.run(&both).await.unwrap(), Resealed { done: 8, already: 0, left: 0 });
        assert_eq!(world.user_code_key(&new).await.unwrap(), vec![7; 32], "the same key, sealed anew");
        assert!(matches!(world.user_code_key(&world.old).await, Err(SealError::OtherKek { .. })));
        assert!(kek::check(&world.store, &new, world.host.clock.now()).await.is_ok());
        let filter = EventFilter { action: Some(Action::SigningKeyReseal), ..EventFilter::default() };
        let rows = world.store.events(&filter, &Page::default()).await.unwrap().items;
        for target in ["installation_key:user_codes", "upstream_provider:okta"] {
            assert!(rows.iter().any(|row| row.target.as_deref() == Some(target)), "{target}");
        }
    }
}

/// The key-encryption key is gone with which these two were sealed, and with them alone.
#[tokio::test]
async fn threat_15_what_is_lost_beside_signing_keys_is_named_at_the_start_and_forgotten_when_that_is_asked_for() {
    for world in World::each().await {
        let lost = world.new_kek();
        world.seal_more(&lost).await;
        let now = world.host.clock.now();
        let refused = kek::check(&world.store, &world.old, now).await.unwrap_err().to_string();
        assert!(
            refused.starts_with("installation_key:user_codes: ") && refused.contains("give the one it was sealed with"),
            "{refused}"
        );
        assert!(refused.contains(lost.id()) && refused.contains(world.old.id()), "both are named: {refused}");
        for text in [lost.to_text(), world.old.to_text()] {
            assert!(!refused.contains(text.expose()), "{refused}");
        }
        let stopped = world.run(&world.old).await.unwrap_err();
        assert!(
            matches!(&stopped, ResealError::Seal { what, .. } if what == "installation_key:user_codes"),
            "{stopped}"
        );
        // Nothing is forgotten that can be opened.
        assert_eq!(forget_lost(&world.store, &lost, &world.host).await.unwrap(), []);
        let providers = forget_lost(&world.store, &world.old, &world.host).await.unwrap();
        assert_eq!(
            providers.iter().map(UpstreamUid::as_str).collect::<Vec<_>>(),
            ["okta"],
            "whom to tell a secret again"
        );
        assert_eq!(world.store.installation_key(USER_CODE_KEY).await.unwrap(), None, "the next is made anew");
        let provider = world.store.upstream_provider(&providers[0]).await.unwrap().unwrap();
        assert_eq!((provider.client_secret, provider.version), (None, 2));
        assert!(kek::check(&world.store, &world.old, now).await.is_ok());
        assert_eq!(world.run(&world.old).await.unwrap(), Resealed { done: 0, already: 6, left: 0 });
        world.all_open(&world.old).await;
    }
}
