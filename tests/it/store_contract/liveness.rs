//! Off means off: every link from the credential to the key, cut one at a time.

use brevet::domain::audit::{Action, Decision};
use brevet::domain::credential::CredentialKind;
use brevet::domain::id::TokenId;
use brevet::domain::principal::Principal;
use brevet::domain::session::{Authentication, SessionOrigin};
use brevet::domain::settings::ProviderLayer;
use brevet::domain::signing_key::{KeyTimes, Kid};
use brevet::store::{
    AuditWriter, Behind, DeadReason, Release, ServiceAccountChange, Store, TeamChange, UserChange, Verdict,
    WorkerKeyChange,
};
use futures_util::future::BoxFuture;
use time::Duration;

use super::world::{NOW, Scene, World, account, account_uid, credential, retime, team, user, user_uid};

/// What cuts the link, after the token was decided on.
type Cut = for<'a> fn(&'a Store, &'a Scene) -> BoxFuture<'a, ()>;

/// How a request is falsified.
type Alter = fn(&mut Release, &Scene);

/// What each cut must stop: tokens of the person, of the agent, and what a worker gets with the agent's token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stops {
    person: bool,
    agent: bool,
    exchange: bool,
}

const NOTHING: Stops = Stops { person: false, agent: false, exchange: false };
const ALL: Stops = Stops { person: true, agent: true, exchange: true };
const PERSON: Stops = Stops { person: true, agent: false, exchange: false };
const AGENT: Stops = Stops { person: false, agent: true, exchange: true };
const EXCHANGE: Stops = Stops { person: false, agent: false, exchange: true };

/// What is cut; what that stops of what was decided before; and of what would be decided after, by someone who
/// forgot to look. The first counts changes of the team, the second shows that each link is looked at by itself.
const CUTS: [(&str, Stops, Stops, Cut); 20] = [
    ("nothing", NOTHING, NOTHING, |_, _| Box::pin(async {})),
    ("user disabled", PERSON, PERSON, |store, scene| {
        Box::pin(async {
            let change = UserChange { disabled_at: Some(Some(NOW + Duration::HOUR)), ..UserChange::default() };
            store.update_user(&scene.user, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("user deleted", PERSON, PERSON, |store, scene| {
        Box::pin(async { store.delete_user(&scene.user, None, &scene.event()).await.unwrap() })
    }),
    ("membership removed", PERSON, PERSON, |store, scene| {
        Box::pin(async { store.remove_member(&scene.team, &scene.user, &scene.event()).await.unwrap() })
    }),
    ("session ended", PERSON, PERSON, |store, scene| {
        Box::pin(async { store.end_session(&scene.user, scene.session, &scene.event()).await.unwrap() })
    }),
    ("team disabled", ALL, ALL, |store, scene| {
        Box::pin(async {
            let change = TeamChange { disabled_at: Some(Some(NOW)), ..TeamChange::default() };
            store.update_team(&scene.team, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("team deleted", ALL, ALL, |store, scene| {
        Box::pin(async { store.delete_team(&scene.team, None, &scene.event()).await.unwrap() })
    }),
    ("team renamed", ALL, NOTHING, |store, scene| {
        Box::pin(async {
            let change = TeamChange { name: Some("B".to_owned()), ..TeamChange::default() };
            store.update_team(&scene.team, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("enrolment codes refused", ALL, NOTHING, |store, scene| {
        Box::pin(async {
            let mut policy = store.team(&scene.team).await.unwrap().unwrap().policy;
            policy.enrolment_codes = false;
            let change = TeamChange { policy: Some(policy), ..TeamChange::default() };
            store.update_team(&scene.team, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("settings changed", ALL, NOTHING, |store, scene| {
        Box::pin(async {
            let off = ProviderLayer { disabled: true, ..ProviderLayer::default() };
            let event = scene.event();
            store.put_provider_layer(&scene.team, Some(&scene.account), None, &off, &event).await.unwrap();
        })
    }),
    ("agent disabled", AGENT, AGENT, |store, scene| {
        Box::pin(async {
            let change = ServiceAccountChange { disabled_at: Some(Some(NOW)), ..ServiceAccountChange::default() };
            store.update_service_account(&scene.account, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("agent deleted", AGENT, AGENT, |store, scene| {
        Box::pin(async { store.delete_service_account(&scene.account, None, &scene.event()).await.unwrap() })
    }),
    ("agent's key revoked", AGENT, AGENT, |store, scene| {
        Box::pin(async {
            store.revoke_service_account_key(&scene.account, scene.account_key, &scene.event()).await.unwrap();
        })
    }),
    ("worker's key revoked", ALL, EXCHANGE, |store, scene| {
        Box::pin(async { store.revoke_worker_key(scene.worker_key, None, &scene.event()).await.unwrap() })
    }),
    ("team taken off the worker", ALL, EXCHANGE, |store, scene| {
        Box::pin(async {
            let change = WorkerKeyChange { teams: Some(Vec::new()), ..WorkerKeyChange::default() };
            store.update_worker_key(scene.worker_key, None, &change, &scene.event()).await.unwrap();
        })
    }),
    ("signing key distrusted", ALL, ALL, |store, scene| {
        Box::pin(async {
            let revoked = KeyTimes { revoked_at: Some(NOW + Duration::HOUR), ..scene.key.times };
            set_times(store, scene, revoked).await;
        })
    }),
    ("signing key retired", ALL, ALL, |store, scene| {
        Box::pin(async {
            set_times(store, scene, KeyTimes { sign_until: Some(NOW), ..scene.key.times }).await;
        })
    }),
    ("signing key postponed", ALL, ALL, |store, scene| {
        Box::pin(async {
            set_times(store, scene, KeyTimes { sign_from: Some(NOW + Duration::SECOND), ..scene.key.times }).await;
        })
    }),
    ("signing key unpublished", ALL, ALL, |store, scene| {
        Box::pin(async {
            set_times(store, scene, KeyTimes { publish_until: Some(NOW), ..scene.key.times }).await;
        })
    }),
    ("original token forgotten", EXCHANGE, EXCHANGE, |store, _| {
        Box::pin(async {
            store.forget_events_before(NOW + Duration::DAY, 1000).await.unwrap();
        })
    }),
];

async fn set_times(store: &Store, scene: &Scene, times: KeyTimes) {
    retime(store, &scene.key, times).await.unwrap();
}

/// What a worker asks for with the agent's released token.
fn exchange_of(scene: &Scene, original: &Release, version: i64) -> Release {
    let mut release = scene.release_under(version, scene.agent());
    release.event.action = Action::TokenExchange;
    release.event.worker = Some(scene.worker_key);
    release.proof.also = Some(scene.worker_key);
    release.proof.original_token = TokenId::parse(&original.event.token.as_ref().unwrap().token_id);
    release
}

async fn stopped(writer: &AuditWriter, store: &Store, release: Release) -> bool {
    let token = TokenId::parse(&release.event.token.as_ref().unwrap().token_id).unwrap();
    let verdict = writer.release(release).unwrap().committed().await.unwrap();
    let row = store.event_of_token(token).await.unwrap();
    assert_eq!(row.is_some(), verdict == Verdict::Released, "released exactly where there is a row");
    verdict == Verdict::NotAlive
}

#[tokio::test(flavor = "multi_thread")]
async fn off_means_off_whatever_link_is_cut() {
    for world in World::each().await {
        for (name, before, after, cut) in CUTS {
            let store = &world.store;
            let scene = Scene::set(store).await;
            let writer = AuditWriter::start(store.clone());
            let original = scene.release(store, scene.agent()).await;
            assert!(!stopped(&writer, store, original.clone()).await);
            let version = original.proof.team_version;
            cut(store, &scene).await;
            let now = store.team(&scene.team).await.unwrap().map_or(version + 1, |team| team.version);
            for (version, expected) in [(version, before), (now, after)] {
                let exchange = exchange_of(&scene, &original, version);
                let found = Stops {
                    person: stopped(&writer, store, scene.release_under(version, scene.person())).await,
                    agent: stopped(&writer, store, scene.release_under(version, scene.agent())).await,
                    exchange: stopped(&writer, store, exchange).await,
                };
                assert_eq!(found, expected, "{name} on {}, version {version} of {now}", world.name);
            }
            world.empty().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_run_out_at_the_rows_time_releases_nothing() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        for (hours, alive) in [(0, true), (11, true), (12, false)] {
            for principal in [scene.person(), scene.agent()] {
                let mut release = scene.release(store, principal.clone()).await;
                release.event.at = NOW + Duration::hours(hours);
                let found = stopped(&writer, store, release).await;
                assert_eq!(found, !alive, "{principal} after {hours} h on {}", world.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_20_a_proof_of_one_principal_releases_nothing_for_another() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let event = || scene.event();
        store.create_team(&team("team-2"), &event(), None).await.unwrap();
        store.create_user(&user("person-2"), &event(), None).await.unwrap();
        store.create_service_account(&account("agent-2", "team-1"), &event(), None).await.unwrap();
        let other_key = credential();
        store.create_service_account_key(&account_uid("agent-2"), &other_key, &event(), None).await.unwrap();
        let writer = AuditWriter::start(store.clone());
        let original = scene.release(store, scene.agent()).await;
        assert!(!stopped(&writer, store, original.clone()).await);

        let altered: [(&str, Alter); 9] = [
            ("another person", |release, _| release.event.principal = Some(Principal::User(user_uid("person-2")))),
            ("the person with the agent's key", |release, scene| release.event.principal = Some(scene.person())),
            ("another team", |release, _| {
                release.event.team = Some(team("team-2").uid);
                release.proof.team_version = 1;
            }),
            ("no team", |release, _| release.event.team = None),
            ("an access token for an agent", |release, scene| release.proof.credential = scene.access),
            ("a worker key for an agent", |release, scene| release.proof.credential = scene.worker_key),
            ("another key", |release, _| release.proof.kid = Kid::parse(&"x".repeat(43)).unwrap()),
            ("another issuer", |release, _| release.proof.issuer = super::world::fresh()),
            ("a row that names another key than its proof", |release, _| {
                release.event.token.as_mut().unwrap().kid = "x".repeat(43);
            }),
        ];
        for (name, alter) in altered {
            let mut release = scene.release(store, scene.agent()).await;
            alter(&mut release, &scene);
            assert!(stopped(&writer, store, release).await, "{name} on {}", world.name);
        }
        let exchanges: [(&str, Alter); 3] = [
            ("a token never minted here", |release, _| release.proof.original_token = Some(super::world::fresh())),
            ("the agent's token for the person", |release, scene| {
                release.proof.credential = scene.access;
                release.event.principal = Some(scene.person());
            }),
            ("an agent's key as a worker's", |release, scene| release.proof.also = Some(scene.account_key)),
        ];
        for (name, alter) in exchanges {
            let mut release = exchange_of(&scene, &original, original.proof.team_version);
            alter(&mut release, &scene);
            assert!(stopped(&writer, store, release).await, "{name} on {}", world.name);
        }
        let mut release = exchange_of(&scene, &original, original.proof.team_version);
        release.proof.credential = other_key.id;
        release.event.principal = Some(Principal::ServiceAccount(account_uid("agent-2")));
        assert!(stopped(&writer, store, release).await, "another agent with a stolen token on {}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_no_original() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        let original = scene.release(store, scene.agent()).await;
        let mut refused = original.event.clone();
        refused.decision = Decision::Refused;
        refused.reason = Some("role_not_allowed");
        writer.append(refused).unwrap().committed().await.unwrap();
        assert!(
            stopped(&writer, store, exchange_of(&scene, &original, original.proof.team_version)).await,
            "{}",
            world.name
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_minted_tokens_are_looked_at_in_one_question() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        let mut tokens = Vec::new();
        for principal in [scene.person(), scene.agent(), scene.agent()] {
            let release = scene.release(store, principal).await;
            tokens.push(TokenId::parse(&release.event.token.as_ref().unwrap().token_id).unwrap());
            assert!(!stopped(&writer, store, release).await);
        }
        let original = scene.release(store, scene.agent()).await;
        assert!(!stopped(&writer, store, original.clone()).await);
        let exchange = exchange_of(&scene, &original, original.proof.team_version);
        let exchanged = TokenId::parse(&exchange.event.token.as_ref().unwrap().token_id).unwrap();
        assert!(!stopped(&writer, store, exchange).await);
        store.revoke_service_account_key(&scene.account, scene.account_key, &scene.event()).await.unwrap();

        let never = super::world::fresh();
        let found = store.minted_tokens(&[tokens[0], tokens[1], never, exchanged], NOW).await.unwrap();
        let by = Authentication { origin: SessionOrigin::EnrolmentCode, amr: Vec::new() };
        let (person, agent) = (
            Behind { kind: CredentialKind::Access, session: Some(by) },
            Behind { kind: CredentialKind::ServiceAccount, session: None },
        );
        let expected = [(tokens[0], (person, None)), (tokens[1], (agent, Some(DeadReason::CredentialRevoked)))];
        assert_eq!(found, expected.into(), "{}", world.name);
        assert_eq!(store.minted_tokens(&[], NOW).await.unwrap().len(), 0);
    }
}
