//! Sign-in providers, who their subjects are, and what ends with them.

use brevet::domain::audit::{Action, Decision, Event};
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::UpstreamUid;
use brevet::domain::issuer_url::Development;
use brevet::domain::sealed::Sealed;
use brevet::domain::team::User;
use brevet::domain::upstream::{Group, JoinBy, Joining, UpstreamPerson, UpstreamProvider, UpstreamSettings, Word};
use brevet::store::{
    AdmitError, Admitted, Arrival, ChangeError, EventFilter, Page, SealedPlace, SignInEvents, Store, TeamChange,
    UpstreamIdentity, UpstreamLogout, UpstreamProviderChange,
};
use futures_util::future::join_all;
use time::Duration;

use super::world::{NOW, Scene, World, event, team, user};

pub(super) fn provider(uid: &str) -> UpstreamProvider {
    UpstreamProvider {
        uid: UpstreamUid::parse(uid).unwrap(),
        name: format!("Provider {uid}"),
        issuer: ForeignIssuer::parse("https://id.acme.example", Development::Off).unwrap(),
        client_id: Word::parse(&format!("client-of-{uid}")).unwrap(),
        client_secret: Sealed::parse("v1.0123456789abcdef.AAAA.BBBB").ok(),
        settings: UpstreamSettings { groups_claim: Word::parse("groups").ok(), ..UpstreamSettings::new_provider() },
        version: 1,
        created_at: NOW,
        updated_at: NOW,
        disabled_at: None,
    }
}

fn person(subject: &str) -> UpstreamPerson {
    UpstreamPerson {
        subject: subject.to_owned(),
        name: Some(format!("Person {subject}")),
        groups: vec!["eng".to_owned()],
        ..UpstreamPerson::default()
    }
}

pub(super) async fn lets_in(store: &Store, scene: &Scene, joins: Vec<Joining>) {
    let mut policy = store.team(&scene.team).await.unwrap().unwrap().policy;
    policy.joins = joins;
    let change = TeamChange { policy: Some(policy), ..TeamChange::default() };
    store.update_team(&scene.team, None, &change, &scene.event()).await.unwrap();
}

pub(super) fn engineers(uid: &str) -> Joining {
    Joining { provider: UpstreamUid::parse(uid).unwrap(), by: JoinBy::Group(Group::parse("eng").unwrap()) }
}

fn row(scene: &Scene, action: Action) -> Event {
    Event { action, decision: Decision::Allowed, ..event(scene.issuer) }
}

async fn admit(
    store: &Store,
    scene: &Scene,
    at: &UpstreamProvider,
    subject: &str,
    newcomer: &User,
) -> Result<Admitted, AdmitError> {
    admit_in(store, scene, at, subject, newcomer, None).await
}

pub(super) async fn admit_in(
    store: &Store,
    scene: &Scene,
    at: &UpstreamProvider,
    subject: &str,
    newcomer: &User,
    arrival: Option<Arrival<'_>>,
) -> Result<Admitted, AdmitError> {
    let sign_in = row(scene, Action::SignIn);
    let join = || row(scene, Action::MemberJoin);
    store.admit(at, &person(subject), newcomer, arrival, SignInEvents { sign_in: &sign_in, join: &join }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_kept_changed_and_gone_for_good() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        assert_eq!(store.upstream_provider(&okta.uid).await.unwrap().as_ref(), Some(&okta));
        let taken = store.create_upstream_provider(&provider("Okta"), &scene.event(), None).await;
        assert_eq!(taken, Err(ChangeError::UidTaken), "{}", world.name);
        let same = UpstreamProvider { client_id: okta.client_id.clone(), ..provider("entra") };
        let conflict = Err(ChangeError::Conflict("upstream_client"));
        assert_eq!(store.create_upstream_provider(&same, &scene.event(), None).await, conflict);
        store.create_upstream_provider(&provider("entra"), &scene.event(), None).await.unwrap();
        let known = store.upstream_provider_of("https://id.acme.example", "client-of-entra").await.unwrap();
        assert_eq!(known.map(|provider| provider.uid), UpstreamUid::parse("entra").ok());
        assert_eq!(store.upstream_providers(&Page::default()).await.unwrap().items.len(), 2);

        let change = UpstreamProviderChange {
            disabled_at: Some(Some(NOW)),
            client_secret: Some(None),
            ..UpstreamProviderChange::default()
        };
        let changed = store.update_upstream_provider(&okta.uid, Some(1), &change, &scene.event()).await.unwrap();
        assert_eq!((changed.version, changed.disabled_at, changed.client_secret), (2, Some(NOW), None));
        let stale = store.update_upstream_provider(&okta.uid, Some(1), &change, &scene.event()).await;
        assert_eq!(stale, Err(ChangeError::VersionMismatch { current: 2 }));
        assert_eq!(store.upstream_providers_on().await.unwrap().len(), 1);

        let sealed = store.sealed().await.unwrap();
        let of_entra = sealed.iter().find(|text| text.place.to_string() == "upstream_provider:entra").unwrap();
        assert!(matches!(of_entra.place, SealedPlace::UpstreamClientSecret { issuer, .. } if issuer == scene.issuer));
        let anew = Sealed::parse("v1.fedcba9876543210.AAAA.CCCC").unwrap();
        assert!(store.replace_sealed(of_entra, &anew, &scene.event()).await.unwrap());
        assert!(!store.replace_sealed(of_entra, &anew, &scene.event()).await.unwrap(), "another lies there by now");

        store.delete_upstream_provider(&okta.uid, None, &scene.event()).await.unwrap();
        assert_eq!(store.upstream_provider(&okta.uid).await.unwrap(), None);
        assert_eq!(store.create_upstream_provider(&okta, &scene.event(), None).await, Err(ChangeError::UidTaken));
        let again = UpstreamProvider { client_id: okta.client_id.clone(), ..provider("okta-2") };
        store.create_upstream_provider(&again, &scene.event(), None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_any_number_of_first_sign_ins_one_makes_the_person() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        let nobody = admit(store, &scene, &okta, "s-1", &user("new-0")).await;
        assert_eq!(nobody, Err(AdmitError::NotAdmitted), "{}", world.name);
        // A uid that a pattern would take for another: `_` is one character of any kind there.
        lets_in(store, &scene, vec![engineers("okt_")]).await;
        assert_eq!(admit(store, &scene, &okta, "s-1", &user("new-0")).await, Err(AdmitError::NotAdmitted));
        lets_in(store, &scene, vec![engineers("okta")]).await;
        let newcomers: Vec<_> = (1..=8).map(|n| user(&format!("new-{n}"))).collect();
        let admitted = join_all(newcomers.iter().map(|new| admit(store, &scene, &okta, "s-1", new))).await;
        let admitted: Vec<_> = admitted.into_iter().map(Result::unwrap).collect();
        assert!(admitted.iter().all(|one| one.signed_in.user == admitted[0].signed_in.user), "{}", world.name);
        assert_eq!(admitted.iter().filter(|one| !one.joined.is_empty()).count(), 1);
        assert_eq!(store.users(&Page::default()).await.unwrap().items.len(), 2, "the scene's person and one more");
        let known = store.user(&admitted[0].signed_in.user).await.unwrap().unwrap();
        assert_eq!(known.name, "Person s-1", "the provider's name for them");
        let filter = EventFilter { action: Some(Action::MemberJoin), ..EventFilter::default() };
        let rows = store.events(&filter, &Page::default()).await.unwrap().items;
        assert_eq!((rows.len(), rows[0].team.as_ref()), (1, Some(&scene.team)));

        store.remove_member(&scene.team, &known.uid, &scene.event()).await.unwrap();
        let back = admit(store, &scene, &okta, "s-1", &user("new-9")).await.unwrap();
        assert_eq!((back.signed_in.user, back.joined), (known.uid.clone(), Vec::new()));
        store.delete_user(&known.uid, None, &scene.event()).await.unwrap();
        let off = admit(store, &scene, &okta, "s-1", &user("new-10")).await;
        assert_eq!(off, Err(AdmitError::PersonOff(known.uid.clone())));
        // The operator's word brings the subject back, as somebody else.
        let link = UpstreamIdentity {
            provider: okta.uid.clone(),
            subject: "s-1".to_owned(),
            user: scene.user.clone(),
            created_by: None,
            created_at: NOW,
            signed_in_at: None,
        };
        store.link_identity(&link, &scene.event(), None).await.unwrap();
        assert_eq!(admit(store, &scene, &okta, "s-1", &user("new-11")).await.unwrap().signed_in.user, scene.user);
        let twice = store.link_identity(&link, &scene.event(), None).await;
        assert_eq!(twice, Err(ChangeError::Conflict("subject_linked")));
        store.unlink_identity(&scene.user, &okta.uid, "s-1", &scene.event()).await.unwrap();
        let unknown = store.unlink_identity(&scene.user, &okta.uid, "s-1", &scene.event()).await;
        assert_eq!(unknown, Err(ChangeError::NotFound));
        let elsewhere = UpstreamProvider { client_id: Word::parse("other").unwrap(), ..okta.clone() };
        let changed = admit(store, &scene, &elsewhere, "s-1", &user("new-12")).await;
        assert_eq!(changed, Err(AdmitError::ProviderOff), "it was set up otherwise when the person was sent there");
        store.create_team(&team("team-9"), &scene.event(), None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_counts_once_also_when_shown_twice_at_once() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        let logout = UpstreamLogout {
            provider: &okta.uid,
            subject: Some("s-1"),
            sid: None,
            token_id: "j-1",
            remember_until: NOW + Duration::minutes(6),
        };
        let rows = [(); 4].map(|()| row(&scene, Action::UpstreamLogout));
        let done = join_all(rows.iter().map(|event| store.end_upstream_sessions(logout, event))).await;
        assert_eq!(done.iter().filter(|done| **done == Ok(0)).count(), 1, "{}: {done:?}", world.name);
        let used = Err(ChangeError::Conflict("logout_token_used"));
        assert_eq!(done.iter().filter(|done| **done == used).count(), 3, "{}: {done:?}", world.name);
    }
}

/// Threat 41: whoever signs in again and again holds off nobody's mint.
#[tokio::test(flavor = "multi_thread")]
async fn threat_41_a_sign_in_that_joins_no_team_waits_for_no_mint() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let okta = provider("okta");
        store.create_upstream_provider(&okta, &scene.event(), None).await.unwrap();
        lets_in(store, &scene, vec![engineers("okta")]).await;
        admit(store, &scene, &okta, "s-1", &user("new-1")).await.unwrap();
        let Some(_minting) = world.as_if_minting().await else { continue };
        let again = admit(store, &scene, &okta, "s-1", &user("new-2")).await.unwrap();
        assert_eq!((again.signed_in.user.as_str(), again.joined), ("new-1", Vec::new()), "{}", world.name);
        lets_in_nobody(&world).await;
        let stranger = admit(store, &scene, &okta, "s-3", &user("new-3")).await;
        assert_eq!(stranger, Err(AdmitError::NotAdmitted), "{}", world.name);
    }
}

/// Takes the rule from the team without the lock that a change of a team takes.
async fn lets_in_nobody(world: &World) {
    world.sabotage("UPDATE teams SET policy = replace(policy, '\"eng\"', '\"none\"')").await;
}
