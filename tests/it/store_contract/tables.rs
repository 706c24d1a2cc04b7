//! Teams, agents, keys, settings: what is kept, what is refused.

use brevet::domain::access::Identity;
use brevet::domain::audience::Audience;
use brevet::domain::id::CredentialId;
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::region::Region;
use brevet::domain::session::{Authentication, SessionOrigin};
use brevet::domain::settings::ProviderLayer;
use brevet::domain::signing_key::{KeyTimes, SigningKey};
use brevet::domain::team::AudienceRule;
use brevet::store::{
    ChangeError, DeadReason, Page, Remember, ServiceAccountChange, Store, StoreError, TeamChange, UserChange,
    WorkerKeyChange,
};
use time::Duration;

use super::world::{
    NOW, Scene, World, account, account_uid, administrator, credential, event, fresh, hash, issuer_url, retime,
    signing_key, team, team_uid, user, user_uid,
};

#[tokio::test(flavor = "multi_thread")]
async fn threat_11_a_uid_is_never_reused_in_whatever_case_also_after_deletion() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        for deleted in [false, true] {
            if deleted {
                store.delete_service_account(&scene.account, None, &event()).await.unwrap();
                store.delete_user(&scene.user, None, &event()).await.unwrap();
            }
            for uid in ["person-1", "Person-1", "PERSON-1"] {
                let taken = store.create_user(&user(uid), &event(), None).await;
                assert_eq!(taken, Err(ChangeError::UidTaken), "{name} {uid} {deleted}");
            }
            let taken = store.create_service_account(&account("Agent-1", "team-1"), &event(), None).await;
            assert_eq!(taken, Err(ChangeError::UidTaken), "{name} {deleted}");
        }
        store.delete_team(&scene.team, None, &event()).await.unwrap();
        for (uid, external_id) in [("TEAM-1", "another"), ("team-2", "external-team-1")] {
            let mut again = team(uid);
            again.external_id = external_id.to_owned();
            assert_eq!(store.create_team(&again, &event(), None).await, Err(ChangeError::UidTaken), "{name} {uid}");
        }
        assert_eq!(store.team(&scene.team).await, Ok(None));
        assert_eq!(store.user(&scene.user).await, Ok(None));
        assert_eq!(store.service_account(&scene.account).await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_version_changes_nothing_and_learns_the_current_one() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let stale = |current| ChangeError::VersionMismatch { current };
        let before = store.team(&scene.team).await.unwrap().unwrap();
        let change = TeamChange { name: Some("B".to_owned()), ..TeamChange::default() };
        let refused = store.update_team(&scene.team, Some(before.version - 1), &change, &event()).await;
        assert_eq!(refused, Err(stale(before.version)), "{name}");
        assert_eq!(store.team(&scene.team).await.unwrap().unwrap(), before);
        let after = store.update_team(&scene.team, Some(before.version), &change, &event()).await.unwrap();
        assert_eq!((after.name.as_str(), after.version), ("B", before.version + 1));
        assert_eq!(store.team(&scene.team).await.unwrap().unwrap(), after);
        let refused = store.delete_team(&scene.team, Some(before.version), &event()).await;
        assert_eq!(refused, Err(stale(after.version)));

        let change = UserChange { email: Some(None), ..UserChange::default() };
        assert_eq!(store.update_user(&scene.user, Some(9), &change, &event()).await, Err(stale(1)));
        assert_eq!(store.update_user(&scene.user, Some(1), &change, &event()).await.unwrap().email, None);
        let change = ServiceAccountChange { disabled_at: Some(Some(NOW)), ..ServiceAccountChange::default() };
        assert_eq!(store.update_service_account(&scene.account, Some(9), &change, &event()).await, Err(stale(1)));
        let account = store.update_service_account(&scene.account, Some(1), &change, &event()).await.unwrap();
        assert_eq!((account.disabled_at, account.version), (Some(NOW), 2));
        let change = WorkerKeyChange { teams: Some(Vec::new()), ..WorkerKeyChange::default() };
        assert_eq!(store.update_worker_key(scene.worker_key, Some(9), &change, &event()).await, Err(stale(1)));
        let key = store.update_worker_key(scene.worker_key, Some(1), &change, &event()).await.unwrap();
        assert_eq!(store.worker_key(scene.worker_key).await.unwrap(), Some(key));
        let nobody = team_uid("nobody");
        let change = TeamChange::default();
        assert_eq!(store.update_team(&nobody, None, &change, &event()).await, Err(ChangeError::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_without_gaps_or_repeats() {
    for World { store, name, .. } in World::each().await {
        let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
        for n in 0..7 {
            store.create_team(&team(&format!("team-{n}")), &event(issuer), None).await.unwrap();
        }
        store.delete_team(&team_uid("team-3"), None, &event(issuer)).await.unwrap();
        let (mut seen, mut page) = (Vec::new(), Page { after: None, limit: 2 });
        loop {
            let paged = store.teams(&page).await.unwrap();
            assert!(paged.items.len() <= 2);
            seen.extend(paged.items.into_iter().map(|team| team.uid.to_string()));
            let Some(next) = paged.next else { break };
            page.after = Some(next);
        }
        assert_eq!(seen, ["team-0", "team-1", "team-2", "team-4", "team-5", "team-6"], "{name}");
        for bad in ["\0", "a b", "é"] {
            let page = Page { after: Some(bad.to_owned()), limit: 2 };
            assert_eq!(store.teams(&page).await, Err(StoreError::Cursor));
            assert_eq!(store.users(&page).await, Err(StoreError::Cursor));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_create_is_remembered_without_its_secret_and_for_its_caller_only() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let remember = Remember {
            credential: scene.access,
            key: "once".to_owned(),
            request_sha256: "a".repeat(64),
            resource: "{\"uid\":\"team-2\"}".to_owned(),
            at: NOW,
        };
        store.create_team(&team("team-2"), &scene.event(), Some(&remember)).await.unwrap();
        let known = store.remembered(scene.access, "once").await.unwrap().unwrap();
        assert_eq!((&known.request_sha256, &known.resource), (&remember.request_sha256, &remember.resource));
        assert_eq!(store.remembered(scene.account_key, "once").await.unwrap(), None);
        assert_eq!(store.remembered(scene.access, "twice").await.unwrap(), None);
        let parallel = store.create_team(&team("team-3"), &scene.event(), Some(&remember)).await;
        assert_eq!(parallel, Err(ChangeError::Conflict("idempotency_key")), "{name}");
        assert_eq!(store.team(&team_uid("team-3")).await.unwrap(), None, "undone as a whole");
        assert_eq!(store.forget_idempotency_before(NOW + Duration::SECOND).await, Ok(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_counts_in_the_team_and_reaches_the_next_decision() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let before = store.team_facts(&scene.team, NOW).await.unwrap().unwrap();
        assert!(before.layers.is_empty());
        let layer = ProviderLayer { region: Region::parse("us-east-1").ok(), ..ProviderLayer::default() };
        let agent = Some(&scene.account);
        for (account, expected) in [(None, 0), (agent, 0), (agent, 1)] {
            let stale = store.put_provider_layer(&scene.team, account, Some(7), &layer, &event()).await;
            assert_eq!(stale, Err(ChangeError::VersionMismatch { current: expected }), "{name}");
            let version = store.put_provider_layer(&scene.team, account, Some(expected), &layer, &event()).await;
            assert_eq!(version, Ok(expected + 1));
            let read = store.provider_layer(&scene.team, account).await.unwrap();
            assert_eq!(read, Some((layer.clone(), expected + 1)));
        }
        let after = store.team_facts(&scene.team, NOW).await.unwrap().unwrap();
        assert_eq!(after.team.version, before.team.version + 3);
        let mut layers = after.layers;
        layers.sort_by_key(|(account, _)| account.clone());
        assert_eq!(layers, [(None, layer.clone()), (Some(scene.account.clone()), layer.clone())]);
        store.create_team(&team("team-2"), &event(), None).await.unwrap();
        for (team, account) in [("team-2", agent), ("nobody", None), ("team-1", Some(&account_uid("nobody")))] {
            let missing = store.put_provider_layer(&team_uid(team), account, None, &layer, &event()).await;
            assert_eq!(missing, Err(ChangeError::NotFound), "{name} {team}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workers_audience_is_known_to_its_teams_and_on_no_teams_list() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let facts = async || store.team_facts(&scene.team, NOW).await.unwrap().unwrap();
        let audience = Audience::parse("https://worker.example.com").unwrap();
        assert_eq!(facts().await.worker_audiences, std::slice::from_ref(&audience), "{name}");
        let late = store.team_facts(&scene.team, NOW + Duration::hours(13)).await.unwrap().unwrap();
        assert!(late.worker_audiences.is_empty(), "an expired key serves nobody");

        let mut policy = facts().await.team.policy;
        policy.audiences.push(AudienceRule { audience: audience.clone(), lifetime_cap: None });
        let change = TeamChange { policy: Some(policy), ..TeamChange::default() };
        let refused = store.update_team(&scene.team, None, &change, &event()).await;
        assert_eq!(refused, Err(ChangeError::Conflict("audience_of_worker")));
        let key = credential();
        let refused = store.create_worker_key(&key, &Audience::sts(), &[], &event(), None).await;
        assert_eq!(refused, Err(ChangeError::Conflict("audience_of_team")));
        let near = Audience::parse("sts.amazonaws.co%").unwrap();
        store.create_worker_key(&key, &near, std::slice::from_ref(&scene.team), &event(), None).await.unwrap();
        let before = facts().await;
        assert_eq!(before.worker_audiences.len(), 2);
        store.revoke_worker_key(key.id, Some(1), &event()).await.unwrap();
        let after = facts().await;
        assert_eq!((after.worker_audiences.len(), after.team.version), (1, before.team.version + 1));
    }
}

async fn dead(store: &Store, id: CredentialId, at: time::OffsetDateTime) -> Option<DeadReason> {
    store.credential(&hash(id), at).await.unwrap().unwrap().dead
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_tells_whose_it_is_and_why_it_is_dead() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let find = async |id| store.credential(&hash(id), NOW).await.unwrap().unwrap();
        let by = Authentication { origin: SessionOrigin::EnrolmentCode, amr: Vec::new() };
        let person = Identity::Person { user: scene.user.clone(), session: scene.session, by };
        assert_eq!(find(scene.access).await.identity, person, "{name}");
        let agent = Identity::ServiceAccount { uid: scene.account.clone(), team: scene.team.clone() };
        assert_eq!(find(scene.account_key).await.identity, agent);
        let audience = Audience::parse("https://worker.example.com").unwrap();
        let worker = Identity::Worker { teams: vec![scene.team.clone()], audience };
        assert_eq!(find(scene.worker_key).await.identity, worker);
        assert_eq!(store.credential(&hash(fresh()), NOW).await.unwrap(), None);
        for id in [scene.access, scene.account_key, scene.worker_key] {
            assert_eq!(dead(&store, id, NOW).await, None);
            assert_eq!(dead(&store, id, NOW + Duration::hours(12)).await, Some(DeadReason::CredentialExpired));
        }
        store.touch_credentials(&[(scene.access, NOW), (fresh(), NOW)]).await.unwrap();
        store.touch_credentials(&[(scene.access, NOW - Duration::HOUR)]).await.unwrap();
        assert_eq!(find(scene.access).await.last_used_at, Some(NOW));

        let off = Some(Some(NOW));
        let change = UserChange { disabled_at: off, ..UserChange::default() };
        store.update_user(&scene.user, None, &change, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.access, NOW).await, Some(DeadReason::UserDisabled));
        store.end_session(&scene.user, scene.session, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.access, NOW).await, Some(DeadReason::SessionEnded));
        let change = TeamChange { disabled_at: off, ..TeamChange::default() };
        store.update_team(&scene.team, None, &change, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.account_key, NOW).await, Some(DeadReason::TeamDisabled));
        let change = ServiceAccountChange { disabled_at: off, ..ServiceAccountChange::default() };
        store.update_service_account(&scene.account, None, &change, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.account_key, NOW).await, Some(DeadReason::ServiceAccountDisabled));
        store.revoke_service_account_key(&scene.account, scene.account_key, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.account_key, NOW).await, Some(DeadReason::CredentialRevoked));
        store.revoke_worker_key(scene.worker_key, None, &event()).await.unwrap();
        assert_eq!(dead(&store, scene.worker_key, NOW).await, Some(DeadReason::CredentialRevoked));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_ends_with_the_second_and_the_last_one_stays() {
    for World { store, name, .. } in World::each().await {
        let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
        let (first, first_key) = (administrator(true), credential());
        assert!(store.create_first_administrator(&first, &first_key, &event(issuer)).await.unwrap());
        let again = store.create_first_administrator(&administrator(true), &credential(), &event(issuer)).await;
        assert_eq!(again, Ok(false), "{name}");
        let last = store.revoke_administrator(first.id, None, &event(issuer)).await;
        assert_eq!(last, Err(ChangeError::Conflict("last_administrator")));
        let (second, second_key) = (administrator(false), credential());
        store.create_administrator(&second, &second_key, &event(issuer), None).await.unwrap();
        assert_eq!(dead(&store, first_key.id, NOW).await, Some(DeadReason::CredentialRevoked));
        assert_eq!(dead(&store, second_key.id, NOW).await, None);
        let listed = store.administrators(&Page::default()).await.unwrap().items;
        assert_eq!(listed, [second]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_administrator_that_ran_out_makes_room_for_another() {
    for World { store, name, .. } in World::each().await {
        let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
        assert!(store.create_first_administrator(&administrator(true), &credential(), &event(issuer)).await.unwrap());
        let mut later = event(issuer);
        later.at = NOW + Duration::DAY;
        let another = store.create_first_administrator(&administrator(true), &credential(), &later).await;
        assert_eq!(another, Ok(true), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_14_a_store_has_one_issuer_and_a_key_one_owner() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        assert_eq!(store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id, scene.issuer);
        let other = IssuerUrl::parse("https://staging.example.com", Development::Off).unwrap();
        let refused = store.ensure_issuer(&other, fresh(), NOW).await.unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("https://id.example.com") && told.contains("https://staging.example.com"), "{told}");

        world
            .sabotage(
                "INSERT INTO issuers (id, url, kind, team_uid, max_age, export_lag, clock_error, oldest_snapshot,
                    publish_before_sign, keep_after_sign, rotation_period, x5c, created_at)
                SELECT '00000000-0000-0000-0000-0000000000ff', 'https://t.example.com', 'team', 'team-1', max_age,
                    export_lag, clock_error, oldest_snapshot, publish_before_sign, keep_after_sign, rotation_period,
                    x5c, created_at FROM issuers",
            )
            .await;
        let second = brevet::domain::id::IssuerId::parse("00000000-0000-0000-0000-0000000000ff").unwrap();
        assert!(store.kid_known_elsewhere(second, &scene.key.kid).await.unwrap());
        assert!(!store.kid_known_elsewhere(scene.issuer, &scene.key.kid).await.unwrap());
        let stolen = signing_key(second, 'k');
        let refused = store.insert_first_keys(second, &[stolen], &scene.event()).await;
        assert_eq!(refused, Err(ChangeError::Conflict("signing_key_known")), "{}", world.name);
        assert_eq!(store.signing_keys(second).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_back_as_they_went_and_change_by_comparison() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        assert_eq!(store.signing_keys(scene.issuer).await.unwrap(), std::slice::from_ref(&scene.key), "{name}");
        let more = store.insert_first_keys(scene.issuer, &[signing_key(scene.issuer, 'l')], &scene.event()).await;
        assert_eq!(more, Ok(false));
        let old = scene.key.times;
        let new = KeyTimes { sign_until: None, publish_until: None, ..old };
        let set = async |expected, times| {
            let key = SigningKey { times: expected, ..scene.key.clone() };
            retime(&store, &key, times).await.map(drop)
        };
        let changed = Err(ChangeError::Conflict("signing_keys_changed"));
        assert_eq!(set(new, old).await, changed);
        assert_eq!(set(old, new).await, Ok(()));
        assert_eq!(set(old, new).await, changed);
        assert_eq!(store.signing_keys(scene.issuer).await.unwrap()[0].times, new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_in_or_for_what_is_gone() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        store.delete_service_account(&scene.account, None, &event()).await.unwrap();
        store.delete_user(&scene.user, None, &event()).await.unwrap();
        store.delete_team(&scene.team, None, &event()).await.unwrap();
        let gone = Err(ChangeError::NotFound);
        assert_eq!(store.create_service_account(&account("a2", "team-1"), &event(), None).await, gone, "{name}");
        assert_eq!(store.create_service_account_key(&scene.account, &credential(), &event(), None).await, gone);
        let code = super::world::new_code(&user_uid("person-1"));
        assert_eq!(store.create_enrolment_code(&code, &event(), None).await, gone);
        let audience = Audience::parse("https://w2.example.com").unwrap();
        let teams = [scene.team.clone()];
        assert_eq!(store.create_worker_key(&credential(), &audience, &teams, &event(), None).await, gone);
        assert_eq!(store.worker_keys(&Page::default()).await.unwrap().items.len(), 1, "undone as a whole");
        assert_eq!(store.team_facts(&scene.team, NOW).await, Ok(None));
        assert_eq!(store.delete_team(&scene.team, None, &event()).await, gone);
    }
}
