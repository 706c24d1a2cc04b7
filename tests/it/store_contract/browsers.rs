//! Browsers on their way.

use brevet::domain::audit::{Action, Decision, Event};
use brevet::domain::authorization::{Authorization, LoopbackRedirect, Return};
use brevet::domain::credential::SecretHash;
use brevet::domain::device_grant::{Decided, Polled};
use brevet::domain::id::{DeviceGrantId, UpstreamUid};
use brevet::domain::pkce::CodeChallenge;
use brevet::domain::session::{SessionOrigin, SignedIn};
use brevet::domain::sign_in::{Asker, SIGN_IN_LENGTH};
use brevet::store::{
    AdmitError, Arrival, CodeError, DecideError, DevicePoll, EventFilter, NewEnrolmentCode, Page, RedeemError, Store,
    UpstreamLogout,
};
use time::{Duration, OffsetDateTime};

use super::sign_in::{SHOWN, at, new_authorization_code, new_grant, poll, redeem};
use super::upstream::{admit_in, engineers, lets_in, provider};
use super::world::{NOW, Scene, World, fresh, new_code, team_uid, user};

fn terminal() -> Asker {
    Asker::Terminal(Authorization {
        back: Return {
            redirect: LoopbackRedirect::parse("http://127.0.0.1:8400/done").unwrap(),
            state: Some("s".to_owned()),
        },
        code_challenge: CodeChallenge::of("verifier"),
        device: None,
        team: Some(team_uid("red")),
    })
}

/// The hashes of a browser's two secrets.
fn secrets() -> [SecretHash; 2] {
    [(); 2].map(|()| SecretHash::of(&fresh::<brevet::domain::id::Token>().to_string()))
}

/// A browser on its way for `grant`, or for a terminal, with the secret that it has since its person signed in with a
/// code; and what its request holds in memory by then.
async fn signed_in(store: &Store, scene: &Scene, asker: &Asker) -> (SecretHash, SignedIn) {
    let [browser, then] = secrets();
    store.begin_sign_in(&browser, asker, None, NOW).await.unwrap();
    let code = new_code(&scene.user);
    store.create_enrolment_code(&code, &scene.event(), None).await.unwrap();
    let arrival = Some(Arrival { browser: &browser, fresh: &then });
    store.redeem_enrolment_code_in_browser(&code.hash, arrival, NOW, &sign_in_row(scene)).await.unwrap();
    let held = store.sign_in(&then, NOW).await.unwrap().unwrap().signed_in.unwrap();
    (then, held)
}

/// The same of somebody who signed in at `okta`, where they are `s-1`, session `sid-1`.
async fn came_back(store: &Store, scene: &Scene, asker: &Asker) -> (SecretHash, SignedIn) {
    let [browser, then] = secrets();
    store.begin_sign_in(&browser, asker, None, NOW).await.unwrap();
    let arrival = Some(Arrival { browser: &browser, fresh: &then });
    let newcomer = user(&format!("new-{}", fresh::<brevet::domain::id::Token>()));
    admit_in(store, scene, &provider("okta"), "s-1", &newcomer, arrival).await.unwrap();
    let held = store.sign_in(&then, NOW).await.unwrap().unwrap().signed_in.unwrap();
    (then, held)
}

fn sign_in_row(scene: &Scene) -> Event {
    at(scene, Action::SignIn, NOW)
}

fn approval(scene: &Scene) -> Event {
    at(scene, Action::DeviceApprove, NOW)
}

async fn rows(store: &Store, action: Action) -> usize {
    let filter = EventFilter { action: Some(action), decision: Some(Decision::Allowed), ..EventFilter::default() };
    store.events(&filter, &Page::default()).await.unwrap().items.len()
}

fn device(grant: DeviceGrantId) -> Asker {
    Asker::Device { grant, team: None }
}

fn logout<'a>(okta: &'a UpstreamUid, token_id: &'a str, until: OffsetDateTime) -> UpstreamLogout<'a> {
    UpstreamLogout { provider: okta, subject: Some("s-1"), sid: None, token_id, remember_until: until }
}

#[tokio::test]
async fn threat_38_a_browser_is_known_by_one_secret_at_a_time_and_decides_once() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let (first, second, third) = (SecretHash::of("1"), SecretHash::of("2"), SecretHash::of("3"));
        let address = Some("192.0.2.7".parse().unwrap());
        store.begin_sign_in(&first, &terminal(), address, NOW).await.unwrap();
        let begun = store.sign_in(&first, NOW).await.unwrap().unwrap();
        assert_eq!((&begun.asker, begun.address, &begun.signed_in), (&terminal(), address, &None), "{}", world.name);
        assert_eq!(store.sign_in(&second, NOW).await.unwrap(), None);
        assert_eq!(store.sign_in(&first, NOW + SIGN_IN_LENGTH).await.unwrap(), None);
        let late = NOW + SIGN_IN_LENGTH;
        let far = NewEnrolmentCode { expires_at: late + Duration::HOUR, ..new_code(&scene.user) };
        store.create_enrolment_code(&far, &scene.event(), None).await.unwrap();
        let show = async |browser: &SecretHash, fresh: &SecretHash, when| {
            let arrival = Some(Arrival { browser, fresh });
            store.redeem_enrolment_code_in_browser(&far.hash, arrival, when, &sign_in_row(&scene)).await
        };
        // Whatever is wrong with the browser, the code stays unused and no row says that somebody signed in.
        assert_eq!(show(&first, &second, late).await, Err(RedeemError::Over), "{}", world.name);
        assert_eq!(show(&third, &second, NOW).await, Err(RedeemError::Over), "{}", world.name);
        assert_eq!(rows(store, Action::SignIn).await, 0, "{}", world.name);
        let who = show(&first, &second, NOW).await.unwrap();
        assert_eq!((&who.user, &who.origin), (&scene.user, &SessionOrigin::EnrolmentCode));
        assert_eq!(rows(store, Action::SignIn).await, 1, "{}", world.name);
        assert_eq!(store.sign_in(&first, NOW).await.unwrap(), None);
        assert_eq!(store.sign_in(&second, NOW).await.unwrap().unwrap().signed_in.as_ref(), Some(&who));
        // Signed in once, for good, and to no other provider.
        let another = new_code(&scene.user);
        store.create_enrolment_code(&another, &scene.event(), None).await.unwrap();
        let arrival = Some(Arrival { browser: &second, fresh: &third });
        let again = store.redeem_enrolment_code_in_browser(&another.hash, arrival, NOW, &sign_in_row(&scene)).await;
        assert_eq!(again, Err(RedeemError::Over), "{}", world.name);
        assert!(!store.choose_provider(&second, &UpstreamUid::parse("okta").unwrap(), NOW).await.unwrap());
        let denial = at(&scene, Action::DeviceDeny, NOW);
        assert!(!store.finish_sign_in(&second, late, Some(&denial)).await.unwrap());
        assert!(store.finish_sign_in(&second, NOW, Some(&denial)).await.unwrap());
        assert!(!store.finish_sign_in(&second, NOW, Some(&denial)).await.unwrap());
        assert_eq!(rows(store, Action::DeviceDeny).await, 1, "{}: told once", world.name);
        assert_eq!(store.sign_in(&second, NOW).await.unwrap(), None);
        let later = late + Duration::MILLISECOND;
        store.begin_sign_in(&third, &terminal(), None, later).await.unwrap();
        assert_eq!(store.forget_pending_before(later).await.unwrap(), 0, "the new one took the old one with it");
        assert!(store.finish_sign_in(&third, later, None).await.unwrap(), "a stranger may deny");
        assert!(!store.finish_sign_in(&third, later, None).await.unwrap());
    }
}

/// Threat 23: what a request read before is worth nothing once the sign-in was ended.
#[tokio::test(flavor = "multi_thread")]
async fn threat_23_a_sign_in_that_was_ended_decides_nothing_whoever_holds_it() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        lets_in(store, &scene, vec![engineers("okta")]).await;
        for by_logout in [false, true] {
            let grant = new_grant();
            assert!(store.create_device_grant(&grant, NOW).await.unwrap());
            let (approves, redirects) = if by_logout {
                (came_back(store, &scene, &device(grant.id)).await, came_back(store, &scene, &terminal()).await)
            } else {
                (signed_in(store, &scene, &device(grant.id)).await, signed_in(store, &scene, &terminal()).await)
            };
            if by_logout {
                let row = at(&scene, Action::UpstreamLogout, NOW);
                let asked = logout(&okta.uid, "j-1", NOW + Duration::HOUR);
                store.end_upstream_sessions(asked, &row).await.unwrap();
            } else {
                store.end_sessions(&scene.user, &scene.event()).await.unwrap();
            }
            let (browser, held) = approves;
            let decided = store
                .decide_device_grant(grant.id, Decided::Approve(held.clone()), Some(&browser), &approval(&scene))
                .await;
            assert_eq!(decided, Err(DecideError::Over), "{name}");
            assert_eq!(poll(store, &scene, &grant, NOW).await, DevicePoll::No(Polled::Pending), "{name}: undecided");
            let (browser, held) = redirects;
            let code = new_authorization_code(held);
            let made = store.create_authorization_code(&code, Some(&browser), &approval(&scene)).await;
            assert_eq!(made, Ok(false), "{name}");
            assert_eq!(redeem(store, &scene, &code.hash, SHOWN).await, Err(CodeError::Unknown), "{name}");
            assert_eq!(rows(store, Action::DeviceApprove).await, 0, "{name}: nothing is told that did not happen");
        }
    }
}

/// Threat 23: on two replicas, an approval and whatever ends the person's sessions come one after the other, and either
/// way nothing is left that could become a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_23_no_approval_slips_between_the_sign_in_and_the_end_of_all_sessions() {
    for world in World::each().await {
        let (store, replica, name) = (&world.store, &world.replica, world.name);
        let scene = Scene::set(store).await;
        let mut approved = 0;
        for round in 0..24 {
            let grant = new_grant();
            assert!(store.create_device_grant(&grant, NOW).await.unwrap());
            let (browser, held) = signed_in(store, &scene, &device(grant.id)).await;
            let row = approval(&scene);
            let approve = replica.decide_device_grant(grant.id, Decided::Approve(held), Some(&browser), &row);
            let everything = scene.event();
            let end = store.end_sessions(&scene.user, &everything);
            // Now one is first, now the other.
            let (decided, ended) = if round % 2 == 0 {
                tokio::join!(approve, end)
            } else {
                let (ended, decided) = tokio::join!(end, approve);
                (decided, ended)
            };
            ended.unwrap();
            let answer = poll(store, &scene, &grant, NOW).await;
            match decided {
                Ok(()) => assert_eq!(answer, DevicePoll::No(Polled::Denied), "{name}"),
                Err(error) => {
                    assert_eq!(error, DecideError::Over, "{name}");
                    assert_eq!(answer, DevicePoll::No(Polled::Pending), "{name}");
                }
            }
            approved += usize::from(answer == DevicePoll::No(Polled::Denied));
        }
        assert_eq!(store.sessions_of(&scene.user, NOW).await.unwrap(), [], "{name}: {approved} were approved first");
    }
}

/// Threat 23: who came back from a provider is noted with the same commit that lets them in, or is not let in at all.
#[tokio::test(flavor = "multi_thread")]
async fn threat_23_nobody_is_let_in_whose_browser_is_on_no_way() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        lets_in(store, &scene, vec![engineers("okta")]).await;
        let [browser, then] = secrets();
        let arrival = Some(Arrival { browser: &browser, fresh: &then });
        let nowhere = admit_in(store, &scene, &okta, "s-1", &user("new-1"), arrival).await;
        assert_eq!(nowhere, Err(AdmitError::Over), "{name}");
        assert_eq!(store.user(&user("new-1").uid).await.unwrap(), None, "{name}: nobody was made");
        assert_eq!((rows(store, Action::SignIn).await, rows(store, Action::MemberJoin).await), (0, 0), "{name}");
        store.begin_sign_in(&browser, &terminal(), None, NOW).await.unwrap();
        let came = admit_in(store, &scene, &okta, "s-1", &user("new-1"), arrival).await.unwrap();
        assert_eq!(came.joined, std::slice::from_ref(&scene.team), "{name}");
        let noted = store.sign_in(&then, NOW).await.unwrap().unwrap();
        assert_eq!((noted.signed_in.as_ref(), noted.provider), (Some(&came.signed_in), None), "{name}");
        // A second answer in the same browser finds it signed in, and changes nothing.
        let twice = admit_in(store, &scene, &okta, "s-2", &user("new-2"), arrival).await;
        assert_eq!(twice, Err(AdmitError::Over), "{name}");
        assert_eq!(store.user(&user("new-2").uid).await.unwrap(), None, "{name}");
    }
}

/// Threat 23: the provider says that somebody has logged out while their browser is on its way back with what it had said
/// of them before. No row holds that yet, so that the logout is remembered for those that began before it.
#[tokio::test(flavor = "multi_thread")]
async fn threat_23_a_logout_also_ends_the_sign_in_that_is_still_on_its_way_back() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let (okta, other) = (provider("okta"), provider("other"));
        for provider in [&okta, &other] {
            store.create_upstream_provider(provider, &scene.event(), None).await.unwrap();
        }
        lets_in(store, &scene, vec![engineers("okta"), engineers("other")]).await;
        // `admit_in` brings a person whose ID token named no session at the provider.
        for (n, provider, whose, sid, ends) in [
            ("1", &okta, Some("s-1"), None, true),
            ("2", &okta, Some("s-2"), Some("sid-1"), true),
            ("3", &okta, None, Some("sid-1"), false),
            ("4", &okta, Some("s-1"), None, false),
            ("5", &other, Some("s-5"), None, false),
        ] {
            let asked = UpstreamLogout { subject: whose, sid, ..logout(&provider.uid, n, NOW + Duration::HOUR) };
            let row = at(&scene, Action::UpstreamLogout, NOW - Duration::seconds(5));
            store.end_upstream_sessions(asked, &row).await.unwrap();
            let (subject, newcomer) = (format!("s-{n}"), user(&format!("new-{n}")));
            for (began, ends) in [(NOW - Duration::seconds(9), ends), (NOW - Duration::seconds(4), false)] {
                let [browser, then] = secrets();
                store.begin_sign_in(&browser, &terminal(), None, began).await.unwrap();
                let arrival = Some(Arrival { browser: &browser, fresh: &then });
                let came = admit_in(store, &scene, &okta, &subject, &newcomer, arrival).await;
                if ends {
                    assert_eq!(came, Err(AdmitError::Over), "{name} {n}");
                    assert_eq!(store.user(&newcomer.uid).await.unwrap(), None, "{name} {n}: nobody was made");
                } else {
                    came.unwrap_or_else(|error| panic!("{name} {n}: {error}"));
                }
            }
        }
    }
}
