//! People: memberships, sessions, deletion.

use brevet::domain::audit::Action;
use brevet::domain::id::SessionId;
use brevet::domain::principal::Principal;
use brevet::domain::team::Membership;
use brevet::store::{AuditWriter, ChangeError, DeadReason, EventFilter, Page, RedeemError, Remember, UserChange};
use time::Duration;

use super::world::{NOW, Scene, World, fresh, hash, new_code, new_session, team, user, user_uid};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_person_erases_who_they_were_and_keeps_what_was_decided() {
    for world in World::each().await {
        let store = &world.store;
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        let release = scene.release(store, scene.person()).await;
        let minted = release.event.clone();
        writer.release(release).unwrap().committed().await.unwrap();
        let remember = Remember {
            credential: scene.access,
            key: "once".to_owned(),
            request_sha256: "a".repeat(64),
            resource: "{\"uid\":\"person-1\",\"name\":\"Ada Lovelace\"}".to_owned(),
            at: NOW,
        };
        store.create_team(&team("team-2"), &scene.event(), Some(&remember)).await.unwrap();
        store.delete_user(&scene.user, Some(1), &scene.event()).await.unwrap();

        let filter = EventFilter { principal: Some(scene.person()), ..EventFilter::default() };
        let rows = store.events(&filter, &Page::default()).await.unwrap().items;
        assert_eq!(rows.iter().filter(|row| row.action == Action::TokenMint).count(), 1, "{}", world.name);
        for row in &rows {
            assert_eq!((row.origin.address, &row.origin.user_agent), (None, &None), "{}", world.name);
        }
        let mint = rows.iter().find(|row| row.id == minted.id).unwrap();
        assert_eq!((&mint.token, &mint.team), (&minted.token, &minted.team));
        let session = store.session(scene.session).await.unwrap().unwrap();
        assert_eq!((session.device, session.opened_from.address, session.opened_from.user_agent), (None, None, None));
        assert!(session.ended_at.is_some());
        assert!(!store.is_member(&scene.team, &scene.user).await.unwrap());
        let access = store.credential(&hash(scene.access), NOW).await.unwrap().unwrap();
        assert_eq!(access.dead, Some(DeadReason::CredentialRevoked));
        // Also where no reader of ours would look.
        for (table, column) in [("users", "name"), ("users", "email"), ("idempotency_keys", "resource")] {
            assert_eq!(count_like(&world, table, column).await, 0, "{table}.{column}");
        }
    }
}

async fn count_like(world: &World, table: &str, column: &str) -> i64 {
    use sqlx::Connection as _;
    let sql = sqlx::AssertSqlSafe(format!(
        "SELECT COUNT(*) FROM {table} WHERE {column} LIKE '%Lovelace%' OR {column} LIKE 'ada@%'"
    ));
    match &world.target {
        brevet::store::Target::Sqlite { path } => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        }
        brevet::store::Target::Postgres { url } => {
            let mut connection = sqlx::PgConnection::connect(url.expose()).await.unwrap();
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_is_one_at_a_time_and_can_come_back() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let membership = Membership { team: scene.team.clone(), user: scene.user.clone(), created_at: NOW };
        let again = store.add_member(&membership, &event(), None).await;
        assert_eq!(again, Err(ChangeError::Conflict("already_member")), "{name}");
        store.create_team(&team("team-2"), &event(), None).await.unwrap();
        let second = Membership { team: team("team-2").uid, ..membership.clone() };
        store.add_member(&second, &event(), None).await.unwrap();
        let teams = store.memberships_of(&scene.user).await.unwrap();
        assert_eq!(teams.iter().map(|team| team.uid.as_str()).collect::<Vec<_>>(), ["team-1", "team-2"]);
        store.remove_member(&scene.team, &scene.user, &event()).await.unwrap();
        assert_eq!(store.remove_member(&scene.team, &scene.user, &event()).await, Err(ChangeError::NotFound));
        assert_eq!(store.members(&scene.team, &Page::default()).await.unwrap().items, []);
        store.add_member(&membership, &event(), None).await.unwrap();
        assert_eq!(store.members(&scene.team, &Page::default()).await.unwrap().items, [membership]);
        let stranger = Membership { team: scene.team.clone(), user: user_uid("nobody"), created_at: NOW };
        assert_eq!(store.add_member(&stranger, &event(), None).await, Err(ChangeError::NotFound));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_opens_nothing_says_why_and_is_not_spent() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let code = new_code(&scene.user);
        store.create_enrolment_code(&code, &event(), None).await.unwrap();
        let redeem = async |hash, at| store.redeem_enrolment_code(&hash, &new_session(), at, &event()).await;
        assert_eq!(redeem(hash(fresh()), NOW).await, Err(RedeemError::Unknown), "{name}");
        assert_eq!(redeem(code.hash, NOW + Duration::minutes(10)).await, Err(RedeemError::Expired));
        let off = UserChange { disabled_at: Some(Some(NOW)), ..UserChange::default() };
        store.update_user(&scene.user, None, &off, &event()).await.unwrap();
        assert_eq!(redeem(code.hash, NOW).await, Err(RedeemError::UserDead));
        let on = UserChange { disabled_at: Some(None), ..UserChange::default() };
        store.update_user(&scene.user, None, &on, &event()).await.unwrap();
        assert_eq!(redeem(code.hash, NOW).await.unwrap().user, scene.user);
        assert_eq!(redeem(code.hash, NOW).await, Err(RedeemError::Used));
        assert_eq!(redeem(code.hash, NOW + Duration::hours(1)).await, Err(RedeemError::Used));
        let withdrawn = new_code(&scene.user);
        store.create_enrolment_code(&withdrawn, &event(), None).await.unwrap();
        store.revoke_enrolment_code(withdrawn.id, &event()).await.unwrap();
        assert_eq!(redeem(withdrawn.hash, NOW).await, Err(RedeemError::Used));
        let filter = EventFilter { principal: Some(Principal::User(scene.user.clone())), ..EventFilter::default() };
        let rows = store.events(&filter, &Page::default()).await.unwrap().items;
        assert!(rows.iter().any(|row| row.credential.map(|(_, id)| id) == Some(code.id)), "the row names the code");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_20_a_session_is_ended_by_its_owner_only() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        store.create_user(&user("person-2"), &scene.event(), None).await.unwrap();
        let other = user_uid("person-2");
        let foreign = store.end_session(&other, scene.session, &scene.event()).await;
        assert_eq!(foreign, Err(ChangeError::NotFound), "{name}");
        let ids = async |user, at| -> Vec<SessionId> {
            store.sessions_of(user, at).await.unwrap().into_iter().map(|session| session.id).collect()
        };
        assert_eq!(ids(&other, NOW).await, []);
        assert_eq!(ids(&scene.user, NOW).await, [scene.session]);
        assert_eq!(ids(&scene.user, NOW + Duration::hours(12)).await, []);
        store.end_session(&scene.user, scene.session, &scene.event()).await.unwrap();
        assert_eq!(ids(&scene.user, NOW).await, []);
        let twice = store.end_session(&scene.user, scene.session, &scene.event()).await;
        assert_eq!(twice, Err(ChangeError::NotFound));
    }
}
