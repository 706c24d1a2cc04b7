//! The `brevet` binary: parse, run, tell the outcome by the exit code.

use std::process::ExitCode;

use brevet::cli::Arguments;
use clap::Parser;

fn main() -> ExitCode {
    Arguments::parse().run()
}
