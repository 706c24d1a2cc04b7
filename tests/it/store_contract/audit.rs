//! Audit rows: written whole, read back whole, never at another row's cost.

use brevet::domain::audit::{Action, Decision, Event, RecordedEvent};
use brevet::domain::id::{TeamUid, TokenId};
use brevet::domain::platform::{PlatformRight, PlatformRights};
use brevet::store::{AuditWriter, EventFilter, Page, QueueFull, Release, StoreError, Verdict};
use time::Duration;

use super::world::{NOW, Scene, World, credential};

fn recorded(event: &Event) -> RecordedEvent {
    let Event { id, at, issuer, action, decision, credential, worker, count, .. } = *event;
    RecordedEvent {
        id,
        at,
        issuer,
        action,
        decision,
        reason: event.reason.map(str::to_owned),
        credential,
        worker,
        team: event.team.clone(),
        principal: event.principal.clone(),
        target: event.target.clone(),
        token: event.token.clone(),
        origin: event.origin.clone(),
        count,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_comes_back_as_it_went_and_is_found_by_its_token() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start(store.clone());
        let mut release = scene.release(&store, scene.agent()).await;
        release.event.worker = Some(scene.worker_key);
        release.event.target = Some("a \"quoted\" \\ text, ünïcode, {json}".to_owned());
        let event = release.event.clone();
        assert_eq!(writer.release(release).unwrap().committed().await, Ok(Verdict::Released), "{name}");
        let token = TokenId::parse(&event.token.as_ref().unwrap().token_id).unwrap();
        assert_eq!(store.event_of_token(token).await.unwrap(), Some(recorded(&event)));
        let refusal = Event { decision: Decision::Refused, reason: Some("role_not_allowed"), ..scene.event() };
        let answer = writer.append(refusal.clone()).unwrap().committed().await;
        assert_eq!(answer, Ok(Verdict::Released));
        let filter = EventFilter { decision: Some(Decision::Refused), ..EventFilter::default() };
        assert_eq!(store.events(&filter, &Page::default()).await.unwrap().items, [recorded(&refusal)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_listed_newest_first_in_pages_and_by_every_filter() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start(store.clone());
        let mut rows = Vec::new();
        for second in 0..5 {
            // Two rows in each instant: the order must not depend on luck.
            for _ in 0..2 {
                let at = NOW + Duration::seconds(second) + Duration::DAY;
                rows.push(Event { at, action: Action::Authenticate, team: Some(scene.team.clone()), ..scene.event() });
            }
        }
        for row in rows.clone() {
            writer.append(row).unwrap().committed().await.unwrap();
        }
        let filter = EventFilter { action: Some(Action::Authenticate), ..EventFilter::default() };
        let (mut seen, mut page) = (Vec::new(), Page { after: None, limit: 3 });
        loop {
            let paged = store.events(&filter, &page).await.unwrap();
            seen.extend(paged.items);
            let Some(next) = paged.next else { break };
            page.after = Some(next);
        }
        rows.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
        assert_eq!(seen, rows.iter().map(recorded).collect::<Vec<_>>(), "{name}");
        let count = async |filter: EventFilter| store.events(&filter, &Page::default()).await.unwrap().items.len();
        let from = Some(NOW + Duration::DAY + Duration::seconds(1));
        let until = Some(NOW + Duration::DAY + Duration::seconds(3));
        assert_eq!(count(EventFilter { from, until, ..filter.clone() }).await, 4);
        assert_eq!(count(EventFilter { team: Some(scene.team.clone()), ..filter.clone() }).await, 10);
        assert_eq!(count(EventFilter { principal: Some(scene.agent()), ..filter }).await, 0);
        for bad in ["x", "1", ".", "x.y"] {
            let page = Page { after: Some(bad.to_owned()), limit: 3 };
            assert_eq!(store.events(&EventFilter::default(), &page).await, Err(StoreError::Cursor), "{bad}");
        }
        assert!(store.forget_events_before(NOW + Duration::hours(1), 1000).await.unwrap() > 0);
        assert_eq!(count(EventFilter::default()).await, 10, "retention takes the old and leaves the rest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_fails_nobody_but_itself() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let writer = AuditWriter::start(store.clone());
        let taken = scene.event();
        writer.append(taken.clone()).unwrap().committed().await.unwrap();
        // Queued without a pause, so that they share a batch: the writer is busy with the first ones.
        let spoil = |n: usize, release: &mut Release| {
            if n % 20 == 7 {
                release.event.id = taken.id;
            }
            n % 20 == 7
        };
        only_bad_rows_fail(&world, &scene, &writer, 60, spoil).await;
        let stats = writer.stats();
        assert_eq!((stats.failed, stats.committed), (3, 58), "{name}");
        assert!(stats.batches < 30, "{name}: batches form while one commits, not row by row: {stats:?}");
    }
}

#[tokio::test]
async fn a_bad_row_behind_many_good_ones_fails_nobody_but_itself() {
    for world in World::each().await {
        let scene = Scene::set(&world.store).await;
        let writer = AuditWriter::start(world.store.clone());
        let taken = scene.event();
        writer.append(taken.clone()).unwrap().committed().await.unwrap();
        // On this one thread all are queued before the first is written.
        let spoil = |n: usize, release: &mut Release| {
            if n == 150 {
                release.event.id = taken.id;
            }
            n == 150
        };
        only_bad_rows_fail(&world, &scene, &writer, 200, spoil).await;
    }
}

/// Queues `rows` releases, of which `spoil` spoils some and says which, and sees that these alone are refused and have no
/// row.
async fn only_bad_rows_fail(
    world: &World,
    scene: &Scene,
    writer: &AuditWriter,
    rows: usize,
    spoil: impl Fn(usize, &mut Release) -> bool,
) {
    let (store, name) = (&world.store, world.name);
    let version = store.team(&scene.team).await.unwrap().unwrap().version;
    let mut tickets = Vec::new();
    for n in 0..rows {
        let mut release = scene.release_under(version, scene.agent());
        let bad = spoil(n, &mut release);
        tickets.push((bad, release.event.clone(), writer.release(release).unwrap()));
    }
    for (bad, event, ticket) in tickets {
        let token = TokenId::parse(&event.token.unwrap().token_id).unwrap();
        let answer = ticket.committed().await;
        assert_eq!(matches!(answer, Err(StoreError::Refused(_))), bad, "{name} {answer:?}");
        assert_eq!(store.event_of_token(token).await.unwrap().is_some(), !bad, "{name}");
    }
}

#[tokio::test]
async fn what_is_alive_has_its_row_beside_what_is_not_whether_a_run_is_counted_in_the_batch_or_none() {
    for world in World::each().await {
        let (store, name) = (&world.store, world.name);
        let scene = Scene::set(store).await;
        let version = store.team(&scene.team).await.unwrap().unwrap().version;
        for counted in [false, true] {
            let writer = AuditWriter::start(store.clone());
            // Some were decided under an older version of the team; then all were.
            for (batch, stale) in [(1, [2, 6].as_slice()), (2, &[0, 1, 2, 3, 4, 5, 6])] {
                let mut tickets = Vec::new();
                for n in 0..7 {
                    let stale = stale.contains(&n);
                    let mut release = scene.release_under(version - i64::from(stale), scene.agent());
                    let of_no_run = counted && n == 5;
                    if of_no_run {
                        release.event.token.as_mut().unwrap().run_id = Some("0".repeat(20));
                    }
                    let token = TokenId::parse(&release.event.token.as_ref().unwrap().token_id).unwrap();
                    tickets.push((stale || of_no_run, token, writer.release(release).unwrap()));
                }
                for (dead, token, ticket) in tickets {
                    let expected = if dead { Verdict::NotAlive } else { Verdict::Released };
                    assert_eq!(ticket.committed().await, Ok(expected), "{name}, counted: {counted}");
                    assert_eq!(store.event_of_token(token).await.unwrap().is_some(), !dead, "{name}");
                }
                assert_eq!(writer.stats().batches, batch, "{name}: on this one thread all are one batch");
            }
        }
    }
}

/// What refuses rows of one user agent: on PostgreSQL not before the commit of the whole batch; on SQLite it ends the
/// whole transaction, as a full disk does.
const REFUSED_ON_POSTGRES: &str = "
    CREATE FUNCTION bad_row() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'a bad row' USING ERRCODE = '23514'; END $$;
    DO $$ DECLARE part text; BEGIN
        FOR part IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass LOOP
            EXECUTE format('CREATE CONSTRAINT TRIGGER bad_row AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.user_agent = ''bad/1'') EXECUTE FUNCTION bad_row()', part);
        END LOOP;
    END $$";
const REFUSED_ON_SQLITE: &str = "CREATE TRIGGER bad_row BEFORE INSERT ON audit_events WHEN NEW.user_agent = 'bad/1'
    BEGIN SELECT RAISE(ROLLBACK, 'a bad row'); END";

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_at_the_commit_fails_nobody_but_itself() {
    for world in World::each().await {
        let scene = Scene::set(&world.store).await;
        world.sabotage(if world.is_postgres() { REFUSED_ON_POSTGRES } else { REFUSED_ON_SQLITE }).await;
        let writer = AuditWriter::start(world.store.clone());
        let spoil = |n: usize, release: &mut Release| {
            if n % 20 == 7 {
                release.event.origin.user_agent = Some("bad/1".to_owned());
            }
            n % 20 == 7
        };
        only_bad_rows_fail(&world, &scene, &writer, 40, spoil).await;
        // Nor does a change whose row is refused: its transaction is over, and the next one has another.
        let rights: PlatformRights = [PlatformRight::ALL[0]].into_iter().collect();
        for bad in [true, false, true, false] {
            let mut event = scene.event();
            event.origin.user_agent = bad.then(|| "bad/1".to_owned());
            let key = credential();
            let made =
                world.store.create_platform_key(&key, std::slice::from_ref(&scene.team), &rights, &event, None).await;
            assert_eq!(made.is_err(), bad, "{} {made:?}", world.name);
            only_bad_rows_fail(&world, &scene, &writer, 2, |_, _| false).await;
        }
    }
}

#[tokio::test]
async fn a_full_queue_says_so_at_once_and_loses_nobody() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::with_capacity(store.clone(), 4);
        let row = |team: &str| Event { team: Some(TeamUid::parse(team).unwrap()), ..scene.event() };
        // On this one thread the writer cannot run until the first await.
        let mut tickets: Vec<_> = (0..3).map(|_| writer.append(row("red")).unwrap()).collect();
        assert_eq!(writer.append(row("red")).unwrap_err(), QueueFull, "{name}: one team has not all of it");
        tickets.push(writer.append(row("blue")).unwrap());
        assert_eq!(writer.append(row("green")).unwrap_err(), QueueFull, "{name}");
        assert_eq!(writer.stats().queued, 4);
        for ticket in tickets {
            assert_eq!(ticket.committed().await, Ok(Verdict::Released));
        }
        let after = writer.append(scene.event()).unwrap().committed().await;
        assert_eq!(after, Ok(Verdict::Released));
    }
}

#[tokio::test]
async fn threat_24_a_teams_row_does_not_wait_behind_all_of_another_team() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start(store.clone());
        let row = |team: &str| Event { team: Some(TeamUid::parse(team).unwrap()), ..scene.event() };
        // On this one thread the writer cannot run until the first await: all of them wait before it takes a batch.
        let many: Vec<_> = (0..300).map(|_| writer.append(row("red")).unwrap()).collect();
        let one = writer.append(row("blue")).unwrap();
        assert_eq!(one.committed().await, Ok(Verdict::Released), "{name}");
        let (committed, batches) = (writer.stats().committed, writer.stats().batches);
        assert_eq!(batches, 1, "{name}: {committed} rows were written before it");
        for ticket in many {
            assert_eq!(ticket.committed().await, Ok(Verdict::Released), "{name}");
        }
    }
}

#[tokio::test]
async fn rows_that_nobody_will_write_keep_nobody_waiting() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let writer = {
            let _entered = runtime.enter();
            AuditWriter::start(store.clone())
        };
        // Its thread never runs, and then it is gone.
        let ticket = writer.append(scene.event()).unwrap();
        runtime.shutdown_background();
        assert!(ticket.committed().await.is_err(), "{name}");
        assert_eq!(writer.append(scene.event()).unwrap_err(), QueueFull, "{name}");
    }
}

#[tokio::test]
async fn a_writer_on_a_thread_of_its_own_writes_all_and_ends_with_its_last_clone() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start_apart(store.clone()).await.unwrap();
        let release = scene.release(&store, scene.agent()).await;
        let token = TokenId::parse(&release.event.token.as_ref().unwrap().token_id).unwrap();
        let ticket = writer.release(release).unwrap();
        // This runtime has one thread, which waits here: the batch does not need it.
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        while writer.stats().committed == 0 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(ticket.committed().await, Ok(Verdict::Released), "{name}");
        assert!(store.event_of_token(token).await.unwrap().is_some(), "{name}");
        // What is queued as the last of those who could ask for more goes is written still.
        let last = writer.append(scene.event()).unwrap();
        drop(writer);
        assert_eq!(last.committed().await, Ok(Verdict::Released), "{name}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_41_refusals_of_nobody_are_counted_in_few_rows_and_none_is_lost() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start(store.clone());
        for n in 0..20_000_u32 {
            let mut event = scene.event();
            event.action = Action::Authenticate;
            event.decision = Decision::Refused;
            event.reason = Some("credential_unknown");
            event.origin.address = Some((n % 5_000).to_be_bytes().into());
            writer.append_counted(event);
        }
        // A mint in the middle of the flood is not behind it.
        let release = scene.release(&store, scene.agent()).await;
        assert_eq!(writer.release(release).unwrap().committed().await, Ok(Verdict::Released), "{name}");
        writer.drain().await;
        let filter = EventFilter { action: Some(Action::Authenticate), ..EventFilter::default() };
        let (mut rows, mut sum, mut page) = (0, 0, Page::default());
        loop {
            let paged = store.events(&filter, &page).await.unwrap();
            rows += paged.items.len();
            sum += paged.items.iter().map(|row| row.count).sum::<u32>();
            let Some(next) = paged.next else { break };
            page.after = Some(next);
        }
        assert_eq!((rows, sum), (257, 20_000), "{name}");
        assert_eq!(writer.append(scene.event()).unwrap_err(), QueueFull, "a drained writer takes nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_writes_whatever_was_queued() {
    for World { store, name, .. } in World::each().await {
        let scene = Scene::set(&store).await;
        let writer = AuditWriter::start(store.clone());
        let tickets: Vec<_> = (0..1000).map(|_| writer.append(scene.event()).unwrap()).collect();
        writer.drain().await;
        for ticket in tickets {
            assert_eq!(ticket.committed().await, Ok(Verdict::Released), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_each_month_has_its_partition() {
    use sqlx::Connection as _;
    for world in World::each().await {
        let brevet::store::Target::Postgres { url } = &world.target else { continue };
        let scene = Scene::set(&world.store).await;
        let writer = AuditWriter::start(world.store.clone());
        for days in [0, 40, 4000] {
            let event = Event { at: NOW + days * Duration::DAY, ..scene.event() };
            writer.append(event).unwrap().committed().await.unwrap();
        }
        let mut connection = sqlx::PgConnection::connect(url.expose()).await.unwrap();
        let count = async |connection: &mut sqlx::PgConnection, table: &str| -> i64 {
            let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
        };
        assert!(count(&mut connection, "audit_events_2026_11").await > 1);
        assert_eq!(count(&mut connection, "audit_events_2026_12").await, 1);
        assert_eq!(count(&mut connection, "audit_events_2027_02").await, 0);
        assert_eq!(count(&mut connection, "audit_events_default").await, 1);
        // A month whose retention is over goes as a whole, and no day before its end.
        let old = NOW - 500 * Duration::DAY;
        world.store.make_audit_partitions(old).await.unwrap();
        writer.append(Event { at: old, ..scene.event() }).unwrap().committed().await.unwrap();
        assert_eq!(count(&mut connection, "audit_events_2025_07").await, 1);
        let dropped =
            world.store.drop_audit_partitions_before(time::macros::datetime!(2025-08-31 23:59 UTC)).await.unwrap();
        assert_eq!(dropped, ["audit_events_2025_07"]);
        let left =
            world.store.drop_audit_partitions_before(time::macros::datetime!(2025-09-01 0:00 UTC)).await.unwrap();
        assert_eq!(left, ["audit_events_2025_08"]);
        let all = count(&mut connection, "audit_events").await;
        assert!(all > 3 && count(&mut connection, "audit_events_default").await == 1, "{all}");
        // A month whose rows the default partition already holds stays there, and nothing fails.
        world.store.make_audit_partitions(NOW + 4000 * Duration::DAY).await.unwrap();
        assert_eq!(count(&mut connection, "audit_events_default").await, 1);
    }
}
