//! What it costs that an audit row is written only while everything that it hangs on is alive: the product's writer with
//! rows that carry a proof, and in turn with the same rows without one.

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
use tokio::runtime::Builder;

use crate::figures::{Rounds, remark, tell};
use crate::mint::{PATH, postgres};
use crate::raw::twins;
use crate::server::{Database, Issuer, call};
use crate::{Outcome, cpu};

/// Rows of one commit, about as many as under load.
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
    let (mut without, mut with, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.count {
        let before = bare()?;
        let (less, more) = (turn(false)?, turn(true)?);
        // Of the database server, too: there the proof is made.
        let proof = more.ours + more.theirs - less.ours - less.theirs;
        parts.push(proof / f64::midpoint(before, bare()?));
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
    tell("part", "the proof, here and in the database / bare signature", "ratio", &parts)?;
    runtime.block_on(async {
        writer.drain().await;
        store.close().await;
    });
    Ok(())
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

/// Seconds of CPU time that a row cost here, and in the database server.
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
