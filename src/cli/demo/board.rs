//! How the demo looks: numbered sections, a mark before each thing that holds, and the time it all took.

use std::fmt::Display;
use std::time::Instant;

use crate::cli::outcome::Failure;
use crate::cli::output::{Output, plain};

/// Width of the column of names.
const NAMES: usize = 16;

/// Where the demo is shown.
pub(super) struct Board {
    output: Output,
    section: u8,
    began: Instant,
}

impl Board {
    pub(super) fn new(output: Output) -> Self {
        Self { output, section: 0, began: Instant::now() }
    }

    pub(super) fn title(&self) -> Result<(), Failure> {
        let paint = self.output.out();
        self.output.line(format!("{}  a token minted here opens Bedrock", paint.bold("Brevet")))?;
        self.output.line(paint.dim("issuer, stand-in AWS and worker on this machine; nothing leaves loopback"))
    }

    /// Begins a section.
    pub(super) fn section(&mut self, words: &str) -> Result<(), Failure> {
        self.section += 1;
        let paint = self.output.out();
        self.output.line(format!("\n{} {}", paint.name(self.section), paint.bold(words)))
    }

    /// Something that holds.
    pub(super) fn holds(&self, name: &str, words: impl Display) -> Result<(), Failure> {
        let words = plain(&words.to_string());
        self.output.line(format!("  {} {name:NAMES$}  {words}", self.output.out().good("✓")))
    }

    /// A line below one that holds.
    pub(super) fn more(&self, words: impl Display) -> Result<(), Failure> {
        let paint = self.output.out();
        self.output.line(format!("    {:NAMES$}  {}", "", paint.dim(plain(&words.to_string()))))
    }

    /// Begins a line that fills up as its text arrives.
    pub(super) fn arriving(&self, name: &str) -> Result<(), Failure> {
        self.output.piece(format!("    {name:NAMES$}  "))
    }

    /// A piece of that line, shown at once.
    pub(super) fn piece(&self, text: &str) -> Result<(), Failure> {
        self.output.piece(self.output.out().name(plain(text)))
    }

    /// Ends that line.
    pub(super) fn arrived(&self) -> Result<(), Failure> {
        self.output.line("")
    }

    /// Words between sections.
    pub(super) fn note(&self, words: impl Display) -> Result<(), Failure> {
        self.output.line(format!("\n{words}"))
    }

    /// A call to copy: nothing before it but white space, and no colour within.
    pub(super) fn call(&self, words: &str, lines: &str) -> Result<(), Failure> {
        self.output.line(format!("\n{}\n{lines}", self.output.out().dim(format!("# {words}"))))
    }

    /// What was expected, and what came instead: this ends the demo.
    pub(super) fn broken(&self, what: &str, why: impl Display) -> Failure {
        let mark = self.output.out().bad("✗");
        let _ = self.output.line(format!("  {mark} {what}"));
        Failure::Refused(format!("{what} does not hold: {}", plain(&why.to_string())))
    }

    /// `holds`, or the failure of the whole demo.
    pub(super) fn check(&self, what: &str, holds: bool, instead: impl Display) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(self.broken(what, instead)) }
    }

    pub(super) fn end(&self) -> Result<(), Failure> {
        let took = format!("{:.1} s", self.began.elapsed().as_secs_f64());
        self.note(format!("{} {took}", self.output.out().good("Everything held,")))
    }
}
