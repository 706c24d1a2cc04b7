//! Two `brevet serve` on one PostgreSQL behind one nginx or HAProxy, whose address is the issuer URL.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::chaos::{Chaos, Weather};
use super::drilled::lifted_rates;
use super::leash::{Balancer, LeashedPostgres};
use super::process::{self, Ended, Home, Running};
use super::served::{MODEL, ROLE, free_port};

/// How many replicas there are.
pub(crate) const REPLICAS: usize = 2;

/// The installation. Everything it started ends with it.
pub(crate) struct Replicas {
    /// `http://127.0.0.1:PORT` of what stands before them.
    pub(crate) issuer: String,
    pub(crate) admin_key: String,
    running: [Option<Running>; REPLICAS],
    homes: [Home; REPLICAS],
    ports: [u16; REPLICAS],
    ops: [u16; REPLICAS],
    kek: String,
    /// What serves, where it is not the program under test.
    older: Option<OsString>,
    _balancer: Balancer,
    postgres: LeashedPostgres,
    network: Option<Chaos>,
}

impl Replicas {
    /// Starts all of it; `None` after saying that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::with(false, None)
    }

    /// The same with a network before the database whose weather changes.
    pub(crate) fn start_in_weather() -> Option<Self> {
        Self::with(true, None)
    }

    /// Both of an older release, whose program is `older`.
    pub(crate) fn start_older(older: OsString) -> Option<Self> {
        Self::with(false, Some(older))
    }

    fn with(network: bool, older: Option<OsString>) -> Option<Self> {
        let [ports, ops] = [[(); REPLICAS]; 2].map(|replicas| replicas.map(|()| free_port()));
        let port = free_port();
        let balancer = Balancer::start(port, &ports, &ops)?;
        let postgres = LeashedPostgres::start()?;
        let network = network.then(|| Chaos::before(port_of(postgres.url())));
        let homes = [Home::new(), Home::new()];
        let kek = process::run(homes[0].brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
        let mut replicas = Self {
            issuer: format!("http://127.0.0.1:{port}"),
            admin_key: String::new(),
            running: [None, None],
            homes,
            ports,
            ops,
            kek,
            older,
            _balancer: balancer,
            postgres,
            network,
        };
        replicas.serve(0);
        replicas.running[0].as_ref()?.wait_for("first administrator key");
        let key = replicas.homes[0].path().join("first-administrator.key");
        std::fs::read_to_string(key).expect("the first key").trim().clone_into(&mut replicas.admin_key);
        replicas.serve(1);
        Some(replicas)
    }

    /// From here on the program under test serves.
    pub(crate) fn upgrade(&mut self) {
        self.older = None;
    }

    /// Starts a replica, or starts it again, on its home and port.
    pub(crate) fn serve(&mut self, replica: usize) {
        let listen = format!("127.0.0.1:{}", self.ports[replica]);
        let home = &self.homes[replica];
        let mut command = self.older.as_ref().map_or_else(|| home.brevet([]), |older| home.command(older));
        command.args(["serve", "--development", "--issuer-url", &self.issuer]);
        let ops = format!("127.0.0.1:{}", self.ops[replica]);
        command.args(["--public-listen", &listen, "--admin-listen", "same", "--ops-listen", &ops]);
        let database = match &self.network {
            Some(network) => {
                let place = format!("127.0.0.1:{}/", port_of(self.postgres.url()));
                self.postgres.url().replace(&place, &format!("127.0.0.1:{}/", network.port))
            }
            None => self.postgres.url().to_owned(),
        };
        command.env("DATABASE_URL", database).env("BREVET_KEK", &self.kek).envs(lifted_rates());
        let running = process::start(command);
        running.wait_for("\"serving\"");
        self.running[replica] = Some(running);
    }

    /// Where a replica's public listener is, past nginx.
    pub(crate) fn address(&self, replica: usize) -> String {
        format!("127.0.0.1:{}", self.ports[replica])
    }

    /// SIGKILL of one replica.
    pub(crate) fn kill(&mut self, replica: usize) -> Ended {
        self.running[replica].take().expect("it runs").kill()
    }

    /// SIGTERM of one replica, and its end.
    pub(crate) fn terminate(&mut self, replica: usize) -> Ended {
        let running = self.running[replica].take().expect("it runs");
        running.terminate();
        running.finish()
    }

    /// SIGTERM of all that run, and their ends.
    pub(crate) fn stop(&mut self) -> Vec<Ended> {
        let running: Vec<_> = self.running.iter_mut().filter_map(Option::take).collect();
        running.iter().for_each(Running::terminate);
        running.into_iter().map(Running::finish).collect()
    }

    /// Changes the weather between the replicas and the database.
    pub(crate) fn weather(&self, weather: Weather) {
        self.network.as_ref().expect("a network was asked for").set(weather);
    }

    /// SIGKILL of the whole database server.
    pub(crate) fn slay_database(&mut self) {
        self.postgres.slay();
    }

    /// SIGKILL of one of its processes that serves a connection.
    pub(crate) fn slay_backend(&mut self) {
        self.postgres.slay_backend();
    }

    /// SIGSTOP of the database.
    pub(crate) fn freeze_database(&mut self) {
        self.postgres.freeze();
    }

    /// SIGCONT of the database.
    pub(crate) fn thaw_database(&mut self) {
        self.postgres.thaw();
    }

    /// A team, and an agent in it; the agent's key.
    pub(crate) fn furnish(&self) -> String {
        let patience = Duration::from_secs(30);
        self.admin(&["admin", "teams", "create", "--uid", "red", "--name", "Red"], patience);
        self.admin(
            &["admin", "service-accounts", "create", "--team", "red", "--uid", "bot", "--name", "Bot"],
            patience,
        );
        let role = ["--role-arn", ROLE, "--region", "eu-central-1", "--allow-model", MODEL];
        self.admin(&[&["admin", "provider-settings", "set", "--team", "red"][..], &role].concat(), patience);
        self.admin(&["admin", "service-accounts", "create-key", "--team", "red", "bot"], patience)
    }

    /// Statements, past the issuer.
    pub(crate) fn execute(&self, sql: String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(self.postgres.url()).await.expect("PostgreSQL answers");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a superuser may do this");
        });
    }

    /// The one column that a query has, past the issuer.
    pub(crate) fn texts(&self, sql: &'static str) -> BTreeSet<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(self.postgres.url()).await.expect("PostgreSQL answers");
            let texts: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("texts");
            texts.into_iter().collect()
        })
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

/// The port of a `postgres://` URL with one.
fn port_of(url: &str) -> u16 {
    url::Url::parse(url).ok().and_then(|url| url.port()).expect("a URL with a port")
}
