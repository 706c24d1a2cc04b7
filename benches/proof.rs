//! What it costs that an audit row is written only while everything that it hangs on is alive: the product's writer with
//! rows that carry a proof, and in turn with the same rows without one; and on PostgreSQL the lock that a batch shares
//! with the others, and that whoever switches something off takes alone.

use std::error::Error;
use std::time::Duration;

use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::domain::audit::{Action, Event, RecordedEvent};
use brevet::domain::clock::Clock;
use brevet::domain::entropy::Entropy;
use brevet::domain::id::{EventId, TokenId};
use brevet::domain::signing_key::{KeyKind, Kid};
use brevet::store::{AuditWriter, EventFilter, Page, Proof, Release, Store};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Builder;

use crate::figures::{Rounds, remark, tell};
use crate::mint::{PATH, postgres};
use crate::raw::twins;
use crate::server::{Database, Issuer, call};
use crate::{Outcome, cpu};

/// Rows that are queued at once, about as many as under load: one commit on PostgreSQL, two on SQLite.
const BATCH: usize = 32;
const AGENTS: usize = 64;
const TEAMS: usize = 8;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    on("sqlite", "SQLite", &Database::Sqlite, None, rounds)?;
    match postgres()? {
        Some((database, process)) => on("postgres", "PostgreSQL", &database, Some(process), rounds),
        None => remark("no PostgreSQL is given in BREVET_BENCH_POSTGRES: not measured"),
    }
}

fn on(key: &str, words: &str, database: &Database, process: Option<u32>, rounds: &Rounds) -> Outcome<()> {
    let (raw, _) = twins(KeyKind::Rsa2048)?;
    let issuer = Issuer::start(database)?;
    for agent in issuer.agents(AGENTS, TEAMS)? {
        let (status, _) = call(issuer.server.public, "POST", PATH, &agent, Some(&json!({})))?;
        assert_eq!(status, 200, "an agent mints");
    }
    let folder = issuer.stop()?;
    // On one thread the writer sees a batch when all of it is queued.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (store, releases) = runtime.block_on(async {
        let store = Store::connect(&database.target(folder.path())).await?;
        let releases = releases(&store).await?;
        Ok::<_, Box<dyn Error>>((store, releases))
    })?;
    let writer = runtime.block_on(async { AuditWriter::start(store.clone()) });
    let turn = |proven: bool| runtime.block_on(write(&writer, &releases, proven, process, rounds.length));
    let bare = || cpu::rate(rounds.length / 2, &mut raw.signs(&[b'x'; 900])).map(f64::recip);
    for proven in [false, true] {
        turn(proven)?;
    }
    let (mut without, mut with, mut parts, mut all_parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.count {
        let before = bare()?;
        let (less, more) = (turn(false)?, turn(true)?);
        let bare = f64::midpoint(before, bare()?);
        let (ours, theirs) = (more.ours - less.ours, more.theirs - less.theirs);
        parts.push(ours / bare);
        all_parts.push((ours + theirs) / bare);
        without.push(less);
        with.push(more);
    }
    let micros = |of: &[Row], cost: fn(&Row) -> f64| of.iter().map(|row| cost(row) * 1e6).collect::<Vec<_>>();
    let tell = |name: &str, what: &str, unit, values: &[f64]| {
        tell(&format!("proof_{name}_{key}"), &format!("{words}: {what}"), unit, values)
    };
    tell("row", "audit row without a proof", "µs CPU", &micros(&without, |row| row.ours))?;
    tell("proven_row", "audit row with its proof", "µs CPU", &micros(&with, |row| row.ours))?;
    if process.is_some() {
        let [less, more] = [&without, &with].map(|rows| micros(rows, |row| row.theirs));
        tell("row_database", "audit row without a proof, in the database", "µs CPU", &less)?;
        tell("proven_row_database", "audit row with its proof, in the database", "µs CPU", &more)?;
    }
    tell("part", "the proof / bare signature", "ratio", &parts)?;
    if let (Database::Postgres(url), Some(process)) = (database, process) {
        tell("part_and_database", "the proof, here and in the database / bare signature", "ratio", &all_parts)?;
        let (ours, all) = runtime.block_on(locked(url, process, &bare, rounds))?;
        tell("lock", "a row's share of the lock / bare signature", "ratio", &ours)?;
        tell(
            "lock_and_database",
            "a row's share of the lock, here and in the database / bare signature",
            "ratio",
            &all,
        )?;
    }
    runtime.block_on(async {
        writer.drain().await;
        store.close().await;
    });
    Ok(())
}

/// What the lock costs each row of a batch, of the bare signature: of our CPU time, and with the database server's. On a
/// connection of the bench's own, the statement that begins a batch with it and without, in turn.
async fn locked(
    url: &str,
    process: u32,
    bare: &impl Fn() -> Outcome<f64>,
    rounds: &Rounds,
) -> Outcome<(Vec<f64>, Vec<f64>)> {
    const SETTINGS: &str = "SELECT set_config('synchronous_commit', 'on', true)";
    const AND_LOCK: &str = "SELECT set_config('synchronous_commit', 'on', true), pg_advisory_xact_lock_shared(1)";
    let mut connection = PgConnection::connect(url).await?;
    let (mut ours, mut all) = (Vec::new(), Vec::new());
    for round in 0..=rounds.count {
        let before = bare()?;
        let less = begin(&mut connection, SETTINGS, process, rounds.length).await?;
        let more = begin(&mut connection, AND_LOCK, process, rounds.length).await?;
        let row = f64::midpoint(before, bare()?) * f64::from(u32::try_from(BATCH)?);
        // The first is for both to be prepared.
        if round > 0 {
            ours.push((more.ours - less.ours) / row);
            all.push((more.ours + more.theirs - less.ours - less.theirs) / row);
        }
    }
    connection.close().await?;
    Ok((ours, all))
}

/// What a transaction of `first` alone costs.
async fn begin(connection: &mut PgConnection, first: &'static str, process: u32, length: Duration) -> Outcome<Row> {
    let (start, theirs, mut times) = (cpu::own(), cpu::of_family(process)?, 0_u32);
    while cpu::own().saturating_sub(start) < length {
        let mut transaction = connection.begin().await?;
        sqlx::query(first).execute(&mut *transaction).await?;
        transaction.rollback().await?;
        times += 1;
    }
    let each = |after: Duration, before: Duration| after.saturating_sub(before).as_secs_f64() / f64::from(times);
    Ok(Row { ours: each(cpu::own(), start), theirs: each(cpu::of_family(process)?, theirs) })
}

/// What each agent's token was released by, as it stands in the audit log.
async fn releases(store: &Store) -> Outcome<Vec<Release>> {
    let filter = EventFilter { action: Some(Action::TokenMint), ..EventFilter::default() };
    let mut releases = Vec::new();
    for RecordedEvent { issuer, action, decision, credential, team, principal, token, origin, .. } in
        store.events(&filter, &Page::default()).await?.items
    {
        let (Some((_, id)), Some(uid), Some(facts)) = (credential, &team, &token) else {
            return Err("no token".into());
        };
        let team_version = store.team(uid).await?.ok_or("no team")?.version;
        let kid = Kid::parse(&facts.kid)?;
        let proof = Proof { credential: id, team_version, issuer, kid, also: None, original_token: None };
        let bare = Event::new(
            EventId::new(SystemEntropy.uuid_v7(SystemClock.now())),
            SystemClock.now(),
            issuer,
            action,
            decision,
        );
        releases.push(Release { event: Event { credential, team, principal, token, origin, ..bare }, proof });
    }
    Ok(releases)
}

/// Seconds of CPU time that a row (or a transaction) cost here, and in the database server.
struct Row {
    ours: f64,
    theirs: f64,
}

async fn write(
    writer: &AuditWriter,
    releases: &[Release],
    proven: bool,
    process: Option<u32>,
    length: Duration,
) -> Outcome<Row> {
    let theirs = || process.map(cpu::of_family).transpose();
    let (start, before) = (cpu::own(), theirs()?);
    let mut rows = 0_u32;
    while cpu::own().saturating_sub(start) < length {
        let mut tickets = Vec::with_capacity(BATCH);
        for release in releases.iter().cycle().skip(usize::try_from(rows)? % releases.len()).take(BATCH) {
            let Release { mut event, proof } = release.clone();
            event.at = SystemClock.now();
            event.id = EventId::new(SystemEntropy.uuid_v7(event.at));
            if let Some(token) = &mut event.token {
                token.token_id = TokenId::new(SystemEntropy.uuid_v7(event.at)).to_string();
            }
            tickets.push(if proven { writer.release(Release { event, proof })? } else { writer.append(event)? });
        }
        for ticket in tickets {
            if ticket.committed().await? != brevet::store::Verdict::Released {
                return Err("a row was not written".into());
            }
            rows += 1;
        }
    }
    let spent = |after: Duration, before: Duration| after.saturating_sub(before).as_secs_f64() / f64::from(rows);
    let theirs = theirs()?.zip(before).map_or(0.0, |(after, before)| spent(after, before));
    Ok(Row { ours: spent(cpu::own(), start), theirs })
}
