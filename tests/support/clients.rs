//! Foreign clients: programs of `tests/clients/` under the private Python and Node of `scripts/install`, and the AWS
//! CLI. Each program takes flags and prints one JSON object: `"ok": true` and what it got, or `"ok": false` and the
//! fault as that client's library tells it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{self, Ended, Home, Running};
use super::{unmet, variable};

/// A client about to run, in an empty home of its own.
pub(crate) struct Client {
    command: Command,
    /// Kept until the client has run.
    home: Home,
}

/// A Python program of `tests/clients/`, or `None` after saying that the test is skipped.
pub(crate) fn python(program: &str) -> Option<Client> {
    let mut client = Client::new(known("BREVET_TEST_PYTHON", "the Python clients")?);
    client.command.arg(folder().join(program));
    Some(client)
}

/// A Node program of `tests/clients/`, or `None` after saying that the test is skipped.
pub(crate) fn node(program: &str) -> Option<Client> {
    let modules = known("BREVET_TEST_NODE_MODULES", "the Node clients")?;
    let mut client = Client::new(known("BREVET_TEST_NODE", "the Node clients")?);
    client.command.env("BREVET_TEST_NODE_MODULES", modules).arg(folder().join(program));
    Some(client)
}

/// A Node program of `tests/clients/` that drives a browser, and the Chromium for it; or `None` after saying that the
/// test is skipped.
pub(crate) fn chromium(program: &str) -> Option<(Client, String)> {
    let chromium = known("BREVET_TEST_CHROMIUM", "Chromium")?;
    Some((node(program)?, chromium.into_string().expect("a path in UTF-8")))
}

/// The AWS CLI (version 1), without any profile, region or cache; or `None` after saying that the test is skipped.
pub(crate) fn aws_cli() -> Option<Client> {
    let python = PathBuf::from(known("BREVET_TEST_PYTHON", "the AWS CLI")?);
    Some(Client::new(python.with_file_name("aws").into()))
}

/// A shell in which `aws` is that AWS CLI, to run lines that people copy; its arguments are those of `sh`.
pub(crate) fn aws_shell() -> Option<Client> {
    let python = PathBuf::from(known("BREVET_TEST_PYTHON", "the AWS CLI")?);
    let mut client = Client::new("/bin/sh".into());
    let programs = python.parent().expect("a path to python");
    client.command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    Some(client)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn known(name: &str, what: &str) -> Option<OsString> {
    let value = variable(name);
    if value.is_none() {
        unmet(what, "BREVET_TEST_REQUIRE_CLIENTS");
    }
    value
}

impl Client {
    fn new(program: OsString) -> Self {
        let home = Home::new();
        let mut command = home.command(program);
        // No metadata service of the machine that runs the tests, no pager, no retries that hide a refusal.
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_PAGER", "")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Self { command, home }
    }

    /// Adds arguments.
    pub(crate) fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable, as in `AWS_ENDPOINT_URL_STS`.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Where the client runs and what it may leave behind.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The command itself, for who keeps it running.
    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it and lets it run, in a home that it needs as long.
    pub(crate) fn start(self) -> (Running, Home) {
        (process::start(self.command), self.home)
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        process::run(self.command)
    }

    /// The same for one that takes its time.
    #[track_caller]
    pub(crate) fn run_within(self, patience: Duration) -> Ended {
        process::start(self.command).finish_within(patience)
    }
}
