//! `brevet demo`: the whole loop on one machine, and the proof that it holds.
//!
//! `stage` starts the parts, `story` plays the steps and checks each, `board` shows them. Issuer, stand-in and
//! worker run in one process and talk HTTP only.

mod answer;
mod board;
mod calls;
mod refusals;
mod stage;
mod steps;
mod story;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use self::board::Board;
use self::stage::{Props, Stage};
use super::outcome::Failure;
use super::{Run, shutdown};
use crate::config::env;
use crate::http::ops;

/// Show the whole loop on this machine, without an AWS account
///
/// Starts an issuer, a stand-in AWS and a worker on free loopback ports, and lets a person and an agent each get
/// a token, AWS verify it and a model answer. Exits with 1 if any step does not hold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet demo\n  brevet demo --keep     (leaves everything running until Ctrl-C)")]
pub(super) struct Demo {
    /// Leave everything running until Ctrl-C, to try the printed calls
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let folder = Folder::new(run)?;
        let metrics = ops::recorder().map_err(Failure::refused)?;
        let props = Props::new(run, folder.0.clone(), metrics);
        let played = Box::pin(play(props, Board::new(run.output), self.keep)).await;
        drop(folder);
        played
    }
}

/// Plays the story once on a fresh stage.
async fn play(props: Props, mut board: Board, keep: bool) -> Result<(), Failure> {
    board.title()?;
    let stage = Stage::start(props, &mut board).await?;
    let told = story::tell(&stage, &mut board).await;
    if told.is_ok() {
        calls::show(&stage, &board, keep)?;
        board.end()?;
        if keep {
            let mut asked = shutdown::Asked::listen()?;
            board.note("everything runs until Ctrl-C")?;
            asked.wait().await?;
        }
    }
    stage.stop().await;
    told
}

/// A private folder that is gone when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new(run: &Run) -> Result<Self, Failure> {
        let base = run.given.text(&env::TMPDIR)?.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let name = run.entropy.uuid_v7(run.clock.now()).simple().to_string();
        let path = base.join(format!("brevet-demo-{name}"));
        // Not recursive: a folder that exists is somebody else's.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| {
            let base = base.display();
            Failure::Refused(format!(
                "no folder can be made in {base}: {error}; {} names another place",
                env::TMPDIR.name
            ))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cli::output::Output;
    use crate::config::host::{SystemClock, SystemEntropy};
    use crate::config::setting::Given;

    /// The demo is a proof only if it can fail: here the customer's role trusts another team.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_loop_that_does_not_hold_fails_the_demo() {
        let run = Run {
            given: Given::new(env::Environment::default()),
            output: Output::new(true),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        };
        let folder = Folder::new(&run).unwrap();
        let metrics = ops::recorder().unwrap();
        let props = Props { trusted_team: "somebody-else".to_owned(), ..Props::new(&run, folder.0.clone(), metrics) };
        let failure = Box::pin(play(props, Board::new(run.output), false)).await.unwrap_err();
        assert_eq!(failure.exit(), crate::cli::Exit::Refused);
        assert!(failure.to_string().contains("does not hold"), "{failure}");
        let path = folder.0.clone();
        drop(folder);
        assert!(!path.exists(), "the demo left its folder behind");
    }
}
