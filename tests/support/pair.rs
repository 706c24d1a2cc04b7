//! Two `brevet serve` on one PostgreSQL, each reached by itself.

use super::caller::Caller;
use super::postgres::{self, TestDatabase};
use super::process::{self, Home, Running};
use super::served::free_port;

/// The installation. Everything it started ends with it.
pub(crate) struct Pair {
    /// `http://127.0.0.1:PORT` of the first replica.
    pub(crate) issuer: String,
    pub(crate) admin_key: String,
    urls: [String; 2],
    homes: [Home; 2],
    kek: String,
    running: [Option<Running>; 2],
    // Dropped last: the replicas are connected to it.
    database: TestDatabase,
}

/// Whoever drills sends more than any honest caller.
const LIMITS: [&str; 5] = ["CREDENTIAL", "PRINCIPAL", "TEAM", "ADDRESS", "FAILURES"];

impl Pair {
    /// Starts both; `None` after saying that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        let database = postgres::database()?;
        let homes = [Home::new(), Home::new()];
        let kek = process::run(homes[0].brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
        let urls = [free_port(), free_port()].map(|port| format!("http://127.0.0.1:{port}"));
        let (issuer, admin_key) = (urls[0].clone(), String::new());
        let mut pair = Self { issuer, admin_key, urls, homes, kek, running: [None, None], database };
        pair.serve(0).wait_for("first administrator key");
        let key = pair.homes[0].path().join("first-administrator.key");
        std::fs::read_to_string(key).expect("the first key").trim().clone_into(&mut pair.admin_key);
        pair.serve(1);
        Some(pair)
    }

    /// Starts a replica, or starts it again after [`Self::kill`].
    pub(crate) fn serve(&mut self, replica: usize) -> &Running {
        let listen = self.urls[replica].trim_start_matches("http://").to_owned();
        let mut command = self.homes[replica].brevet(["serve", "--development", "--issuer-url", &self.issuer]);
        command.args(["--public-listen", &listen, "--admin-listen", "same", "--ops-listen", "127.0.0.1:0"]);
        command
            .env("DATABASE_URL", self.database.url())
            .env("BREVET_KEK", &self.kek)
            .env("BREVET_LOG", "warn,brevet::cli=info");
        for limit in LIMITS {
            command.env(format!("BREVET_LIMIT_{limit}"), "60000000/1000000");
        }
        let running = process::start(command);
        running.wait_for("\"serving\"");
        self.running[replica].insert(running)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, replica: usize) {
        self.running[replica].take().expect("it runs").kill();
    }

    /// The first administrator, at one replica.
    pub(crate) fn admin(&self, replica: usize) -> Caller {
        Caller::new(&self.urls[replica], &self.admin_key)
    }

    /// For connections past the issuer.
    pub(crate) fn database_url(&self) -> String {
        self.database.url()
    }
}
