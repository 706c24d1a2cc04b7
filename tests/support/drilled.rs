//! An issuer for a drill: the real binary on SQLite or on PostgreSQL, with teams whose agents mint, and a look at its
//! audit rows past it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use super::caller::{Caller, text};
use super::postgres::{self, TestDatabase};
use super::process::{self, Home};
use super::served::{ROLE, Served, free_port};

/// The issuer, and its database where that is one of PostgreSQL's.
pub(crate) struct Drilled {
    pub(crate) served: Served,
    pub(crate) name: &'static str,
    postgres: Option<String>,
    /// Gone when this is dropped.
    database: Option<TestDatabase>,
}

/// No rates and no access lines: whoever drills sends more than any honest caller, and it is admission that is tried.
pub(crate) fn no_rates() -> Vec<(&'static str, String)> {
    lifted_rates().into_iter().chain(quiet()).collect()
}

/// No rates.
pub(crate) fn lifted_rates() -> [(&'static str, String); 4] {
    ["BREVET_LIMIT_CREDENTIAL", "BREVET_LIMIT_PRINCIPAL", "BREVET_LIMIT_TEAM", "BREVET_LIMIT_ADDRESS"]
        .map(|name| (name, "60000000/1000000".to_owned()))
}

/// No line for each request, which the drill itself would have to read.
pub(crate) fn quiet() -> Vec<(&'static str, String)> {
    vec![("BREVET_LOG", "warn,brevet::cli=info".to_owned())]
}

impl Drilled {
    /// One on SQLite, and one on PostgreSQL where there is a server, one after the other.
    pub(crate) fn each(variables: &[(&'static str, String)]) -> impl Iterator<Item = Self> + use<> {
        let (first, second) = (variables.to_vec(), variables.to_vec());
        let sqlite = std::iter::once_with(move || Self::on_sqlite(Home::new(), first));
        sqlite.chain(std::iter::once_with(move || Self::on_postgres(second)).flatten())
    }

    /// On SQLite, in a home that may lie on a disk of its own.
    pub(crate) fn on_sqlite(home: Home, variables: Vec<(&'static str, String)>) -> Self {
        let served = Served::start_with(home, &format!("http://127.0.0.1:{}", free_port()), variables);
        Self { served, name: "sqlite", postgres: None, database: None }
    }

    /// On a database of its own; `None` after saying that this is skipped.
    pub(crate) fn on_postgres(variables: Vec<(&'static str, String)>) -> Option<Self> {
        let database = postgres::database()?;
        let mut drilled = Self::on_postgres_at(database.url(), variables);
        drilled.database = Some(database);
        Some(drilled)
    }

    /// On an empty database of somebody else's.
    pub(crate) fn on_postgres_at(url: String, mut variables: Vec<(&'static str, String)>) -> Self {
        let home = Home::new();
        let kek = process::run(home.brevet(["keys", "init-kek", "--print"])).stdout.trim().to_owned();
        variables.extend([("DATABASE_URL", url.clone()), ("BREVET_KEK", kek)]);
        let served = Served::start_with(home, &format!("http://127.0.0.1:{}", free_port()), variables);
        Self { served, name: "postgres", postgres: Some(url), database: None }
    }

    /// `host:port` of the public listener.
    pub(crate) fn address(&self) -> String {
        self.served.url.trim_start_matches("http://").to_owned()
    }

    /// What `/readyz` says: whether it is ready, and of which part what.
    pub(crate) fn readiness(&self) -> Value {
        serde_json::from_str(&self.ops("/readyz")).expect("JSON")
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.ops("/metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).expect("it is measured")
    }

    /// What the ops listener answers.
    fn ops(&self, path: &str) -> String {
        let line: Value = serde_json::from_str(&self.served.logged("\"serving\"")).expect("a JSON line");
        let address = line["ops"].as_str().expect("an address");
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        body.to_owned()
    }

    /// Makes teams with so many agents each; the agents' keys by team.
    pub(crate) fn furnish(&self, teams: &[&str], agents: usize) -> Vec<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let operator = Caller::new(&self.served.url, &self.served.admin_key);
        runtime.block_on(async {
            let mut keys = Vec::new();
            for team in teams {
                operator.must("POST", "/v1/teams", Some(json!({ "uid": team, "name": team }))).await;
                let role = json!({ "role_arn": ROLE, "region": "eu-central-1" });
                operator.must("PATCH", &format!("/v1/teams/{team}/provider-settings"), Some(role)).await;
                let (path, mut of_team) = (format!("/v1/teams/{team}/service-accounts"), Vec::new());
                for agent in 0..agents {
                    let uid = format!("{team}-{agent}");
                    operator.must("POST", &path, Some(json!({ "uid": uid, "name": uid }))).await;
                    let made = operator.must("POST", &format!("{path}/{uid}/keys"), Some(json!({}))).await;
                    of_team.push(text(&made, "key"));
                }
                keys.push(of_team);
            }
            keys
        })
    }

    /// Signs with RSA keys of so many bits from now on.
    pub(crate) fn sign_with(&self, bits: u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let operator = Caller::new(&self.served.url, &self.served.admin_key);
        let body = json!({ "algorithm": "RS256", "bits": bits, "accept_outage": true });
        runtime.block_on(operator.must("POST", "/v1/signing-keys/replace-all", Some(body)));
    }

    /// The ids of all tokens whose release a row authorises, read past the issuer. On SQLite while it is stopped.
    pub(crate) fn released(&self) -> BTreeSet<String> {
        let ids =
            self.audited("SELECT token_id FROM audit_events WHERE action = 'token.mint' AND decision = 'allowed'");
        let (count, released): (_, BTreeSet<_>) = (ids.len(), ids.into_iter().collect());
        assert_eq!(count, released.len(), "two rows for one token");
        released
    }

    /// How many rows tell of refusals. On SQLite while it is stopped.
    pub(crate) fn refusals(&self) -> usize {
        self.audited("SELECT reason FROM audit_events WHERE decision = 'refused'").len()
    }

    fn audited(&self, sql: &'static str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            if let Some(url) = &self.postgres {
                let mut connection = PgConnection::connect(url).await.expect("PostgreSQL answers");
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("texts")
            } else {
                let options = SqliteConnectOptions::new().filename(self.served.home.path().join("brevet.db"));
                let mut connection = SqliteConnection::connect_with(&options).await.expect("a database");
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("texts")
            }
        })
    }
}
