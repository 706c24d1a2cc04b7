//! What a mint answers when its audit row cannot be written, on both databases: 503 with `Retry-After`, and no token.
//! That a bad row fails none of its neighbours is in `store_contract::audit`.

use brevet::config::host::SystemClock;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock as _;
use brevet::domain::secret::Secret;
use brevet::store::Target;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::support::app::{Answer, App, Options};
use crate::support::postgres::{self, TestDatabase};

/// An app on each database there is, with an agent whose key has minted once: from here on it waits for its row alone. The
/// keys of the issuer are of P-256, whose signatures take no turns: what comes at once queues its rows at once.
async fn each(audit_queue: usize) -> Vec<(App, String, Option<TestDatabase>)> {
    let mut apps = Vec::new();
    for database in [None, postgres::database()].into_iter().enumerate().filter(|(n, it)| *n == 0 || it.is_some()) {
        let database = database.1;
        let target = database.as_ref().map(|it| Target::Postgres { url: Secret::new(it.url()) });
        let app =
            App::when(SystemClock.now(), Options { target, audit_queue, own_keys: true, ..Options::default() }).await;
        let team = app.team("red").await;
        let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
        apps.push((app, key, database));
    }
    apps
}

/// Six mints at once.
async fn six(app: &App, key: &str) -> Vec<Answer> {
    let body = json!({});
    join_all((0..6).map(|_| app.mint(key, &body))).await
}

fn told_to_come_back(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{answer}");
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer}");
    assert!(answer.json().get("token").is_none(), "{answer}");
}

#[tokio::test]
async fn threat_42_a_full_audit_queue_releases_no_token_and_says_when_to_come_back() {
    for (app, key, _database) in each(2).await {
        // Known anew, because a caller is remembered for ten seconds only: six that ask the database first come apart.
        app.issuer.forget();
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
        // On this one thread the writer cannot run before the first of them waits.
        let answers = six(&app, &key).await;
        let (released, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::OK);
        assert_eq!((released.len(), refused.len()), (2, 4));
        refused.into_iter().for_each(told_to_come_back);
        assert_eq!(app.rows(Action::TokenMint).await.len(), 4, "those that were released, and the two before");
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK, "the queue has room again");
    }
}

/// Fails every commit of audit rows as a full disk does.
const FULL: &str = "
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
    DO $$ DECLARE part text; BEGIN
        FOR part IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass LOOP
            EXECUTE format('CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION full_disk()', part);
        END LOOP;
    END $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_commit_that_fails_releases_no_token_and_readiness_says_why() {
    for (app, key, database) in each(brevet::store::QUEUE_MAX).await {
        let before = app.rows(Action::TokenMint).await.len();
        let answers = if let Some(database) = &database {
            let mut server = PgConnection::connect(&database.url()).await.unwrap();
            sqlx::raw_sql(FULL).execute(&mut server).await.unwrap();
            let answers = six(&app, &key).await;
            unready(&app, "could not extend file").await;
            sqlx::raw_sql("DROP FUNCTION full_disk CASCADE").execute(&mut server).await.unwrap();
            answers
        } else {
            // Somebody else has the one write lock, for longer than a batch waits for it.
            let options = SqliteConnectOptions::new().filename(app.dir.path().join("brevet.db"));
            let mut other = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
            let answers = six(&app, &key).await;
            unready(&app, "locked").await;
            sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
            answers
        };
        answers.iter().for_each(told_to_come_back);
        assert_eq!(app.rows(Action::TokenMint).await.len(), before);
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
        let parts = app.issuer.readiness().await;
        assert!(parts.iter().all(|part| part.fault.is_none()), "a row was written since: {parts:?}");
    }
}

/// Refuses every row for good, as a rule of somebody's own would: on PostgreSQL, on SQLite, and away with it.
const NEVER: [[&str; 2]; 2] = [
    [
        "ALTER TABLE audit_events ADD CONSTRAINT never_taken CHECK (at < 0) NOT VALID",
        "ALTER TABLE audit_events DROP CONSTRAINT never_taken",
    ],
    [
        "CREATE TRIGGER never_taken BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'never_taken'); END",
        "DROP TRIGGER never_taken",
    ],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_row_that_is_never_taken_releases_no_token_either() {
    for (app, key, database) in each(brevet::store::QUEUE_MAX).await {
        let before = app.rows(Action::TokenMint).await.len();
        let [on_postgres, on_sqlite] = NEVER;
        let answers = if let Some(database) = &database {
            let mut server = PgConnection::connect(&database.url()).await.unwrap();
            sqlx::raw_sql(on_postgres[0]).execute(&mut server).await.unwrap();
            let answers = six(&app, &key).await;
            unready(&app, "never_taken").await;
            sqlx::raw_sql(on_postgres[1]).execute(&mut server).await.unwrap();
            answers
        } else {
            let options = SqliteConnectOptions::new().filename(app.dir.path().join("brevet.db"));
            let mut other = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::raw_sql(on_sqlite[0]).execute(&mut other).await.unwrap();
            let answers = six(&app, &key).await;
            unready(&app, "never_taken").await;
            sqlx::raw_sql(on_sqlite[1]).execute(&mut other).await.unwrap();
            answers
        };
        answers.iter().for_each(told_to_come_back);
        assert_eq!(app.rows(Action::TokenMint).await.len(), before);
        assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
    }
}

/// Refuses rows of transactions that do not wait for the disk.
const WAITS: &str = "
    CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('synchronous_commit') <> 'on' THEN RAISE EXCEPTION 'it does not wait'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER waits BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION waits()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_row_waits_for_the_disk_whatever_the_database_does_by_itself() {
    let Some(database) = postgres::database() else { return };
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    let hasty = "DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
    END $$";
    sqlx::raw_sql(hasty).execute(&mut server).await.unwrap();
    let target = Some(Target::Postgres { url: Secret::new(database.url()) });
    let app = App::when(SystemClock.now(), Options { target, ..Options::default() }).await;
    let team = app.team("red").await;
    let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
    sqlx::raw_sql(WAITS).execute(&mut server).await.unwrap();
    assert_eq!(app.mint(&key, &json!({})).await.status, StatusCode::OK);
    let (run, _) = app.run(&key, &json!({})).await;
    assert_eq!(app.mint(&run, &json!({})).await.status, StatusCode::OK);
    // Of the two the first was by a function of the session, which says it too.
    let made = "SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'write_audit_rows_')";
    assert_eq!(sqlx::query_scalar::<_, i64>(made).fetch_one(&mut server).await.unwrap(), 1);
    // Whoever says nothing does not wait.
    let mut other = PgConnection::connect(&database.url()).await.unwrap();
    let row =
        "INSERT INTO audit_events (id, at, issuer_id, action, decision, occurrences) VALUES ('x', 0, 'x', 'x', 'x', 1)";
    let refused = sqlx::raw_sql(row).execute(&mut other).await.unwrap_err();
    assert!(refused.to_string().contains("it does not wait"), "{refused}");
}

async fn unready(app: &App, why: &str) {
    let parts = app.issuer.readiness().await;
    let fault = parts.iter().find(|part| part.name == "database").and_then(|part| part.fault.as_deref());
    assert!(fault.is_some_and(|fault| fault.contains(why)), "{parts:?}");
}
