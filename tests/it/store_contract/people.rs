//! People: memberships, sessions, deletion.

use brevet::domain::audit::Action;
use brevet::domain::id::SessionId;
use brevet::domain::principal::Principal;
use brevet::domain::role::TeamRole;
use brevet::domain::team::Membership;
use brevet::store::{
    AuditWriter, ChangeError, DeadReason, EventFilter, MemberReach, MembershipChange, NewEnrolmentCode, Page,
    RedeemError, Remember, UserChange,
};
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
        brevet::store::Target::Postgres { url } | brevet::store::Target::Pooled { direct: url, .. } => {
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
        let membership = Membership::new(scene.team.clone(), scene.user.clone(), NOW);
        let again = store.add_member(&membership, MemberReach::Everyone, &event()).await;
        assert_eq!(again, Err(ChangeError::Conflict("already_member")), "{name}");
        store.create_team(&team("team-2"), &event(), None).await.unwrap();
        let second = Membership { team: team("team-2").uid, ..membership.clone() };
        store.add_member(&second, MemberReach::Everyone, &event()).await.unwrap();
        let teams = store.memberships_of(&scene.user).await.unwrap();
        assert_eq!(teams.iter().map(|team| team.uid.as_str()).collect::<Vec<_>>(), ["team-1", "team-2"]);
        store.remove_member(&scene.team, &scene.user, &event()).await.unwrap();
        assert_eq!(store.remove_member(&scene.team, &scene.user, &event()).await, Err(ChangeError::NotFound));
        assert_eq!(store.members(&scene.team, &Page::default()).await.unwrap().items, []);
        store.add_member(&membership, MemberReach::Everyone, &event()).await.unwrap();
        let members = store.members(&scene.team, &Page::default()).await.unwrap().items;
        assert_eq!(members.iter().map(|member| &member.membership).collect::<Vec<_>>(), [&membership]);
        let stranger = Membership::new(scene.team.clone(), user_uid("nobody"), NOW);
        assert_eq!(store.add_member(&stranger, MemberReach::Everyone, &event()).await, Err(ChangeError::NotFound));
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
        assert_eq!(redeem(code.hash, NOW).await.unwrap().0.user, scene.user);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_membership_is_remembered_and_lets_nobody_act() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let (team, user) = (&scene.team, &scene.user);
        let change = async |expected, role, disabled_at| {
            let change = MembershipChange { role, disabled_at };
            store.update_member(team, user, expected, &change, &scene.event()).await
        };
        let admin = change(Some(1), Some(TeamRole::Admin), None).await.unwrap();
        assert_eq!((admin.role, admin.version), (TeamRole::Admin, 2), "{name}");
        let stale = change(Some(1), Some(TeamRole::Member), None).await;
        assert_eq!(stale, Err(ChangeError::VersionMismatch { current: 2 }));
        let seat = store.seat(team, user, scene.session).await.unwrap().unwrap();
        assert_eq!((seat.role, seat.team_disabled, seat.sign_in_accepted), (TeamRole::Admin, false, true));
        let other = store.seat(&super::world::team("team-9").uid, user, scene.session).await.unwrap();
        assert_eq!(other, None, "no team");

        change(None, None, Some(Some(NOW))).await.unwrap();
        assert_eq!(store.seat(team, user, scene.session).await.unwrap(), None, "{name}");
        assert!(!store.is_member(team, user).await.unwrap());
        assert_eq!(store.memberships_of(user).await.unwrap(), []);
        let kept = store.member(team, user).await.unwrap().unwrap().membership;
        assert_eq!((kept.role, kept.disabled_at), (TeamRole::Admin, Some(NOW)));
        assert_eq!(store.teams_with(user).await.unwrap(), std::slice::from_ref(team), "it still binds them");
        let again = store
            .add_member(&Membership::new(team.clone(), user.clone(), NOW), MemberReach::Everyone, &scene.event())
            .await;
        assert_eq!(again, Err(ChangeError::Conflict("already_member")), "adding does not switch on");

        change(None, None, Some(None)).await.unwrap();
        assert!(store.is_member(team, user).await.unwrap(), "{name}");
        change(None, None, Some(Some(NOW))).await.unwrap();
        store.remove_member(team, user, &scene.event()).await.unwrap();
        assert_eq!(store.member(team, user).await.unwrap(), None, "{name}");
    }
}

/// Threat 38: whoever rules the first team of a person holds no session of theirs once they are in a second one.
#[tokio::test(flavor = "multi_thread")]
async fn threat_38_what_a_teams_admin_enrolled_ends_with_a_second_team() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let event = || scene.event();
        let of_admin = || NewEnrolmentCode { team: Some(scene.team.clone()), ..new_code(&scene.user) };
        let (used, open) = (of_admin(), of_admin());
        for code in [&used, &open] {
            store.create_enrolment_code(code, &event(), None).await.unwrap();
        }
        let session = new_session();
        store.redeem_enrolment_code(&used.hash, &session, NOW, &event()).await.unwrap();
        assert_eq!(store.sessions_of(&scene.user, NOW).await.unwrap().len(), 2, "{name}");

        store.create_team(&team("team-2"), &event(), None).await.unwrap();
        let second = Membership::new(team("team-2").uid, scene.user.clone(), NOW);
        let own = [team("team-2").uid];
        let stranger = store.add_member(&second, MemberReach::Within(&own), &event()).await;
        assert_eq!(stranger, Err(ChangeError::NotFound), "{name}: a person of another team is nobody");
        store.add_member(&second, MemberReach::Everyone, &event()).await.unwrap();
        let left = store.sessions_of(&scene.user, NOW).await.unwrap();
        assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [scene.session], "{name}");
        let late = store.redeem_enrolment_code(&open.hash, &new_session(), NOW, &event()).await;
        assert_eq!(late, Err(RedeemError::Used), "{name}");
        let another = store.create_enrolment_code(&of_admin(), &event(), None).await;
        assert_eq!(another, Err(ChangeError::NotFound), "{name}: they are in two teams now");
    }
}
