//! What a signature costs: our signer beside bare aws-lc over the same key.

use std::process::Command;

use brevet::domain::signing_key::KeyKind;

use crate::claims::Token;
use crate::figures::{Rounds, tell};
use crate::raw::twins;
use crate::{Outcome, cpu};

/// A round is many short turns, so that both sides meet the same machine.
const TURNS: u32 = 20;

pub(crate) fn measure(rounds: &Rounds) -> Outcome<()> {
    let token = Token::of_an_agent()?;
    for kind in KeyKind::ALL {
        let (mut raw, ours) = twins(kind)?;
        let claims = token.claims(&token.grant()?);
        // As long as what our signer signs; the time it takes does not depend on the text.
        let text = vec![b'x'; serde_json::to_vec(&claims)?.len() * 4 / 3 + 120];
        let mut bare = || raw.sign(&text);
        let mut whole = || ours.prepare(&claims).and_then(|input| ours.sign(input)).is_ok();
        let turn = rounds.length / TURNS;
        let mut round = || -> Outcome<(f64, f64)> {
            let (mut of_bare, mut of_whole) = (0.0, 0.0);
            for _ in 0..TURNS {
                of_bare += cpu::rate(turn, &mut bare)?.recip();
                of_whole += cpu::rate(turn, &mut whole)?.recip();
            }
            Ok((f64::from(TURNS) / of_bare, f64::from(TURNS) / of_whole))
        };
        round()?;
        let rates = (0..rounds.count).map(|_| round()).collect::<Outcome<Vec<_>>>()?;
        let ratios: Vec<_> = rates.iter().map(|(bare, whole)| whole / bare).collect();
        let (bare, whole): (Vec<_>, Vec<_>) = rates.into_iter().unzip();

        let (key, name) = match kind {
            KeyKind::Rsa2048 => ("sign", "RS256, 2048 bits"),
            KeyKind::Rsa3072 => ("sign_3072", "RS256, 3072 bits"),
            KeyKind::Rsa4096 => ("sign_4096", "RS256, 4096 bits"),
            KeyKind::P256 => ("sign_es256", "ES256"),
        };
        tell(&format!("{key}_raw"), &format!("{name}: bare aws-lc signature"), "per CPU s", &bare)?;
        tell(&format!("{key}_token"), &format!("{name}: claims to signed token"), "per CPU s", &whole)?;
        if let Some(rates) = openssl(kind, rounds)? {
            tell(&format!("{key}_openssl"), &format!("{name}: openssl speed"), "per CPU s", &rates)?;
        }
        tell(&format!("{key}_ratio"), &format!("{name}: token / bare signature"), "ratio", &ratios)?;
    }
    Ok(())
}

/// Signatures per second of CPU time as the installed OpenSSL measures them, for scale: another library, or another
/// version of it, may know the processor less well.
fn openssl(kind: KeyKind, rounds: &Rounds) -> Outcome<Option<Vec<f64>>> {
    let name = match kind {
        KeyKind::Rsa2048 => "rsa2048",
        KeyKind::Rsa3072 => "rsa3072",
        KeyKind::Rsa4096 => "rsa4096",
        KeyKind::P256 => "ecdsap256",
    };
    let mut rates = Vec::new();
    for _ in 0..rounds.count {
        let Ok(told) = Command::new("openssl").args(["speed", "-seconds", "1", "-mr", name]).output() else {
            return Ok(None);
        };
        // `+F2:<index>:<bits>:<signatures a second>:<verifications a second>`, F4 for ECDSA.
        let told = String::from_utf8(told.stdout)?;
        let line = told.lines().find(|line| line.starts_with("+F")).ok_or("openssl speed tells nothing")?;
        rates.push(line.split(':').nth(3).ok_or("openssl speed tells something else")?.parse()?);
    }
    Ok(Some(rates))
}
