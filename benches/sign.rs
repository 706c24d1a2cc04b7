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
        let (raw, ours) = twins(kind)?;
        let claims = token.claims(&token.grant()?);
        // As long as what our signer signs; the time it takes does not depend on the text.
        let text = vec![b'x'; serde_json::to_vec(&claims)?.len() * 4 / 3 + 120];
        let mut bare = raw.signs(&text);
        let mut prepared = || ours.prepare(&claims).is_ok();
        let mut whole = || ours.prepare(&claims).and_then(|input| ours.sign(input)).is_ok();
        let turn = rounds.length / TURNS;
        // Seconds that a bare signature takes, a token, and what of it is done before the signature.
        let mut round = || -> Outcome<[f64; 3]> {
            let mut took = [0.0; 3];
            for _ in 0..TURNS {
                took[0] += cpu::rate(turn, &mut bare)?.recip();
                took[1] += cpu::rate(turn, &mut whole)?.recip();
                took[2] += cpu::rate(turn, &mut prepared)?.recip();
            }
            Ok(took.map(|sum| sum / f64::from(TURNS)))
        };
        round()?;
        let took = (0..rounds.count).map(|_| round()).collect::<Outcome<Vec<_>>>()?;
        let of = |figure: fn(&[f64; 3]) -> f64| took.iter().map(figure).collect::<Vec<_>>();
        let (bare, whole) = (of(|[bare, ..]| bare.recip()), of(|[_, whole, _]| whole.recip()));
        let ratios = of(|[bare, whole, _]| bare / whole);
        let signatures = of(|[bare, whole, prepared]| bare / (whole - prepared));

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
        let words = format!("{name}: our signer, its input prepared / bare signature");
        tell(&format!("{key}_signer_ratio"), &words, "ratio", &signatures)?;
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
