//! Pictures of the figures, as SVG that follows the reader's light or dark page: ratios beside their goals, and what a
//! mint takes on few and many connections.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Outcome;

/// Median, least and greatest of each key.
type Figures = BTreeMap<String, [f64; 3]>;

/// A ratio that has a goal.
struct Goal {
    key: &'static str,
    words: &'static str,
    ratio: f64,
}

const GOALS: [Goal; 5] = [
    Goal { key: "sign_ratio", words: "RS256 signing, of bare aws-lc", ratio: 0.99 },
    Goal { key: "mint_ratio_postgres", words: "RS256 mint, PostgreSQL, of bare signing", ratio: 0.90 },
    Goal { key: "mint_ratio_sqlite", words: "RS256 mint, SQLite, of bare signing", ratio: 0.85 },
    Goal { key: "es256_ratio_postgres", words: "ES256 mint, PostgreSQL, of bare signing", ratio: 0.50 },
    Goal { key: "jwks_ratio_nginx", words: "public keys, of nginx", ratio: 1.10 },
];

const WIDTH: f64 = 760.0;
const LEFT: f64 = 290.0;
const RIGHT: f64 = 60.0;
const ROW: f64 = 34.0;

/// Writes `ratios.svg` and `latency.svg` into `folder`, from the lines that the benches printed into `file`. A picture
/// of which no figure was measured is left as it is.
pub(crate) fn draw(file: &Path, folder: &Path) -> Outcome<()> {
    let figures = read(&fs::read_to_string(file)?)?;
    for (name, drawn) in [("ratios.svg", ratios(&figures)?), ("latency.svg", latencies(&figures)?)] {
        if let Some(drawn) = drawn {
            fs::write(folder.join(name), drawn)?;
        }
    }
    Ok(())
}

fn read(text: &str) -> Outcome<Figures> {
    let mut figures = Figures::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [key, _, _, median, least, greatest] = fields[..] else { return Err("not a line of figures".into()) };
        figures.insert(key.to_owned(), [median.parse()?, least.parse()?, greatest.parse()?]);
    }
    Ok(figures)
}

fn ratios(figures: &Figures) -> Outcome<Option<String>> {
    let rows: Vec<_> = GOALS.iter().filter_map(|goal| Some((goal, figures.get(goal.key)?))).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let scale = |value: f64| LEFT + value / 1.2 * (WIDTH - LEFT - RIGHT);
    let mut picture = Picture::begin(rows.len(), "Ratios beside their goals; the thin line is the spread")?;
    for (row, (goal, [median, least, greatest])) in rows.into_iter().enumerate() {
        let y = picture.label(row, goal.words)?;
        picture.bar(scale(0.0), scale(*median), y)?;
        picture.spread(scale(*least), scale(*greatest), y)?;
        picture.goal(scale(goal.ratio), y)?;
        picture.value(scale(greatest.max(goal.ratio)), y, &format!("{median:.2}"))?;
    }
    Ok(Some(picture.end()))
}

fn latencies(figures: &Figures) -> Outcome<Option<String>> {
    let mut rows = Vec::new();
    for connections in ["1", "64", "1000"] {
        for (percentile, words) in [("p50", "median"), ("p99", "99 of 100")] {
            if let Some(of) = figures.get(&format!("connections_{percentile}_{connections}")) {
                rows.push((format!("{connections} connections, {words}"), of));
            }
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    // Logarithmic, from a tenth of a millisecond to ten seconds.
    let scale = |value: f64| LEFT + (value.max(0.1).log10() + 1.0) / 5.0 * (WIDTH - LEFT - RIGHT);
    let mut picture =
        Picture::begin(rows.len(), "Milliseconds from request to answer; each tick is ten times the last")?;
    for tick in [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0] {
        picture.tick(scale(tick))?;
    }
    for (row, (words, [median, least, greatest])) in rows.into_iter().enumerate() {
        let y = picture.label(row, &words)?;
        picture.bar(scale(0.1), scale(*median), y)?;
        picture.spread(scale(*least), scale(*greatest), y)?;
        picture.value(scale(*greatest), y, &format!("{median:.1} ms"))?;
    }
    Ok(Some(picture.end()))
}

/// An SVG under construction.
struct Picture {
    text: String,
    height: f64,
}

impl Picture {
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn begin(rows: usize, title: &str) -> Outcome<Self> {
        let height = 44.0 + ROW * rows as f64;
        let mut text = String::new();
        write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"{title}\">\n<style>\n\
             text {{ font: 13px system-ui, sans-serif; fill: #1d2733 }}\n\
             .bar {{ fill: #2f6fde }} .spread {{ stroke: #1d2733 }} .goal {{ stroke: #c2410c; stroke-width: 2 }}\n\
             .tick {{ stroke: #8793a3; stroke-dasharray: 2 4 }}\n\
             @media (prefers-color-scheme: dark) {{ text {{ fill: #e6ebf2 }} .bar {{ fill: #6ea0ff }} \
             .spread {{ stroke: #e6ebf2 }} .goal {{ stroke: #ffb086 }} }}\n</style>\n\
             <text x=\"8\" y=\"22\">{title}</text>\n"
        )?;
        Ok(Self { text, height })
    }

    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn label(&mut self, row: usize, words: &str) -> Outcome<f64> {
        let y = 38.0 + ROW * row as f64;
        writeln!(self.text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{words}</text>", LEFT - 10.0, y + 18.0)?;
        Ok(y)
    }

    fn bar(&mut self, from: f64, to: f64, y: f64) -> Outcome<()> {
        let width = (to - from).max(1.0);
        Ok(writeln!(
            self.text,
            "<rect class=\"bar\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"24\"/>"
        )?)
    }

    fn spread(&mut self, from: f64, to: f64, y: f64) -> Outcome<()> {
        let y = y + 12.0;
        Ok(writeln!(self.text, "<path class=\"spread\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>")?)
    }

    fn goal(&mut self, x: f64, y: f64) -> Outcome<()> {
        Ok(writeln!(self.text, "<path class=\"goal\" d=\"M{x:.1} {:.1}v32\"><title>goal</title></path>", y - 4.0)?)
    }

    fn tick(&mut self, x: f64) -> Outcome<()> {
        Ok(writeln!(self.text, "<path class=\"tick\" d=\"M{x:.1} 32V{:.1}\"/>", self.height - 4.0)?)
    }

    fn value(&mut self, x: f64, y: f64, words: &str) -> Outcome<()> {
        Ok(writeln!(self.text, "<text x=\"{:.1}\" y=\"{:.1}\">{words}</text>", x + 6.0, y + 18.0)?)
    }

    fn end(self) -> String {
        self.text + "</svg>\n"
    }
}
