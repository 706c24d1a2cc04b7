//! A million agents in ten thousand teams: what memory and a mint cost then.
//!
//! They are written to the database directly, as the admin API would have, because a thousand times a thousand calls
//! would take an hour.

use std::time::Duration;

use brevet::config::host::{SystemClock, SystemEntropy};
use brevet::domain::clock::Clock;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::entropy::Entropy;
use serde_json::json;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::runtime::Runtime;

use crate::figures::{Rounds, remark, tell};
use crate::load::{Load, Round, Script};
use crate::mint::{PATH, postgres};
use crate::server::{Database, Issuer, request};
use crate::{Outcome, cpu};

const AGENTS: usize = 1_000_000;
const TEAMS: usize = 10_000;
const CONNECTIONS: usize = 64;
/// Agents written in one statement.
const CHUNK: usize = 20_000;
/// Rounds of load before memory is looked at: several times as many agents as any cache holds must have come by.
const ROUNDS_BEFORE: usize = 8;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let Some((database, _)) = postgres()? else {
        return remark("no PostgreSQL is given in BREVET_BENCH_POSTGRES: not measured");
    };
    let Database::Postgres(url) = &database else { return Err("not PostgreSQL".into()) };
    let mut issuer = Issuer::start(&database)?;
    issuer.agents(1, 1)?;
    let empty;
    (issuer, empty) = issuer.restart(&database)?;
    let runtime = Runtime::new()?;
    let keys = runtime.block_on(settle(url))?;
    // A start must not take longer for all of them.
    let crowded;
    (issuer, crowded) = issuer.restart(&database)?;
    let seconds = |time: Duration| [time.as_secs_f64()];
    tell("crowd_start_empty", "start, with one agent", "s", &seconds(empty))?;
    tell("crowd_start", "start, with 1,000,000 agents", "s", &seconds(crowded))?;

    let few = figures(rounds, &issuer, &keys[..CONNECTIONS])?;
    let all = figures(rounds, &issuer, &keys)?;
    let memory = cpu::resident_at_most(issuer.server.id())?;
    for (key, words, of) in [("few", "64 agents of 1,000,000", few), ("all", "each another of 1,000,000 agents", all)] {
        let rates: Vec<_> = of.iter().map(Round::per_cpu_second).collect();
        let late: Vec<_> = of.iter().map(|round| round.percentile(99)).collect();
        tell(&format!("crowd_rate_{key}"), &format!("mints, {words}"), "per server CPU s", &rates)?;
        tell(&format!("crowd_p99_{key}"), &format!("mint, 99 of 100 on 64 connections, {words}"), "ms", &late)?;
    }
    tell("rss_million_mb", "memory at most under a load of 1,000,000 agents", "MiB", &[memory])?;
    issuer.stop().map(drop)
}

/// Rounds of load in which each connection asks for one of its part of `keys` after the other.
fn figures(rounds: &Rounds, issuer: &Issuer, keys: &[String]) -> Outcome<Vec<Round>> {
    let public = issuer.server.public;
    let scripts = keys.chunks(keys.len().div_ceil(CONNECTIONS)).map(|keys| {
        let first = request(public, "POST", PATH, keys.first().ok_or("nobody")?, Some(&json!({})), "keep-alive");
        Script::in_turn(first, keys.to_vec())
    });
    let mut load = Load::connect(public, scripts.collect::<Outcome<Vec<_>>>()?)?;
    for _ in 0..ROUNDS_BEFORE {
        load.round(issuer.server.id(), rounds.load, |_| ())?;
    }
    (0..rounds.count).map(|_| load.round(issuer.server.id(), rounds.load, |_| ())).collect()
}

/// Writes teams like the first one, `crowd-0` and so on, and agents with a key each, `crowd-agent-0` and so on; returns the
/// keys.
pub(crate) async fn settle(url: &str) -> Outcome<Vec<String>> {
    let database = connect(url).await?;
    sqlx::query(
        "INSERT INTO teams (uid, uid_fold, name, policy, external_id, version, created_at, updated_at)
         SELECT 'crowd-' || n, 'crowd-' || n, t.name, t.policy, t.external_id || n, t.version, t.created_at, t.updated_at
         FROM teams t, generate_series(0, $1 - 1) AS n WHERE t.uid = 'team-0'",
    )
    .bind(i64::try_from(TEAMS)?)
    .execute(&database)
    .await?;
    sqlx::query(
        "INSERT INTO provider_settings (team_uid, service_account_uid, layer, version, updated_at)
         SELECT t.uid, s.service_account_uid, s.layer, s.version, s.updated_at
         FROM teams t, provider_settings s WHERE t.uid LIKE 'crowd-%' AND s.team_uid = 'team-0'",
    )
    .execute(&database)
    .await?;
    let mut keys = Vec::with_capacity(AGENTS);
    for chunk in (0..AGENTS).collect::<Vec<_>>().chunks(CHUNK) {
        let uids: Vec<_> = chunk.iter().map(|number| format!("crowd-agent-{number}")).collect();
        let teams: Vec<_> = chunk.iter().map(|number| format!("crowd-{}", number % TEAMS)).collect();
        sqlx::query(
            "INSERT INTO service_accounts (uid, uid_fold, team_uid, name, version, created_at, updated_at)
             SELECT a.uid, a.uid, a.team, 'Agent', 1, 0, 0 FROM UNNEST($1::text[], $2::text[]) AS a (uid, team)",
        )
        .bind(&uids)
        .bind(&teams)
        .execute(&database)
        .await?;
        let made = || OpaqueCredential::generate(CredentialKind::ServiceAccount, &SystemEntropy);
        let made: Vec<_> = chunk.iter().map(|_| made()).collect();
        let ids: Vec<_> = chunk.iter().map(|_| SystemEntropy.uuid_v7(SystemClock.now()).to_string()).collect();
        sqlx::query(
            "INSERT INTO credentials (id, kind, secret_hash, name, service_account_uid, created_at)
             SELECT k.id, 'service_account_key', k.hash, 'crowd', k.uid, 0
             FROM UNNEST($1::text[], $2::text[], $3::text[]) AS k (id, hash, uid)",
        )
        .bind(&ids)
        .bind(made.iter().map(|key| key.hash().to_hex()).collect::<Vec<_>>())
        .bind(&uids)
        .execute(&database)
        .await?;
        keys.extend(made.iter().map(|key| key.secret().expose().to_owned()));
    }
    sqlx::query("ANALYZE").execute(&database).await?;
    database.close().await;
    remark(&format!("{AGENTS} agents in {TEAMS} teams"))?;
    Ok(keys)
}

/// An empty database beside the one that `url` names; what another bench left there is gone.
pub(crate) fn empty_database(url: &str) -> Outcome<String> {
    Runtime::new()?.block_on(async {
        let database = connect(url).await?;
        sqlx::query("DROP DATABASE IF EXISTS bench WITH (FORCE)").execute(&database).await?;
        sqlx::query("CREATE DATABASE bench").execute(&database).await?;
        database.close().await;
        let (server, _) = url.rsplit_once('/').ok_or("a URL without a database")?;
        Ok(format!("{server}/bench"))
    })
}

async fn connect(url: &str) -> Outcome<PgPool> {
    Ok(PgPoolOptions::new().max_connections(1).connect(url).await?)
}
