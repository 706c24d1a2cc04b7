//! Two `brevet serve` on one PostgreSQL behind one nginx, whose address is the issuer URL.

use std::process::Command;
use std::time::{Duration, Instant};

use super::leash::{LeashedPostgres, Nginx};
use super::process::{self, Ended, Home, Running};
use super::served::free_port;

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 2;

/// The installation. Everything it started ends with it.
pub(crate) struct Replicas {
    /// `http://127.0.0.1:PORT` of nginx.
    pub(crate) issuer: String,
    pub(crate) admin_key: String,
    running: [Option<Running>; REPLICAS],
    homes: [Home; REPLICAS],
    ports: [u16; REPLICAS],
    kek: String,
    _nginx: Nginx,
    postgres: LeashedPostgres,
}

impl Replicas {
    /// Starts all of it; `None` after saying that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let ports = [free_port(), free_port()];
        let port = free_port();
        let nginx = Nginx::start(port, &ports)?;
        let postgres = LeashedPostgres::start()?;
        let homes = [Home::new(), Home::new()];
        let kek = process::run(homes[0].brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
        let mut replicas = Self {
            issuer: format!("http://127.0.0.1:{port}"),
            admin_key: String::new(),
            running: [None, None],
            homes,
            ports,
            kek,
            _nginx: nginx,
            postgres,
        };
        replicas.serve(0);
        replicas.running[0].as_ref()?.wait_for("first administrator key");
        let key = replicas.homes[0].path().join("first-administrator.key");
        std::fs::read_to_string(key).expect("the first key").trim().clone_into(&mut replicas.admin_key);
        replicas.serve(1);
        Some(replicas)
    }

    /// Starts a replica, or starts it again, on its home and port.
    pub(crate) fn serve(&mut self, replica: usize) {
        let listen = format!("127.0.0.1:{}", self.ports[replica]);
        let mut command = self.homes[replica].brevet(["serve", "--development", "--issuer-url", &self.issuer]);
        command.args(["--public-listen", &listen, "--admin-listen", "same", "--ops-listen", "127.0.0.1:0"]);
        command.env("DATABASE_URL", self.postgres.url()).env("BREVET_KEK", &self.kek);
        let running = process::start(command);
        running.wait_for("\"serving\"");
        self.running[replica] = Some(running);
    }

    /// SIGKILL of one replica.
    pub(crate) fn kill(&mut self, replica: usize) -> Ended {
        self.running[replica].take().expect("it runs").kill()
    }

    /// Ends the database as a crash would.
    pub(crate) fn stop_database(&mut self) {
        self.postgres.stop();
    }

    /// Starts it again.
    pub(crate) fn resume_database(&mut self) {
        self.postgres.resume();
    }

    /// An administrator's command, through nginx.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.homes[0].brevet(arguments.iter().copied());
        command.env("BREVET_ISSUER", &self.issuer).env("BREVET_TOKEN", &self.admin_key);
        command
    }

    /// Runs an administrator's command until it succeeds: a replica may just have been killed. What it still says
    /// after `patience` is told.
    #[track_caller]
    pub(crate) fn admin(&self, arguments: &[&str], patience: Duration) -> String {
        let deadline = Instant::now() + patience;
        loop {
            let ended = process::run(self.command(arguments));
            if ended.code() == Some(0) {
                return ended.stdout.trim_end().to_owned();
            }
            assert!(Instant::now() < deadline, "{arguments:?}: {ended:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
