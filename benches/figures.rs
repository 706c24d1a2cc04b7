//! How often is measured, and how a figure is told.

use std::io::Write;
use std::time::Duration;

use crate::Outcome;

/// How often and how long is measured.
pub(crate) struct Rounds {
    pub(crate) count: usize,
    /// Of what runs in this process: seconds of its CPU time.
    pub(crate) length: Duration,
    /// Of load on a server: seconds by the clock on the wall.
    pub(crate) load: Duration,
}

impl Rounds {
    #[expect(clippy::disallowed_methods, reason = "how scripts/bench asks for short rounds")]
    pub(crate) fn of_environment() -> Self {
        if std::env::var_os("BREVET_BENCH_QUICK").is_some() {
            Self { count: 3, length: Duration::from_millis(250), load: Duration::from_secs(1) }
        } else {
            Self { count: 5, length: Duration::from_secs(1), load: Duration::from_secs(3) }
        }
    }
}

/// One line: the median and how far the others lie from it.
pub(crate) fn tell(key: &str, what: &str, unit: &str, values: &[f64]) -> Outcome<()> {
    let (low, median, high) = spread(values).ok_or("a figure without values")?;
    let digits = match median {
        small if small < 10.0 => 3,
        middling if middling < 1000.0 => 1,
        _ => 0,
    };
    writeln!(std::io::stdout(), "{key}\t{what}\t{unit}\t{median:.digits$}\t{low:.digits$}\t{high:.digits$}")?;
    Ok(())
}

/// One line for whoever looks on.
pub(crate) fn remark(words: &str) -> Outcome<()> {
    Ok(writeln!(std::io::stderr(), "{words}")?)
}

/// Least, median and greatest.
fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    Some((*values.first()?, *values.get(values.len() / 2)?, *values.last()?))
}
