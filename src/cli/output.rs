//! What a command shows: its result on stdout and nothing else there, words on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::outcome::Failure;

/// The two outputs of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    out: Paint,
    err: Paint,
}

/// Colour where it is wanted: on a terminal, and not under `NO_COLOR`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self(false)
    }

    fn sgr(self, code: &str, text: impl Display) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }

    /// Bold.
    pub(super) fn bold(self, text: impl Display) -> String {
        self.sgr("1", text)
    }
    /// Faint.
    pub(super) fn dim(self, text: impl Display) -> String {
        self.sgr("2", text)
    }
    /// Green: holds.
    pub(super) fn good(self, text: impl Display) -> String {
        self.sgr("32", text)
    }
    /// Red: does not hold.
    pub(super) fn bad(self, text: impl Display) -> String {
        self.sgr("31", text)
    }
    /// Yellow: mind this.
    pub(super) fn warn(self, text: impl Display) -> String {
        self.sgr("33", text)
    }
    /// Cyan: a name.
    pub(super) fn name(self, text: impl Display) -> String {
        self.sgr("36", text)
    }

    /// Whether anything is coloured: whether a person watches a terminal.
    pub(super) const fn is_on(self) -> bool {
        self.0
    }
}

#[expect(clippy::unused_self, reason = "who writes must hold the command's output")]
impl Output {
    /// Colours as terminal and `NO_COLOR` have it.
    pub(super) fn new(no_color: bool) -> Self {
        Self {
            json: false,
            out: Paint(!no_color && io::stdout().is_terminal()),
            err: Paint(!no_color && io::stderr().is_terminal()),
        }
    }

    /// The same, with data as JSON where `json` is asked for.
    #[must_use]
    pub(super) const fn as_json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Whether data goes out as JSON.
    pub(super) const fn is_json(self) -> bool {
        self.json
    }

    /// Colours of stdout.
    pub(super) const fn out(self) -> Paint {
        self.out
    }

    /// Colours of stderr.
    pub(super) const fn err(self) -> Paint {
        self.err
    }

    /// The result, or a line of it.
    pub(super) fn line(self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(io::stdout().lock(), "{text}")?)
    }

    /// A piece of the result, shown at once.
    pub(super) fn piece(self, text: impl Display) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Words beside the result; nobody reading them is no failure.
    pub(super) fn say(self, words: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{words}");
    }

    /// Data: as JSON where asked for, else as `show` puts it.
    pub(super) fn data<T: Serialize>(self, data: &T, show: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(data).map_err(Failure::refused)?;
            return self.line(text);
        }
        let text = show(data);
        if text.is_empty() { Ok(()) } else { self.line(text.trim_end_matches('\n')) }
    }
}

/// Rows under headings, in columns as wide as their widest cell. Empty cells show `-`, so that columns can be
/// cut apart by programs too.
pub(super) fn table<const N: usize>(
    paint: Paint,
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows
        .into_iter()
        .map(|row| row.map(|cell| if cell.is_empty() { "-".to_owned() } else { plain(&cell) }))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let join = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![paint.bold(join(headings))];
    lines.extend(rows.iter().map(|row| join(std::array::from_fn(|column| row[column].as_str()))));
    lines.join("\n")
}

/// Names and values, one a line, aligned.
pub(super) fn fields(paint: Paint, pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{}  {}", paint.dim(format!("{name:width$}")), plain(value));
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Without control characters: names come from other people, and a terminal obeys what it is shown.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown_as_such() {
        let rows = [["a".to_owned(), String::new()], ["bcd".to_owned(), "x\u{1b}[2Jy".to_owned()]];
        assert_eq!(table(Paint(false), ["UID", "NAME"], rows), "UID  NAME\na    -\nbcd  x\u{fffd}[2Jy");
        let shown = fields(Paint(false), &[("team", "red".to_owned()), ("audience", "sts".to_owned())]);
        assert_eq!(shown, "team      red\naudience  sts");
    }
}
