//! The `brevet` binary: parse, run, tell the outcome by the exit code.

use std::process::ExitCode;

use brevet::cli::Arguments;

fn main() -> ExitCode {
    Arguments::of_process().run()
}
