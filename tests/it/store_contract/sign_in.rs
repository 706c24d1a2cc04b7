//! Sessions from a device, a code or a refresh token: each once, whoever else tries at the same instant.

use brevet::domain::audit::{Action, Event, Origin};
use brevet::domain::credential::SecretHash;
use brevet::domain::device_grant::{Decided, Polled, UndecidableGrant};
use brevet::domain::id::{CredentialId, DeviceGrantId, SessionId, TeamUid, UpstreamUid};
use brevet::domain::pkce::CodeChallenge;
use brevet::domain::session::{SESSION_IDLE, SESSION_LENGTH, SessionOrigin, SignedIn};
use brevet::domain::team::Membership;
use brevet::store::{
    CodeError, CodeShown, DeadReason, DecideError, DevicePoll, EventFilter, MemberReach, NewAuthorizationCode,
    NewCredential, NewDeviceGrant, NewEnrolmentCode, NewSession, OpenError, OpenedSession, Page, RefreshError, Store,
    UpstreamLogout, UserChange,
};
use futures_util::future::join_all;
use time::{Duration, OffsetDateTime};

use super::world::{NOW, Scene, World, credential, fresh, hash, new_code, new_session, team};

const CLIENT: &str = "brevet-cli";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://127.0.0.1:4711/done";
pub(super) const SHOWN: CodeShown<'static> = CodeShown { client: CLIENT, redirect_uri: REDIRECT, verifier: VERIFIER };

/// A provider, and the scene's person as its subject `s1`.
pub(super) const PROVIDER: &str = "
    INSERT INTO upstream_providers (uid, uid_fold, name, issuer, client_id, settings, version, created_at, updated_at)
        VALUES ('okta', 'okta', 'Okta', 'https://okta.example.com', 'c', '{}', 1, 0, 0);
    INSERT INTO upstream_identities (provider_uid, subject, user_uid, created_at) VALUES ('okta', 's1', 'person-1', 0);";

pub(super) fn at_provider(scene: &Scene) -> SignedIn {
    SignedIn {
        user: scene.user.clone(),
        origin: SessionOrigin::Upstream(UpstreamUid::parse("okta").unwrap()),
        code: None,
        subject: Some("s1".to_owned()),
        sid: Some("sid-1".to_owned()),
        amr: vec!["mfa".to_owned()],
        at: NOW,
        ends_at: NOW + SESSION_LENGTH,
    }
}

/// Somebody who redeemed a code in a browser.
async fn by_code(scene: &Scene, store: &Store) -> SignedIn {
    let code = new_code(&scene.user);
    store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
    store.redeem_enrolment_code_in_browser(&code.hash, None, NOW, &scene.event()).await.unwrap()
}

pub(super) fn at(scene: &Scene, action: Action, when: OffsetDateTime) -> Event {
    Event { action, at: when, ..scene.event() }
}

pub(super) fn new_grant() -> NewDeviceGrant {
    let id: DeviceGrantId = fresh();
    NewDeviceGrant {
        id,
        device_code: SecretHash::of(&id.to_string()),
        user_code_mac: format!("mac {id}"),
        client: CLIENT.to_owned(),
        device: Some("build host".to_owned()),
        from: Origin { address: Some([192, 0, 2, 9].into()), user_agent: Some("cli/1".to_owned()) },
        team: Some(TeamUid::parse("team-1").unwrap()),
    }
}

pub(super) async fn poll(store: &Store, scene: &Scene, grant: &NewDeviceGrant, when: OffsetDateTime) -> DevicePoll {
    let event = at(scene, Action::SessionOpen, when);
    store.poll_device_grant(&grant.device_code, CLIENT, &new_session(), &event).await.unwrap()
}

pub(super) fn new_authorization_code(signed_in: SignedIn) -> NewAuthorizationCode {
    NewAuthorizationCode {
        hash: hash(fresh()),
        client: CLIENT.to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        challenge: CodeChallenge::of(VERIFIER),
        device: Some("laptop".to_owned()),
        signed_in,
        expires_at: NOW + Duration::minutes(1),
    }
}

pub(super) async fn redeem(
    store: &Store,
    scene: &Scene,
    hash: &SecretHash,
    shown: CodeShown<'_>,
) -> Result<OpenedSession, CodeError> {
    store.redeem_authorization_code(hash, shown, &new_session(), &at(scene, Action::SessionOpen, NOW)).await
}

/// A session with the hash of its refresh token.
async fn opened(store: &Store, scene: &Scene) -> (SessionId, SecretHash) {
    let code = new_code(&scene.user);
    store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
    let session = new_session();
    store.redeem_enrolment_code(&code.hash, &session, NOW, &scene.event()).await.unwrap();
    (session.id, session.refresh.hash)
}

/// Shows a refresh token at an instant; the hash of the next, and the session.
async fn refresh(
    store: &Store,
    scene: &Scene,
    shown: &SecretHash,
    when: OffsetDateTime,
) -> Result<(SecretHash, OpenedSession), RefreshError> {
    let (access, next) = (credential(), credential());
    let event = at(scene, Action::SessionRefresh, when);
    store.refresh(shown, &access, &next, when, &event).await.map(|opened| (next.hash, opened))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_approved_once_and_redeemed_once_whoever_else_tries() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        world.sabotage(PROVIDER).await;
        for round in 0..8 {
            let grant = new_grant();
            assert!(store.create_device_grant(&grant, NOW).await.unwrap());
            let waiting = store.device_of_code(&grant.user_code_mac, NOW).await.unwrap().unwrap();
            assert_eq!((waiting.id, &waiting.from, &waiting.team), (grant.id, &grant.from, &grant.team), "{name}");
            assert_eq!(poll(store, &scene, &grant, NOW).await, DevicePoll::No(Polled::Pending), "{name}");
            let when = NOW + Duration::seconds(5);
            let decisions = (0..8).map(|n| {
                let store = if n % 2 == 0 { &world.store } else { &world.replica };
                let decided = if n == 7 { Decided::Deny } else { Decided::Approve(at_provider(&scene)) };
                let event = at(&scene, Action::DeviceApprove, when);
                async move { store.decide_device_grant(grant.id, decided, None, &event).await }
            });
            let decided = join_all(decisions).await;
            assert_eq!(decided.iter().filter(|done| done.is_ok()).count(), 1, "{name}: {decided:?}");
            let late = decided.iter().filter(|done| **done == Err(DecideError::Undecidable(UndecidableGrant::Decided)));
            assert_eq!(late.count(), 7, "{name}");
            assert_eq!(
                store.device_of_code(&grant.user_code_mac, when).await.unwrap(),
                None,
                "{name}: it waits no more"
            );

            let polls = (0..8).map(|n| {
                let store = if n % 2 == 0 { &world.store } else { &world.replica };
                poll(store, &scene, &grant, when)
            });
            let answers = join_all(polls).await;
            let sessions = answers.iter().filter(|answer| matches!(answer, DevicePoll::Opened(_))).count();
            let denied = answers.iter().filter(|answer| **answer == DevicePoll::No(Polled::Denied)).count();
            let used = answers.iter().filter(|answer| **answer == DevicePoll::No(Polled::Redeemed)).count();
            assert!(
                (sessions, used, denied) == (1, 7, 0) || (sessions, used, denied) == (0, 0, 8),
                "{name} {round}: {answers:?}"
            );
        }
        let sessions = store.sessions_of(&scene.user, NOW).await.unwrap();
        let upstream = sessions.iter().find(|session| session.origin.provider().is_some()).unwrap();
        assert_eq!(upstream.device.as_deref(), Some("build host"), "{name}: as the grant called it");
        assert_eq!(upstream.expires_at, NOW + SESSION_LENGTH, "{name}: from the sign-in on, not from the poll");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_or_anothers_opens_nothing() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let (grant, twin) = (new_grant(), new_grant());
        assert!(store.create_device_grant(&grant, NOW).await.unwrap());
        let same_code = NewDeviceGrant { user_code_mac: grant.user_code_mac.clone(), ..twin };
        assert!(!store.create_device_grant(&same_code, NOW).await.unwrap(), "{name}: a user code is one device's");
        let late = NOW + Duration::minutes(10);
        let event = at(&scene, Action::DeviceApprove, late);
        let decided = store.decide_device_grant(grant.id, Decided::Deny, None, &event).await;
        assert_eq!(decided, Err(DecideError::Undecidable(UndecidableGrant::Expired)), "{name}");
        assert_eq!(store.decide_device_grant(fresh(), Decided::Deny, None, &event).await, Err(DecideError::NotFound));
        assert_eq!(store.waiting_device(grant.id, late).await.unwrap(), None);
        assert_eq!(poll(store, &scene, &grant, late).await, DevicePoll::No(Polled::Expired), "{name}");
        let other = store.poll_device_grant(&grant.device_code, "other", &new_session(), &scene.event()).await;
        assert_eq!(other, Ok(DevicePoll::Unknown), "{name}: another client's");
        // An hour later nobody asks for it, and the next one takes it away.
        assert!(store.create_device_grant(&new_grant(), late + Duration::minutes(61)).await.unwrap());
        assert_eq!(poll(store, &scene, &grant, late).await, DevicePoll::Unknown, "{name}");
    }
}

/// Threat 23: what a sign-in proved is looked at again when its session is opened.
#[tokio::test(flavor = "multi_thread")]
async fn threat_23_a_sign_in_that_holds_no_more_opens_no_session() {
    for world in World::each().await {
        let name = world.name;
        for (sql, expected) in [
            ("UPDATE users SET disabled_at = 1", OpenError::UserDead),
            ("UPDATE users SET deleted_at = 1", OpenError::UserDead),
            ("UPDATE upstream_providers SET disabled_at = 1", OpenError::ProviderDead),
            ("UPDATE upstream_providers SET deleted_at = 1", OpenError::ProviderDead),
            ("DELETE FROM upstream_identities", OpenError::Withdrawn),
            ("UPDATE upstream_identities SET subject = 's2'", OpenError::Withdrawn),
        ] {
            let store = &world.store;
            let scene = Scene::set(store).await;
            world.sabotage(PROVIDER).await;
            let grant = new_grant();
            assert!(store.create_device_grant(&grant, NOW).await.unwrap());
            let event = || at(&scene, Action::DeviceApprove, NOW);
            store.decide_device_grant(grant.id, Decided::Approve(at_provider(&scene)), None, &event()).await.unwrap();
            let code = new_authorization_code(at_provider(&scene));
            store.create_authorization_code(&code, None, &event()).await.unwrap();
            world.sabotage(sql).await;
            assert_eq!(poll(store, &scene, &grant, NOW).await, DevicePoll::Refused(expected.clone()), "{name}: {sql}");
            let again = poll(store, &scene, &grant, NOW).await;
            assert_eq!(again, DevicePoll::No(Polled::Redeemed), "{name}: it is used up");
            let refused = redeem(store, &scene, &code.hash, SHOWN).await;
            assert_eq!(refused, Err(CodeError::Refused(expected)), "{name}: {sql}");
            assert_eq!(redeem(store, &scene, &code.hash, SHOWN).await, Err(CodeError::Reused(None)), "{name}");
            world.empty().await;
        }
    }
}

/// Threat 38, in the minutes between a browser and its device.
#[tokio::test(flavor = "multi_thread")]
async fn threat_38_a_code_redeemed_in_a_browser_is_tied_to_its_session_like_any_other() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let mut codes = Vec::new();
        for _ in 0..2 {
            let code = NewEnrolmentCode { team: Some(scene.team.clone()), ..new_code(&scene.user) };
            store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
            let signed_in =
                store.redeem_enrolment_code_in_browser(&code.hash, None, NOW, &scene.event()).await.unwrap();
            let code = new_authorization_code(signed_in);
            store.create_authorization_code(&code, None, &at(&scene, Action::DeviceApprove, NOW)).await.unwrap();
            codes.push(code.hash);
        }
        let session = redeem(store, &scene, &codes[0], SHOWN).await.unwrap();
        store.create_team(&team("team-2"), &scene.event(), None).await.unwrap();
        let second = Membership::new(team("team-2").uid, scene.user.clone(), NOW);
        store.add_member(&second, MemberReach::Everyone, &scene.event()).await.unwrap();
        let ended = store.session(session.id).await.unwrap().unwrap();
        assert!(ended.ended_at.is_some(), "{name}: the session ends with the second team");
        let refused = redeem(store, &scene, &codes[1], SHOWN).await;
        assert_eq!(refused, Err(CodeError::Refused(OpenError::Withdrawn)), "{name}: and none is opened any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_code_is_redeemed_once_by_the_request_it_answers() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let made = async || {
            let code = new_authorization_code(by_code(&scene, store).await);
            store.create_authorization_code(&code, None, &at(&scene, Action::DeviceApprove, NOW)).await.unwrap();
            code.hash
        };
        for (shown, what) in [
            (CodeShown { client: "other", ..SHOWN }, "client_id"),
            (CodeShown { redirect_uri: "http://127.0.0.1:4711/", ..SHOWN }, "redirect_uri"),
            (CodeShown { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx", ..SHOWN }, "code_verifier"),
        ] {
            let hash = made().await;
            assert_eq!(redeem(store, &scene, &hash, shown).await, Err(CodeError::Other(what)), "{name}");
            assert_eq!(redeem(store, &scene, &hash, SHOWN).await, Err(CodeError::Reused(None)), "{name}: used up");
        }
        assert_eq!(redeem(store, &scene, &hash(fresh()), SHOWN).await, Err(CodeError::Unknown), "{name}");
        let late = made().await;
        let event = at(&scene, Action::SessionOpen, NOW + Duration::minutes(1));
        let expired = store.redeem_authorization_code(&late, SHOWN, &new_session(), &event).await;
        assert_eq!(expired, Err(CodeError::Expired), "{name}");

        for _ in 0..8 {
            let hash = made().await;
            let tries = (0..8).map(|n| {
                let store = if n % 2 == 0 { &world.store } else { &world.replica };
                redeem(store, &scene, &hash, SHOWN)
            });
            let results = join_all(tries).await;
            let won: Vec<_> = results.iter().flatten().map(|opened| opened.id).collect();
            let [won] = won[..] else { panic!("{name}: {won:?} won") };
            for lost in results.into_iter().filter_map(Result::err) {
                let session = Some((scene.user.clone(), won));
                assert_eq!(lost, CodeError::Reused(session), "{name}: whoever is late learns which session to end");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_rotates_and_its_session_is_looked_at_each_time() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let (id, first) = opened(store, &scene).await;
        let (second, session) = refresh(store, &scene, &first, NOW + Duration::HOUR).await.unwrap();
        assert_eq!((session.id, session.ends_at), (id, NOW + SESSION_LENGTH), "{name}");
        let seen = store.session(id).await.unwrap().unwrap();
        assert_eq!(seen.idle_at, Some(NOW + Duration::HOUR + SESSION_IDLE), "{name}");
        assert_eq!(seen.last_used_at, Some(NOW + Duration::HOUR), "{name}: a refresh is a use");
        let filter = EventFilter { action: Some(Action::SessionRefresh), ..EventFilter::default() };
        let rows = store.events(&filter, &Page::default()).await.unwrap().items;
        assert_eq!(rows[0].target, Some(format!("session:{id}")), "{name}");
        assert_eq!(rows[0].principal, Some(scene.person()), "{name}");

        let unknown = refresh(store, &scene, &hash(fresh()), NOW).await;
        assert_eq!(unknown, Err(RefreshError::Unknown), "{name}");
        let dead = async |when| match refresh(store, &scene, &second, when).await {
            Err(RefreshError::Dead(token, reason)) => {
                assert_eq!((token.session, token.user), (id, scene.user.clone()));
                Some(reason)
            }
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(dead(NOW + SESSION_LENGTH).await, Some(DeadReason::SessionExpired), "{name}");
        let change = |disabled_at| UserChange { disabled_at: Some(disabled_at), ..UserChange::default() };
        store.update_user(&scene.user, None, &change(Some(NOW)), &scene.event()).await.unwrap();
        assert_eq!(dead(NOW + Duration::hours(2)).await, Some(DeadReason::UserDisabled), "{name}");
        store.update_user(&scene.user, None, &change(None), &scene.event()).await.unwrap();
        world.sabotage("UPDATE sessions SET idle_at = 1").await;
        assert_eq!(dead(NOW + Duration::hours(2)).await, Some(DeadReason::SessionIdle), "{name}");
        world.sabotage("UPDATE sessions SET idle_at = NULL").await;
        refresh(store, &scene, &second, NOW + Duration::hours(2)).await.unwrap();
        store.end_session(&scene.user, id, &scene.event()).await.unwrap();
        assert_eq!(
            dead(NOW + Duration::hours(2)).await,
            Some(DeadReason::SessionEnded),
            "{name}: also of an old token"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_refreshes_at_the_same_instant_one_rotates_one_is_forgiven_and_the_rest_is_reuse() {
    for world in World::each().await {
        let name = world.name;
        let scene = Scene::set(&world.store).await;
        for many in [2, 2, 2, 8, 8] {
            let (_, first) = opened(&world.store, &scene).await;
            let tries = (0..many).map(|n| {
                let store = if n % 2 == 0 { &world.store } else { &world.replica };
                refresh(store, &scene, &first, NOW)
            });
            let results = join_all(tries).await;
            let next: Vec<_> = results.iter().flatten().map(|(next, _)| *next).collect();
            assert_eq!(next.len(), 2, "{name}: {results:?}");
            let reused = results.iter().filter(|one| matches!(one, Err(RefreshError::Reused(_)))).count();
            assert_eq!(reused, many - 2, "{name}: {results:?}");
            // Of the two that were given one is dead: exactly one family goes on.
            let both = join_all(next.iter().map(|next| refresh(&world.store, &scene, next, NOW))).await;
            assert_eq!(both.iter().filter(|one| one.is_ok()).count(), 1, "{name}: {both:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_before_is_forgiven_once_for_a_minute_and_any_other_is_reuse() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let reused = async |shown: &SecretHash, when| {
            matches!(refresh(store, &scene, shown, when).await, Err(RefreshError::Reused(_)))
        };
        let soon = NOW + Duration::seconds(59);

        let (_, first) = opened(store, &scene).await;
        let (second, _) = refresh(store, &scene, &first, NOW).await.unwrap();
        let (third, _) = refresh(store, &scene, &first, soon).await.unwrap();
        assert!(reused(&second, soon).await, "{name}: another took its place");
        assert!(reused(&first, soon).await, "{name}: once is once");
        refresh(store, &scene, &third, soon).await.unwrap();

        let (_, first) = opened(store, &scene).await;
        refresh(store, &scene, &first, NOW).await.unwrap();
        assert!(reused(&first, NOW + Duration::seconds(60)).await, "{name}: a minute is over");

        let (_, first) = opened(store, &scene).await;
        let (second, _) = refresh(store, &scene, &first, NOW).await.unwrap();
        refresh(store, &scene, &second, NOW).await.unwrap();
        assert!(reused(&first, NOW).await, "{name}: its successor was used");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_a_persons_sessions_ends_what_waits_to_become_one() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let grant = new_grant();
        assert!(store.create_device_grant(&grant, NOW).await.unwrap());
        let event = || at(&scene, Action::DeviceApprove, NOW);
        let approval = Decided::Approve(by_code(&scene, store).await);
        store.decide_device_grant(grant.id, approval, None, &event()).await.unwrap();
        let code = new_authorization_code(by_code(&scene, store).await);
        store.create_authorization_code(&code, None, &event()).await.unwrap();
        store.end_sessions(&scene.user, &scene.event()).await.unwrap();
        assert_eq!(poll(store, &scene, &grant, NOW).await, DevicePoll::No(Polled::Denied), "{name}");
        assert_eq!(redeem(store, &scene, &code.hash, SHOWN).await, Err(CodeError::Reused(None)), "{name}");
        assert_eq!(store.sessions_of(&scene.user, NOW).await.unwrap().len(), 0, "{name}");
        // And a person who is deleted leaves nothing that says from where they came.
        store.delete_user(&scene.user, None, &scene.event()).await.unwrap();
        assert_eq!(poll(store, &scene, &grant, NOW).await, DevicePoll::Unknown, "{name}");
        assert_eq!(redeem(store, &scene, &code.hash, SHOWN).await, Err(CodeError::Unknown), "{name}");
    }
}

/// Threat 23: logged out at the provider between the browser and the device.
#[tokio::test(flavor = "multi_thread")]
async fn threat_23_a_logout_at_the_provider_ends_what_waits_to_become_a_session() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        world.sabotage(PROVIDER).await;
        let event = || at(&scene, Action::DeviceApprove, NOW);
        let (okta, other) = (UpstreamUid::parse("okta").unwrap(), UpstreamUid::parse("other").unwrap());
        for (provider, subject, sid, ends) in [
            (&okta, Some("s1"), None, true),
            (&okta, None, Some("sid-1"), true),
            (&okta, Some("s1"), Some("sid-1"), true),
            (&okta, Some("s1"), Some("sid-2"), false),
            (&okta, Some("s2"), None, false),
            (&other, Some("s1"), None, false),
        ] {
            let (grant, waits) = (new_grant(), new_grant());
            for grant in [&grant, &waits] {
                assert!(store.create_device_grant(grant, NOW).await.unwrap());
            }
            store.decide_device_grant(grant.id, Decided::Approve(at_provider(&scene)), None, &event()).await.unwrap();
            let code = new_authorization_code(at_provider(&scene));
            store.create_authorization_code(&code, None, &event()).await.unwrap();
            let token = fresh::<brevet::domain::id::Token>().to_string();
            let logout =
                UpstreamLogout { provider, subject, sid, token_id: &token, remember_until: NOW + Duration::HOUR };
            store.end_upstream_sessions(logout, &at(&scene, Action::SessionEnd, NOW)).await.unwrap();
            let what = format!("{name}: {provider} {subject:?} {sid:?}");
            let answer = poll(store, &scene, &grant, NOW).await;
            assert_eq!(answer == DevicePoll::No(Polled::Denied), ends, "{what}: {answer:?}");
            let answer = redeem(store, &scene, &code.hash, SHOWN).await;
            assert_eq!(answer == Err(CodeError::Reused(None)), ends, "{what}: {answer:?}");
            assert_eq!(poll(store, &scene, &waits, NOW).await, DevicePoll::No(Polled::Pending), "{what}: nobody's yet");
        }
    }
}

/// The tokens of a session end with it, however long they were made for.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_outlives_its_session() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let id: CredentialId = fresh();
        let long = NewCredential { id, hash: hash(id), expires_at: Some(NOW + Duration::days(2)), ..credential() };
        let session = NewSession { access: long, ..new_session() };
        let code = new_code(&scene.user);
        store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
        let (_, opened) = store.redeem_enrolment_code(&code.hash, &session, NOW, &scene.event()).await.unwrap();
        assert_eq!(opened.access_until, NOW + SESSION_LENGTH, "{name}");
        let record = store.credential(&hash(id), NOW).await.unwrap().unwrap();
        assert_eq!(record.expires_at, Some(NOW + SESSION_LENGTH), "{name}");
    }
}
