//! How long a mint takes on one connection, on 64 and on a thousand, which are more than are let in at once.

use serde_json::json;

use crate::Outcome;
use crate::figures::{Rounds, remark, tell};
use crate::load::{Load, Round, Script};
use crate::mint::{PATH, postgres};
use crate::server::{Issuer, request};

const CONNECTIONS: [usize; 3] = [1, 64, 1000];
const TEAMS: usize = 50;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let Some((database, _)) = postgres()? else {
        return remark("no PostgreSQL is given in BREVET_BENCH_POSTGRES: not measured");
    };
    let issuer = Issuer::start(&database)?;
    let public = issuer.server.public;
    let keys = issuer.agents(CONNECTIONS[2], TEAMS)?;
    for connections in CONNECTIONS {
        // Each asks for several agents in turn, so that it meets no limit of a single one.
        let scripts = keys.chunks(keys.len() / connections).take(connections).map(|keys| {
            let first = request(public, "POST", PATH, &keys[0], Some(&json!({})), "keep-alive");
            Script::in_turn(first, keys.to_vec())
        });
        let mut load = Load::connect(public, scripts.collect::<Outcome<Vec<_>>>()?)?.that_may_be_refused();
        load.round(issuer.server.id(), rounds.load, |_| ())?;
        let of = (0..rounds.count).map(|_| load.round(issuer.server.id(), rounds.load, |_| ()));
        let of = of.collect::<Outcome<Vec<_>>>()?;
        let figures = |figure: fn(&Round) -> f64| of.iter().map(figure).collect::<Vec<_>>();
        let tell = |key: &str, what: &str, unit, values: &[f64]| {
            tell(&format!("{key}_{connections}"), &format!("{connections} connections: {what}"), unit, values)
        };
        tell("connections_wall", "mints by the clock", "per s", &figures(Round::per_second))?;
        tell("connections_rate", "mints", "per server CPU s", &figures(Round::per_cpu_second))?;
        tell("connections_p50", "mint, median", "ms", &figures(|round| round.percentile(50)))?;
        tell("connections_p99", "mint, 99 of 100", "ms", &figures(|round| round.percentile(99)))?;
        tell("connections_refused", "refused with 503, of all", "ratio", &figures(Round::refused_part))?;
    }
    issuer.stop().map(drop)
}
