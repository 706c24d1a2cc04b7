//! What a mint costs over HTTP with its audit row committed before the answer, beside the bare signature.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use brevet::domain::audit::Action;
use brevet::domain::signing_key::KeyKind;
use brevet::store::{EventFilter, Page, Store, Target};
use serde_json::json;

use crate::crowd;
use crate::figures::{Rounds, remark, tell};
use crate::load::{Load, Round};
use crate::raw::twins;
use crate::server::{Database, Issuer, request};
use crate::{Outcome, cpu, unaudited};

/// Connections, each of an agent of its own, so that the limit of each is not met.
pub(crate) const CONNECTIONS: usize = 64;
const TEAMS: usize = 8;
/// The mint.
pub(crate) const PATH: &str = "/v1/identity-tokens";

/// What is minted where.
struct Subject<'a> {
    /// How its figures are named.
    keys: [&'static str; 2],
    words: &'static str,
    database: &'a Database,
    /// Of the database, where it has one.
    process: Option<u32>,
    signs: KeyKind,
}

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    unaudited::measure(rounds)?;
    let sqlite = Subject {
        keys: ["mint", "sqlite"],
        words: "SQLite",
        database: &Database::Sqlite,
        process: None,
        signs: KeyKind::Rsa2048,
    };
    sqlite.measure(rounds)?;
    let (keys, words, signs) = (["es256", "sqlite"], "SQLite, ES256", KeyKind::P256);
    Subject { keys, words, signs, ..sqlite }.measure(rounds)?;
    let Some((database, process)) = postgres()? else {
        return remark("no PostgreSQL is given in BREVET_BENCH_POSTGRES: not measured");
    };
    let process = Some(process);
    let rsa = Subject { keys: ["mint", "postgres"], words: "PostgreSQL", database: &database, process, ..sqlite };
    rsa.measure(rounds)?;
    // Empty once more: another issuer comes.
    let Some((database, _)) = postgres()? else { return Ok(()) };
    let keys = ["es256", "postgres"];
    Subject { keys, words: "PostgreSQL, ES256", signs, database: &database, process }.measure(rounds)
}

/// The database that `scripts/bench` has started, emptied, and its process.
#[expect(clippy::disallowed_methods, reason = "how scripts/bench tells of the database that it has started")]
pub(crate) fn postgres() -> Outcome<Option<(Database, u32)>> {
    let given = |name| std::env::var(name).ok();
    let Some((url, process)) = given("BREVET_BENCH_POSTGRES").zip(given("BREVET_BENCH_POSTGRES_PROCESS")) else {
        return Ok(None);
    };
    Ok(Some((Database::Postgres(crowd::empty_database(&url)?), process.parse()?)))
}

impl Subject<'_> {
    fn measure(&self, rounds: &Rounds) -> Outcome<()> {
        let (raw, _) = twins(self.signs)?;
        let issuer = Issuer::start(self.database)?;
        sleep(Duration::from_secs(1));
        let idle = cpu::resident(issuer.server.id())?;
        if self.signs != KeyKind::default() {
            issuer.sign_with(self.signs)?;
        }
        let public = issuer.server.public;
        let mint = |key: String| request(public, "POST", PATH, &key, Some(&json!({})), "keep-alive");
        let requests: Vec<_> = issuer.agents(CONNECTIONS, TEAMS)?.into_iter().map(mint).collect();
        let mut load = Load::connect(public, requests)?;

        let (text, released) = (vec![b'x'; 900], RefCell::new(HashSet::new()));
        let note = |body: &[u8]| {
            released.borrow_mut().insert(token_id(body).unwrap_or_default().to_owned());
        };
        let mut received = load.round(issuer.server.id(), rounds.load, note)?.answers;
        let mut sides = Vec::new();
        let mut batches = Vec::new();
        let mut of_database = Vec::new();
        // Bare, load, bare, load, ..., bare: each round of load stands between the two that it is compared with.
        let bare = || raw.rate_on_all_cores(&text, rounds.length / 2);
        let mut before = bare()?;
        let mut alone = Vec::new();
        for _ in 0..rounds.count {
            alone.push(cpu::rate(rounds.length / 4, &mut raw.signs(&text))?);
            let database_before = self.process.map(cpu::of_family).transpose()?;
            let batches_before = issuer.metric("brevet_audit_batches_total")?;
            let round = load.round(issuer.server.id(), rounds.load, note)?;
            if let Some((id, earlier)) = self.process.zip(database_before) {
                let spent = cpu::of_family(id)?.saturating_sub(earlier);
                of_database.push(spent.as_secs_f64() / round.cpu.as_secs_f64());
            }
            let made = issuer.metric("brevet_audit_batches_total")? - batches_before;
            batches.push(f64::from(u32::try_from(round.answers)?) / made);
            let after = bare()?;
            received += round.answers;
            sides.push((f64::midpoint(before, after), round));
            before = after;
        }
        let busy = cpu::resident(issuer.server.id())?;
        let folder = issuer.stop()?;
        prove(folder.path(), self.database, received, &released.into_inner())?;

        let of = |figure: fn(&Round) -> f64| sides.iter().map(|(_, round)| figure(round)).collect::<Vec<_>>();
        let bare: Vec<_> = sides.iter().map(|(bare, _)| *bare).collect();
        let ratios: Vec<_> = sides.iter().map(|(bare, round)| round.per_cpu_second() / bare).collect();
        let [key, database] = self.keys;
        let tell = |suffix: &str, what: &str, unit, values: &[f64]| {
            tell(&format!("{key}_{suffix}_{database}"), &format!("{}: {what}", self.words), unit, values)
        };
        tell("raw", "bare signature on all cores, between the rounds", "per CPU s", &bare)?;
        tell("raw_alone", "bare signature while the other cores are idle", "per CPU s", &alone)?;
        tell("rate", "mints", "per server CPU s", &of(Round::per_cpu_second))?;
        tell("ratio", "mints / bare signature", "ratio", &ratios)?;
        tell("wall", "mints by the clock", "per s", &of(Round::per_second))?;
        tell("p50", "mint, median of 64 connections", "ms", &of(|round| round.percentile(50)))?;
        tell("p99", "mint, 99 of 100 on 64 connections", "ms", &of(|round| round.percentile(99)))?;
        tell("batch", "audit rows in one commit", "rows", &batches)?;
        if !of_database.is_empty() {
            tell("database_cpu", "CPU time of the database server / of brevet", "ratio", &of_database)?;
        }
        tell("rss", "memory after the load", "MiB", &[busy])?;
        if matches!((self.database, self.signs), (Database::Sqlite, KeyKind::Rsa2048)) {
            crate::figures::tell("rss_idle_mb", "SQLite: memory, idle", "MiB", &[idle])?;
        }
        Ok(())
    }
}

/// The `token_id` of an answer of the mint.
fn token_id(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = br#""token_id":""#;
    let at = body.windows(NAME.len()).rposition(|window| window == NAME)? + NAME.len();
    std::str::from_utf8(body.get(at..at + 36)?).ok()
}

/// Every token that was received has its row, and no row is about another.
fn prove(folder: &Path, database: &Database, received: usize, released: &HashSet<String>) -> Outcome<()> {
    let target = database.target(folder);
    let rows = tokio::runtime::Runtime::new()?.block_on(rows(&target))?;
    let kept: HashSet<_> = rows.iter().cloned().collect();
    if received == released.len() && rows.len() == received && kept == *released {
        return remark(&format!("{received} tokens received, {} audit rows, each of one of them", rows.len()));
    }
    let (received_once, kept) = (released.len(), kept.len());
    Err(format!("{received} tokens ({received_once} ids) do not match {} audit rows ({kept} ids)", rows.len()).into())
}

async fn rows(target: &Target) -> Outcome<Vec<String>> {
    let store = Store::connect(target).await?;
    let filter = EventFilter { action: Some(Action::TokenMint), ..EventFilter::default() };
    let (mut page, mut rows) = (Page::default(), Vec::new());
    loop {
        let paged = store.events(&filter, &page).await?;
        rows.extend(paged.items.into_iter().filter_map(|event| event.token).map(|token| token.token_id));
        match paged.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    store.close().await;
    Ok(rows)
}
