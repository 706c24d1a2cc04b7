//! `brevet help [COMMAND…]`, and `brevet help environment`: the list of variables.

use std::fmt::Write as _;

use clap::CommandFactory;

use super::outcome::Failure;
use super::output::{Output, Paint};
use super::{Arguments, Run};
use crate::config::env::{self, Variable};

/// Explain a command, or every environment variable
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet help environment")]
pub(super) struct Help {
    /// A command such as `token` or `admin teams`, or `environment`
    topic: Vec<String>,
    /// For `environment`: text, or markdown as in docs/environment.md
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "markdown"])]
    format: String,
}

impl Help {
    pub(super) fn run(&self, run: &Run) -> Result<(), Failure> {
        if self.topic == ["environment"] {
            return match self.format.as_str() {
                "markdown" => run.output.piece(markdown()),
                _ => run.output.line(text(run.output.out())),
            };
        }
        explain(run.output, &self.topic)
    }
}

fn explain(output: Output, topic: &[String]) -> Result<(), Failure> {
    let mut command = Arguments::command();
    command.build();
    let mut found = &mut command;
    for word in topic {
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            Failure::Usage(format!("there is no command or topic {word:?}: `brevet help` lists them"))
        })?;
    }
    let help = found.render_long_help();
    if output.out().is_on() { output.line(help.ansi()) } else { output.line(help) }
}

fn text(paint: Paint) -> String {
    let mut text = "A flag goes before its variable; an empty variable counts as absent.\n".to_owned();
    for variable in env::ALL {
        let flag = variable.flag.map(|flag| format!("  {flag}")).unwrap_or_default();
        let _ = write!(text, "\n{}{}\n", paint.bold(variable.name), paint.name(flag));
        let _ = writeln!(text, "    {}", variable.meaning);
        if !variable.default.is_empty() {
            let _ = writeln!(text, "    {} {}", paint.dim("default:"), variable.default);
        }
        let _ = writeln!(text, "    {} {}", paint.dim("read by:"), variable.readers);
    }
    text.trim_end().to_owned()
}

/// The whole of docs/environment.md.
fn markdown() -> String {
    let mut text = "# Environment\n\n\
        Made by `brevet help environment --format markdown` from `src/config/env.rs`; a test compares the two.\n\n\
        A flag goes before its variable; an empty variable counts as absent. There is no configuration file for\n\
        servers: what changes at run time lives in the database and is set through the admin API.\n\n\
        | Variable | Flag | Meaning | Default | Read by |\n|---|---|---|---|---|\n"
        .to_owned();
    for Variable { name, flag, meaning, default, readers } in env::ALL {
        let flag = flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {flag} | {} | {default} | {readers} |", meaning.replace('|', "\\|"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_environment_is_what_the_program_says() {
        let written = include_str!("../../docs/environment.md");
        assert_eq!(written, markdown(), "run: brevet help environment --format markdown > docs/environment.md");
    }

    #[test]
    fn every_flag_of_the_list_exists_and_is_read_by_some_command() {
        let mut command = Arguments::command();
        command.build();
        let mut flags = Vec::new();
        collect(&command, &mut flags);
        for variable in env::ALL {
            if let Some(flag) = variable.flag {
                assert!(flags.iter().any(|known| known == flag), "{flag} is in the list and in no command");
            }
        }
    }

    fn collect(command: &clap::Command, flags: &mut Vec<String>) {
        flags.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
        command.get_subcommands().for_each(|inner| collect(inner, flags));
    }
}
