//! How long the public keys take while every core mints, with RSA keys of 2048 and of 4096 bits: the longer signatures
//! must not hold up what is light.

use std::thread;
use std::time::Duration;

use brevet::domain::signing_key::KeyKind;
use serde_json::json;

use crate::Outcome;
use crate::figures::{Rounds, tell};
use crate::load::{Load, Round};
use crate::mint;
use crate::server::{Database, Issuer, request};

const KEYS: &str = "/.well-known/jwks.json";
const TEAMS: usize = 8;
/// Few questions, so that they are no load themselves.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let issuer = Issuer::start(&Database::Sqlite)?;
    let (public, id) = (issuer.server.public, issuer.server.id());
    let ask = request(public, "GET", KEYS, "", None, "keep-alive");
    let mut light = Load::connect(public, vec![ask; 4])?.with_pauses(PAUSE);
    let mint = |key: String| request(public, "POST", mint::PATH, &key, Some(&json!({})), "keep-alive");
    let mints: Vec<_> = issuer.agents(mint::CONNECTIONS, TEAMS)?.into_iter().map(mint).collect();

    light.round(id, rounds.load, |_| ())?;
    let quiet = (0..rounds.count).map(|_| light.round(id, rounds.load, |_| ())).collect::<Outcome<Vec<_>>>()?;
    told("quiet", "nothing else", &quiet)?;
    // Not before: whoever connects must ask for something soon.
    let mut heavy = Load::connect(public, mints)?;
    for (kind, key, words) in [
        (KeyKind::Rsa2048, "2048", "64 connections that mint, RSA of 2048 bits"),
        (KeyKind::Rsa4096, "4096", "64 connections that mint, RSA of 4096 bits"),
    ] {
        if kind != KeyKind::default() {
            issuer.sign_with(kind)?;
        }
        heavy.round(id, rounds.load, |_| ())?;
        let (mut of_light, mut of_heavy) = (Vec::new(), Vec::new());
        for _ in 0..rounds.count {
            let (one, other) = thread::scope(|scope| {
                let heavy = scope.spawn(|| heavy.round(id, rounds.load, |_| ()).map_err(|error| error.to_string()));
                (light.round(id, rounds.load, |_| ()), heavy.join())
            });
            of_light.push(one?);
            of_heavy.push(other.map_err(|_| "the load panicked")??);
        }
        told(key, words, &of_light)?;
        let rates: Vec<_> = of_heavy.iter().map(Round::per_second).collect();
        tell(&format!("light_mints_{key}"), &format!("mints meanwhile, RSA of {key} bits"), "per s", &rates)?;
    }
    issuer.stop().map(drop)
}

fn told(key: &str, beside: &str, rounds: &[Round]) -> Outcome<()> {
    for (part, words, hundredths) in [("p50", "median", 50), ("p99", "99 of 100", 99)] {
        let values: Vec<_> = rounds.iter().map(|round| round.percentile(hundredths)).collect();
        tell(&format!("light_{part}_{key}"), &format!("public keys, {words}, beside {beside}"), "ms", &values)?;
    }
    Ok(())
}
