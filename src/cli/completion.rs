//! `brevet completion`: shell completions.

use clap::CommandFactory;
use clap_complete::Shell;

use super::outcome::Failure;
use super::{Arguments, Run};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet completion bash > ~/.local/share/bash-completion/completions/brevet")]
pub(super) struct Completion {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl Completion {
    pub(super) fn run(&self, run: &Run) -> Result<(), Failure> {
        let shell = match self.shell.as_str() {
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => Shell::Bash,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "brevet", &mut script);
        run.output.piece(String::from_utf8_lossy(&script))
    }
}
