//! Questions of the audit log on PostgreSQL read the index that is there for them, in each month, and no month as a whole.
//! What was read is what the server has counted. SQLite's plans are looked at beside its statements (`store::audit`); how
//! many rows make no difference is measured by `scripts/bench scale`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brevet::domain::id::{TeamUid, TokenId};
use brevet::domain::principal::Principal;
use brevet::domain::secret::Secret;
use brevet::store::{EventFilter, Page, Store, Target};
use sqlx::{Connection as _, PgConnection};

use super::world::NOW;
use crate::support::postgres;

const ROWS: i64 = 30_000;
/// How often each question is asked, on a few connections in turn: from the sixth time on PostgreSQL may keep one plan
/// for all values, and takes a team for a small one.
const ASKED: i64 = 50;
const PAGE: u32 = 20;

/// Row `n`: at some time or other, every tenth one of a large team and a busy agent, the others of 1,800 teams and 5,400
/// agents.
const FILL: &str = "INSERT INTO audit_events (id, at, issuer_id, action, decision, team_uid, principal, audience,
        lifetime_seconds, token_id, kid, signing_input_sha256, occurrences)
    SELECT uuid, $1 + n * 7919000003 % $2, '00000000-0000-7000-8000-000000000000', 'token.mint', 'allowed',
        'team-' || sign(n % 10) * (n % 2000), 'service_account:agent-' || sign(n % 10) * (n % 6000), 'sts.amazonaws.com',
        3600, uuid, repeat('k', 43), repeat('a', 64), 1
    FROM generate_series(0, $3 - 1) AS n,
        LATERAL (SELECT '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid) AS u";

/// The number of that team and that agent.
const LARGE: i64 = 0;

/// Sessions of others on this database: each tells what it has counted as it ends.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// Rows read so far: of each index, whatever month it is of, and of months without one.
const READ: &str = "SELECT regexp_replace(indexrelname, '^audit_events_(default|[0-9]{4}_[0-9]{2})_', ''),
        sum(idx_tup_read)::BIGINT FROM pg_stat_user_indexes WHERE relname LIKE 'audit\\_events%' GROUP BY 1
    UNION ALL SELECT 'no index', sum(seq_tup_read)::BIGINT FROM pg_stat_user_tables WHERE relname LIKE 'audit\\_events%'";

async fn read(connection: &mut PgConnection) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> = sqlx::query_as(READ).fetch_all(connection).await.unwrap();
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_reads_its_index_in_every_month_and_no_month_as_a_whole() {
    questions_of_a_log_of(90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_a_large_team_reads_a_page_of_it_in_a_young_log_too() {
    questions_of_a_log_of(3).await;
}

async fn questions_of_a_log_of(days: i64) {
    let Some(database) = postgres::database() else { return };
    let target = Target::Postgres { url: Secret::new(database.url()) };
    let store = Store::connect(&target).await.unwrap();
    store.migrate(NOW).await.unwrap();
    let since = NOW - time::Duration::days(days);
    store.make_audit_partitions(since).await.unwrap();
    store.close().await;
    let mut server = PgConnection::connect(&database.url()).await.unwrap();
    let [from, span] = [since.unix_timestamp() * 1000, days * 86_400_000];
    sqlx::query(FILL).bind(from).bind(span).bind(ROWS).execute(&mut server).await.unwrap();
    sqlx::raw_sql("ANALYZE audit_events").execute(&mut server).await.unwrap();

    let any = EventFilter::default;
    let team = |n| Some(TeamUid::parse(&format!("team-{n}")).unwrap());
    let agent = |n| Some(Principal::parse(&format!("service_account:agent-{n}")).unwrap());
    let token = |n| TokenId::parse(&format!("00000000-0000-7000-8000-{n:012x}"));
    let hour = |n| (Some(since + time::Duration::hours(n)), Some(since + time::Duration::hours(n + 1)));
    let small = |n| 10 * n + 1;
    let questions: [(&str, &dyn Fn(i64) -> EventFilter); 7] = [
        ("team_uid_at_idx", &|n| EventFilter { team: team(small(n)), ..any() }),
        ("team_uid_at_idx", &|_| EventFilter { team: team(LARGE), ..any() }),
        ("principal_at_idx", &|n| EventFilter { principal: agent(small(n)), ..any() }),
        ("principal_at_idx", &|_| EventFilter { principal: agent(LARGE), ..any() }),
        ("token_id_idx", &|n| EventFilter { token: token(n), ..any() }),
        ("pkey", &|n| EventFilter { from: hour(n).0, until: hour(n).1, ..any() }),
        ("pkey", &|_| any()),
    ];
    for (index, question) in questions {
        let before = read(&mut server).await;
        let store = Store::connect(&target).await.unwrap();
        for n in 0..ASKED {
            let page = Page { limit: PAGE, ..Page::default() };
            let found = store.events(&question(n), &page).await.unwrap();
            assert!(!found.items.is_empty(), "{index}, number {n}");
        }
        store.close().await;
        let began = Instant::now();
        while sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut server).await.unwrap() > 0 {
            assert!(began.elapsed() < Duration::from_mins(1), "a session does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut reads = read(&mut server).await;
        for (name, count) in &mut reads {
            *count -= before.get(name).copied().unwrap_or_default();
        }
        reads.retain(|_, count| *count > 0);
        assert!(reads.get(index).is_some_and(|count| *count >= ASKED), "{index} was not read: {reads:?}");
        // Of each month no more than a page and the row that tells of another; the planner looks at an end of the index of
        // times for each of four bounds.
        let months = 5;
        for (name, count) in &reads {
            let most = if name == index { i64::from(PAGE + 1) } else { 4 };
            assert!(name != "no index" && *count <= ASKED * months * most, "{index}: {reads:?}");
        }
    }
}
