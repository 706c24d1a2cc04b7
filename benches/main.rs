//! What `scripts/bench` measures, in one program, because each more would be linked with its own copy of everything:
//! `cargo bench --bench brevet -- [claims] [sign] [mint] [proof] [jwks] [light] [connections] [crowd] [scale]`; all but
//! `scale` unless told.
//!
//! Rates are per second of CPU time, so that other work on the machine moves them little; the two sides of a ratio take
//! turns within one run, so that whatever slows the machine down for a while slows both. Prints one figure a line, six
//! fields divided by tabs: key, what it is, unit, median, least, greatest. `BREVET_BENCH_QUICK` asks for fewer and
//! shorter rounds, `BREVET_BENCH_ROWS` for more rows of `scale`. `chart FIGURES FOLDER` draws what was printed.

mod chart;
mod claims;
mod connections;
mod cpu;
mod crowd;
mod figures;
mod jwks;
mod light;
mod load;
mod mint;
mod proof;
mod raw;
mod scale;
mod server;
mod sign;
mod unaudited;

use std::error::Error;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let rounds = figures::Rounds::of_environment();
    // Cargo adds `--bench`, by which a harness would know that it is not run as a test.
    let mut chosen: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if chosen.is_empty() {
        chosen =
            ["claims", "sign", "mint", "proof", "jwks", "light", "connections", "crowd"].map(str::to_owned).to_vec();
    }
    if let [chart, figures, folder] = &chosen[..]
        && chart == "chart"
    {
        return chart::draw(Path::new(figures), Path::new(folder));
    }
    if let [role, bits, address, credentials] = &chosen[..]
        && role == unaudited::ROLE
    {
        return unaudited::run(bits, address, Path::new(credentials));
    }
    for name in chosen {
        match name.as_str() {
            "claims" => claims::measure(&rounds)?,
            "sign" => sign::measure(&rounds)?,
            "mint" => mint::measure(&rounds)?,
            "proof" => proof::measure(&rounds)?,
            "jwks" => jwks::measure(&rounds)?,
            "light" => light::measure(&rounds)?,
            "connections" => connections::measure(&rounds)?,
            "crowd" => crowd::measure(&rounds)?,
            "scale" => scale::measure(&rounds)?,
            _ => return Err(format!("no bench {name}; see scripts/bench --help").into()),
        }
    }
    Ok(())
}
