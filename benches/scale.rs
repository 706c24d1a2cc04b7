//! The same questions and the same mint among one million audit rows and among ten million: plans, latency and a start that must
//! not grow with them. `BREVET_BENCH_ROWS` says how many the most are.
//!
//! A million agents in ten thousand teams are there from the start (`crowd`). The rows are written to PostgreSQL
//! directly, over ninety days, a hundred of each agent that has any. Which indexes a question used, and how much it read,
//! is what PostgreSQL has counted (`pg_stat_all_indexes`, `pg_stat_all_tables`); a question that used others among more
//! rows, or read a partition as a whole, fails the bench.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock;
use brevet::domain::id::{ServiceAccountUid, TeamUid, TokenId};
use brevet::domain::principal::Principal;
use brevet::domain::secret::Secret;
use brevet::store::{EventFilter, Page, Store, Target};
use serde_json::json;
use sqlx::postgres::PgPool;
use time::OffsetDateTime;
use tokio::runtime::Runtime;

use crate::figures::{Rounds, remark, tell};
use crate::load::{Load, Round};
use crate::mint::{PATH, postgres};
use crate::server::{Database, Issuer, request};
use crate::{Outcome, cpu, crowd};

const FEW: i64 = 1_000_000;
const MANY: i64 = 10_000_000;
/// Rows written in one statement.
const CHUNK: i64 = 250_000;
const ROWS_OF_PRINCIPAL: i64 = 100;
const TEAMS: i64 = 10_000;
const DAYS: i64 = 90;
/// How often each question is asked, about another each time.
const ASKED: i64 = 200;
const CONNECTIONS: usize = 64;

/// Row `n`: when it happened, whose it is, and the identifiers that both have in common.
const ROWS: &str =
    "INSERT INTO audit_events (id, at, issuer_id, action, decision, credential_kind, credential_id, team_uid,
        principal, audience, lifetime_seconds, token_id, kid, signing_input_sha256, address, user_agent, occurrences)
    SELECT uuid, at, issuer, 'token.mint', 'allowed', 'service_account_key', uuid, 'crowd-' || whose % $4,
        'service_account:crowd-agent-' || whose, 'sts.amazonaws.com', 3600, uuid, kid, repeat('a', 64), '192.0.2.1',
        'brevet-bench', 1
    FROM (SELECT n, at, whose, i.id AS issuer, k.kid,
            format('%s-%s-7000-8000-%s', left(hex, 8), right(hex, 4), lpad(to_hex(n), 12, '0')) AS uuid
        FROM generate_series($1, $2 - 1) AS n,
            LATERAL (SELECT $3 + n * 7919 % $5 AS at, $6 + n % ($7 - $6) AS whose) AS r,
            LATERAL (SELECT lpad(to_hex(at), 12, '0') AS hex) AS h,
            (SELECT id FROM issuers LIMIT 1) AS i, (SELECT kid FROM signing_keys LIMIT 1) AS k) AS v";

/// What the planner chose, as PostgreSQL counts it: rows read by each index, whatever partition it is of, and rows that were
/// read without one.
type Reads = BTreeMap<String, i64>;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let Some((database, _)) = postgres()? else {
        return remark("no PostgreSQL is given in BREVET_BENCH_POSTGRES: not measured");
    };
    let Database::Postgres(url) = &database else { return Err("not PostgreSQL".into()) };
    let most = most()?;
    let runtime = Runtime::new()?;
    let mut issuer = Issuer::start(&database)?;
    issuer.agents(1, 1)?;
    let mut keys = runtime.block_on(crowd::settle(url))?;
    keys.truncate(CONNECTIONS);
    let since = SystemClock.now() - Duration::from_hours(24) * u32::try_from(DAYS)?;
    let mut before: BTreeMap<&str, Reads> = BTreeMap::new();
    let mut written = 0;
    for rows in [FEW, most] {
        runtime.block_on(fill(url, since, written, rows))?;
        written = rows;
        let start;
        (issuer, start) = issuer.restart(&database)?;
        let name = format!("{}m", rows / 1_000_000);
        let words = format!("{} million audit rows", rows / 1_000_000);
        let one = |key: &str, what: &str, unit, value: f64| {
            tell(&format!("scale_{key}_{name}"), &format!("{words}: {what}"), unit, &[value])
        };
        one("start", "start", "s", start.as_secs_f64())?;
        for question in QUESTIONS {
            let (reads, times) = runtime.block_on(ask(url, since, rows, &question))?;
            let milliseconds: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
            let what = format!("{words}: a page of {}", question.words);
            tell(&format!("scale_{}_{name}", question.key), &what, "ms", &milliseconds)?;
            remark(&format!("{what}: {reads:?}"))?;
            match before.insert(question.key, reads.clone()) {
                Some(earlier) if !alike(&earlier, &reads) => {
                    return Err(format!("{what}: read {earlier:?} before, {reads:?} now").into());
                }
                _ => {}
            }
        }
        let public = issuer.server.public;
        let mint = |key: &String| request(public, "POST", PATH, key, Some(&json!({})), "keep-alive");
        let mut load = Load::connect(public, keys.iter().map(mint).collect())?;
        load.round(issuer.server.id(), rounds.load, |_| ())?;
        let of = (0..rounds.count).map(|_| load.round(issuer.server.id(), rounds.load, |_| ()));
        let of = of.collect::<Outcome<Vec<_>>>()?;
        let figures = |figure: fn(&Round) -> f64| of.iter().map(figure).collect::<Vec<_>>();
        let rates = figures(Round::per_cpu_second);
        tell(&format!("scale_rate_{name}"), &format!("{words}: mints"), "per server CPU s", &rates)?;
        let late = figures(|round| round.percentile(99));
        tell(&format!("scale_p99_{name}"), &format!("{words}: mint, 99 of 100"), "ms", &late)?;
        one("rss", "memory at most under the load", "MiB", cpu::resident_at_most(issuer.server.id())?)?;
    }
    issuer.stop().map(drop)
}

#[expect(clippy::disallowed_methods, reason = "how scripts/bench asks for more rows")]
fn most() -> Outcome<i64> {
    let most = std::env::var("BREVET_BENCH_ROWS").map_or(Ok(MANY), |rows| rows.parse())?;
    let fits = most >= 10 * FEW && most % 1_000_000 == 0;
    if fits { Ok(most) } else { Err("--rows takes whole millions, ten of them or more".into()) }
}

/// Writes rows `from` to `to`, and the months that they fall into.
async fn fill(url: &str, since: OffsetDateTime, from: i64, to: i64) -> Outcome<()> {
    let store = Store::connect(&Target::Postgres { url: Secret::new(url.to_owned()) }).await?;
    store.make_audit_partitions(since).await?;
    store.close().await;
    let database = PgPool::connect(url).await?;
    for start in (from..to).step_by(usize::try_from(CHUNK)?) {
        sqlx::query(ROWS)
            .bind(start)
            .bind((start + CHUNK).min(to))
            .bind(millis(since))
            .bind(TEAMS)
            .bind(DAYS * 24 * 3_600_000)
            // Those that came before have all their rows.
            .bind(from / ROWS_OF_PRINCIPAL)
            .bind(to / ROWS_OF_PRINCIPAL)
            .execute(&database)
            .await?;
        if (start + CHUNK) % 1_000_000 == 0 {
            remark(&format!("{} million rows", (start + CHUNK) / 1_000_000))?;
        }
    }
    // As autovacuum would have by and by.
    sqlx::query("VACUUM ANALYZE audit_events").execute(&database).await?;
    // What is still to be written of them is not the mint's to wait for.
    sqlx::query("CHECKPOINT").execute(&database).await?;
    database.close().await;
    Ok(())
}

/// What an administrator asks of the audit log.
struct Question {
    key: &'static str,
    words: &'static str,
    /// Of the `n`-th time that it is asked, among so many rows since an instant.
    filter: fn(n: i64, rows: i64, since: OffsetDateTime) -> Outcome<EventFilter>,
}

const QUESTIONS: [Question; 5] = [
    Question {
        key: "team",
        words: "a team's rows",
        filter: |n, _, _| {
            let team = Some(TeamUid::parse(&format!("crowd-{}", n * 31 % TEAMS))?);
            Ok(EventFilter { team, ..EventFilter::default() })
        },
    },
    Question {
        key: "principal",
        words: "an agent's rows",
        filter: |n, rows, _| {
            let whose = n * 31 % (rows / ROWS_OF_PRINCIPAL);
            let principal = Principal::ServiceAccount(ServiceAccountUid::parse(&format!("crowd-agent-{whose}"))?);
            Ok(EventFilter { principal: Some(principal), ..EventFilter::default() })
        },
    },
    Question {
        key: "token",
        words: "a token's rows",
        filter: |n, rows, since| {
            let row = n * 4999 % rows;
            let hex = format!("{:012x}", millis(since) + row * 7919 % (DAYS * 24 * 3_600_000));
            let id = format!("{}-{}-7000-8000-{row:012x}", &hex[..8], &hex[8..]);
            let token = Some(TokenId::parse(&id).ok_or("no token id")?);
            Ok(EventFilter { token, ..EventFilter::default() })
        },
    },
    Question {
        key: "hour",
        words: "an hour's rows",
        filter: |n, _, since| {
            let from = since + Duration::from_hours(1) * u32::try_from(n)?;
            let until = from + Duration::from_hours(1);
            Ok(EventFilter { from: Some(from), until: Some(until), ..EventFilter::default() })
        },
    },
    Question { key: "newest", words: "the newest rows", filter: |_, _, _| Ok(EventFilter::default()) },
];

/// Asks a question again and again: what was read for it, and how long each answer took.
async fn ask(url: &str, since: OffsetDateTime, rows: i64, question: &Question) -> Outcome<(Reads, Vec<Duration>)> {
    let before = counted(url).await?;
    let store = Store::connect(&Target::Postgres { url: Secret::new(url.to_owned()) }).await?;
    let page = Page { limit: 20, ..Page::default() };
    let mut times = Vec::new();
    for n in 0..ASKED {
        let filter = (question.filter)(n, rows, since)?;
        let began = Instant::now();
        let found = store.events(&filter, &page).await?;
        times.push(began.elapsed());
        if found.items.is_empty() {
            return Err(format!("nothing was found of {}, number {n}", question.words).into());
        }
    }
    // What a session has counted is told at its end.
    store.close().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut reads = counted(url).await?;
    for (name, count) in &mut reads {
        *count -= before.get(name).copied().unwrap_or_default();
    }
    reads.retain(|_, count| *count > 0);
    // Each found a row at least; otherwise PostgreSQL has not counted, and nothing would be proven.
    if reads.values().sum::<i64>() < ASKED {
        return Err(format!("PostgreSQL has counted only {reads:?} for {}", question.words).into());
    }
    Ok((reads, times))
}

/// Rows read so far, of each index by its columns, whatever partition it is of, and of tables without one.
async fn counted(url: &str) -> Outcome<Reads> {
    let database = PgPool::connect(url).await?;
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT regexp_replace(indexrelname, '^audit_events_(default|[0-9]{4}_[0-9]{2})_', ''),
                sum(idx_tup_read)::BIGINT FROM pg_stat_all_indexes
            WHERE relname LIKE 'audit\\_events%' GROUP BY 1
         UNION ALL SELECT 'without an index', sum(seq_tup_read)::BIGINT FROM pg_stat_all_tables
            WHERE relname LIKE 'audit\\_events%'",
    )
    .fetch_all(&database)
    .await?;
    database.close().await;
    Ok(rows.into_iter().collect())
}

/// Whether the same indexes were read, none of them for many more rows, and nothing without one.
fn alike(few: &Reads, many: &Reads) -> bool {
    let names = |reads: &Reads| reads.keys().cloned().collect::<Vec<_>>();
    let grown = few.iter().any(|(name, count)| many.get(name).is_some_and(|now| *now > count * 3));
    names(few) == names(many) && !grown && !many.contains_key("without an index")
}

fn millis(at: OffsetDateTime) -> i64 {
    at.unix_timestamp() * 1000
}
