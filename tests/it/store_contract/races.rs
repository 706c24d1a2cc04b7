//! Many at once, on two replicas where there can be two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brevet::domain::audit::{Action, Event};
use brevet::domain::credential::{CredentialKind, SecretHash};
use brevet::domain::id::{CredentialId, TokenId, UpstreamUid};
use brevet::store::{
    AuditWriter, ChangeError, DeadReason, EventFilter, Page, RedeemError, RefreshError, ServiceAccountChange, Store,
    TeamChange, UpstreamLogout, Verdict,
};
use futures_util::future::join_all;

use super::sign_in::{PROVIDER, SHOWN, at_provider, new_authorization_code};
use super::world::{
    NOW, Scene, World, administrator, credential, event, fresh, issuer_url, new_code, new_session, signing_key,
};

/// Minting tasks of one trial, and how often an agent is switched off under their hands. `drill_disable` does the same
/// over HTTP with everything that can be switched off.
const MINTERS: usize = 4;
const TRIALS: usize = 150;

async fn minted(store: &Store) -> usize {
    rows(store, Action::TokenMint).await
}

async fn rows(store: &Store, action: Action) -> usize {
    let filter = EventFilter { action: Some(action), ..EventFilter::default() };
    let (mut count, mut page) = (0, Page::default());
    loop {
        let paged = store.events(&filter, &page).await.unwrap();
        count += paged.items.len();
        let Some(next) = paged.next else { return count };
        page.after = Some(next);
    }
}

/// Mints until told to stop, and tells which tokens were released.
async fn mint(writer: AuditWriter, scene: Arc<Scene>, version: i64, stop: Arc<AtomicBool>) -> Vec<TokenId> {
    let mut released = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let release = scene.release_under(version, scene.agent());
        let token = TokenId::parse(&release.event.token.as_ref().unwrap().token_id).unwrap();
        if writer.release(release).unwrap().committed().await.unwrap() == Verdict::Released {
            released.push(token);
        }
    }
    released
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_42_when_a_disable_has_returned_no_row_commits_and_every_released_token_has_one() {
    for world in World::each().await {
        let scene = Arc::new(Scene::set(&world.store).await);
        let version = world.store.team(&scene.team).await.unwrap().unwrap().version;
        let writers = [AuditWriter::start(world.store.clone()), AuditWriter::start(world.replica.clone())];
        let mut late_refusals = 0;
        for trial in 0..TRIALS {
            let stop = Arc::new(AtomicBool::new(false));
            let tasks: Vec<_> = (0..MINTERS)
                .map(|n| tokio::spawn(mint(writers[n % 2].clone(), scene.clone(), version, stop.clone())))
                .collect();
            tokio::task::yield_now().await;
            let off = ServiceAccountChange { disabled_at: Some(Some(NOW)), ..ServiceAccountChange::default() };
            let replica = if trial % 2 == 0 { &world.store } else { &world.replica };
            replica.update_service_account(&scene.account, None, &off, &scene.event()).await.unwrap();
            let when_returned = minted(&world.store).await;
            // Those still minting go on trying against the disabled agent for a while.
            for _ in 0..3 {
                let release = scene.release_under(version, scene.agent());
                let verdict = writers[trial % 2].release(release).unwrap().committed().await.unwrap();
                late_refusals += usize::from(verdict == Verdict::NotAlive);
            }
            stop.store(true, Ordering::Relaxed);
            let released: Vec<_> = join_all(tasks).await.into_iter().flat_map(|minter| minter.unwrap()).collect();
            assert_eq!(minted(&world.store).await, when_returned, "trial {trial} on {}", world.name);
            for token in &released {
                assert!(world.store.event_of_token(*token).await.unwrap().is_some(), "trial {trial}");
            }
            world.store.forget_events_before(NOW + time::Duration::DAY, 10_000).await.unwrap();
            let on = ServiceAccountChange { disabled_at: Some(None), ..ServiceAccountChange::default() };
            replica.update_service_account(&scene.account, None, &on, &scene.event()).await.unwrap();
        }
        assert_eq!(late_refusals, TRIALS * 3, "{}", world.name);
    }
}

/// Mints in a session until it is refused.
async fn mint_in(writer: AuditWriter, scene: Arc<Scene>, version: i64, access: CredentialId) {
    loop {
        let mut release = scene.release_under(version, scene.person());
        release.event.credential = Some((CredentialKind::Access, access));
        release.proof.credential = access;
        match writer.release(release).unwrap().committed().await.unwrap() {
            Verdict::Released => {}
            Verdict::NotAlive => return,
            Verdict::RunExhausted => panic!("there is no run"),
        }
    }
}

/// Refreshes a session until it is refused; why it was.
async fn refresh_in(store: Store, scene: Arc<Scene>, mut shown: SecretHash) -> RefreshError {
    loop {
        let (access, next) = (credential(), credential());
        let event = Event { action: Action::SessionRefresh, ..scene.event() };
        match store.refresh(&shown, &access, &next, NOW, &event).await {
            Ok(_) => shown = next.hash,
            Err(error) => return error,
        }
    }
}

/// How often a session is ended under the hands of those who use it: by its person, with all of theirs, by its provider.
const LOGOUTS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_42_when_a_logout_has_returned_no_mint_and_no_refresh_of_its_session_commits() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Arc::new(Scene::set(store).await);
        world.sabotage(PROVIDER).await;
        let okta = UpstreamUid::parse("okta").unwrap();
        let version = store.team(&scene.team).await.unwrap().unwrap().version;
        let writers = [AuditWriter::start(world.store.clone()), AuditWriter::start(world.replica.clone())];
        for trial in 0..LOGOUTS {
            let code = new_authorization_code(at_provider(&scene));
            store.create_authorization_code(&code, None, &scene.event()).await.unwrap();
            let session = new_session();
            store.redeem_authorization_code(&code.hash, SHOWN, &session, &scene.event()).await.unwrap();
            let mint = |n: usize| mint_in(writers[n % 2].clone(), scene.clone(), version, session.access.id);
            let minting: Vec<_> = (0..MINTERS).map(|n| tokio::spawn(mint(n))).collect();
            let elsewhere = if trial % 2 == 0 { &world.replica } else { &world.store };
            let refreshing = tokio::spawn(refresh_in(elsewhere.clone(), scene.clone(), session.refresh.hash));
            for _ in 0..trial % 7 {
                tokio::task::yield_now().await;
            }
            let here = if trial % 2 == 0 { &world.store } else { &world.replica };
            match trial % 3 {
                0 => here.end_session(&scene.user, session.id, &scene.event()).await.unwrap(),
                1 => assert!(here.end_sessions(&scene.user, &scene.event()).await.unwrap() > 0, "{name}"),
                _ => {
                    let logout = UpstreamLogout {
                        provider: &okta,
                        subject: None,
                        sid: Some("sid-1"),
                        token_id: &format!("j-{trial}"),
                        remember_until: NOW + time::Duration::HOUR,
                    };
                    let event = Event { action: Action::UpstreamLogout, ..scene.event() };
                    assert_eq!(here.end_upstream_sessions(logout, &event).await.unwrap(), 1, "{name} {trial}");
                }
            }
            let when_returned = (minted(store).await, rows(store, Action::SessionRefresh).await);
            // All of them go on until they are refused.
            for minter in minting {
                minter.await.unwrap();
            }
            let refused = refreshing.await.unwrap();
            assert!(matches!(refused, RefreshError::Dead(_, DeadReason::SessionEnded)), "{name}: {refused:?}");
            let after = (minted(store).await, rows(store, Action::SessionRefresh).await);
            assert_eq!(after, when_returned, "trial {trial} on {name}");
            store.forget_events_before(NOW + time::Duration::DAY, 10_000).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_redeemers_of_one_code_exactly_one_gets_a_session() {
    for world in World::each().await {
        let scene = Arc::new(Scene::set(&world.store).await);
        for round in 0..20 {
            let code = new_code(&scene.user);
            world.store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
            let tries = (0..16).map(|n| {
                let store = if n % 2 == 0 { world.store.clone() } else { world.replica.clone() };
                let (event, hash) = (scene.event(), code.hash);
                tokio::spawn(async move { store.redeem_enrolment_code(&hash, &new_session(), NOW, &event).await })
            });
            let results: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{}", world.name);
            let used = results.iter().filter(|result| matches!(result, Err(RedeemError::Used))).count();
            assert_eq!(used, 15, "{}: {results:?}", world.name);
            let sessions = world.store.sessions_of(&scene.user, NOW).await.unwrap();
            assert_eq!(sessions.len(), round + 2, "{}", world.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_starts_one_makes_the_issuer_the_keys_and_the_administrator() {
    for world in World::each().await {
        let starts = (0..8).map(|n| {
            let store = if n % 2 == 0 { world.store.clone() } else { world.replica.clone() };
            tokio::spawn(async move {
                let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
                let keys = [signing_key(issuer, char::from(b'a' + n))];
                let keys = store.insert_first_keys(issuer, &keys, &event(issuer)).await.unwrap();
                let administrator =
                    store.create_first_administrator(&administrator(true), &credential(), &event(issuer)).await;
                (issuer, keys, administrator.unwrap())
            })
        });
        let started: Vec<_> = join_all(starts).await.into_iter().map(Result::unwrap).collect();
        assert!(started.iter().all(|(issuer, ..)| *issuer == started[0].0), "{}", world.name);
        assert_eq!(started.iter().filter(|(_, keys, _)| *keys).count(), 1, "{}", world.name);
        assert_eq!(started.iter().filter(|(.., administrator)| *administrator).count(), 1, "{}", world.name);
        assert_eq!(world.store.signing_keys(started[0].0).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_of_one_version_one_is_made() {
    for world in World::each().await {
        let scene = Arc::new(Scene::set(&world.store).await);
        let version = world.store.team(&scene.team).await.unwrap().unwrap().version;
        let tries = (0..12).map(|n| {
            let store = if n % 2 == 0 { world.store.clone() } else { world.replica.clone() };
            let scene = scene.clone();
            tokio::spawn(async move {
                let change = TeamChange { name: Some(format!("name {n}")), ..TeamChange::default() };
                store.update_team(&scene.team, Some(version), &change, &scene.event()).await
            })
        });
        let results: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        let made: Vec<_> = results.iter().flatten().collect();
        assert_eq!(made.len(), 1, "{}", world.name);
        let stale = Err(ChangeError::VersionMismatch { current: version + 1 });
        let learned = results.iter().filter(|result| **result == stale).count();
        assert_eq!(learned, 11, "{}: {results:?}", world.name);
        assert_eq!(world.store.team(&scene.team).await.unwrap().as_ref(), made.first().copied());
    }
}
