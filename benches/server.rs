//! The servers under load, each a process of its own, so that its CPU time is its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use brevet::domain::secret::Secret;
use brevet::domain::signing_key::KeyKind;
use brevet::store::Target;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Outcome;

const PATIENCE: Duration = Duration::from_mins(1);
const BREVET: &str = env!("CARGO_BIN_EXE_brevet");

/// A child that never outlives its bench.
pub(crate) struct Server {
    child: Child,
    pub(crate) public: SocketAddr,
}

impl Server {
    pub(crate) fn start(mut command: Command, public: SocketAddr) -> Outcome<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, public })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `path` at `address` answers with 200.
    pub(crate) fn ready(&mut self, address: SocketAddr, path: &str) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait()? {
                return Err(format!("the server ended at its start: {ended}").into());
            }
            if call(address, "GET", path, "", None).is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        Err("the server does not get ready".into())
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(id, Signal::TERM)?;
        let ended = self.child.wait()?;
        if ended.success() { Ok(()) } else { Err(format!("the server did not end in peace: {ended}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only for a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the issuer keeps its rows.
pub(crate) enum Database {
    Sqlite,
    /// The URL of an empty database.
    Postgres(String),
}

impl Database {
    /// The same for the store itself, once the server that kept its data in `folder` has ended.
    pub(crate) fn target(&self, folder: &Path) -> Target {
        match self {
            Self::Sqlite => Target::Sqlite { path: folder.join("brevet.db") },
            Self::Postgres(url) => Target::Postgres { url: Secret::new(url.clone()) },
        }
    }
}

/// `brevet serve`, with every setting at its default but where it listens and what it stores.
pub(crate) struct Issuer {
    pub(crate) server: Server,
    /// Of the public, the admin and the ops listener: a store knows its issuer's URL.
    addresses: [SocketAddr; 3],
    administrator: String,
    data: TempDir,
    /// Where the database is PostgreSQL; beside SQLite it lies in a file.
    kek: Option<String>,
}

impl Issuer {
    pub(crate) fn start(database: &Database) -> Outcome<Self> {
        // Beside the build, and not in a folder for temporary files: that may be in memory, where a commit costs nothing.
        let data = TempDir::with_prefix_in("brevet-bench-", env!("CARGO_TARGET_TMPDIR"))?;
        let kek = match database {
            Database::Sqlite => None,
            Database::Postgres(_) => {
                let made = Command::new(BREVET).args(["keys", "init-kek", "--print"]).env_clear().output()?;
                Some(String::from_utf8(made.stdout)?.trim().to_owned())
            }
        };
        Self::on(database, data, kek, free_addresses()?)
    }

    /// Stops it and starts it anew on the same data; how long the start took.
    pub(crate) fn restart(self, database: &Database) -> Outcome<(Self, Duration)> {
        let Self { server, data, kek, addresses, .. } = self;
        server.stop()?;
        let began = Instant::now();
        Ok((Self::on(database, data, kek, addresses)?, began.elapsed()))
    }

    fn on(database: &Database, data: TempDir, kek: Option<String>, addresses: [SocketAddr; 3]) -> Outcome<Self> {
        let [public, admin, ops] = addresses;
        let mut command = Command::new(BREVET);
        command.env_clear().env("HOME", data.path()).current_dir(data.path());
        command.args(["serve", "--development", "--issuer-url", &format!("http://{public}"), "--data-dir", "."]);
        command.args(["--public-listen", &public.to_string(), "--admin-listen", &admin.to_string()]);
        command.args(["--ops-listen", &ops.to_string()]);
        // Eight teams, 64 credentials and one address may ask for less at their default rates than is signed with P-256.
        for limit in ["--limit-team", "--limit-principal", "--limit-credential", "--limit-address"] {
            command.args([limit, "6000000/1000000"]);
        }
        if let Database::Postgres(url) = database {
            command.env("DATABASE_URL", url);
        }
        if let Some(kek) = &kek {
            command.env("BREVET_KEK", kek);
        }
        command.stderr(fs::File::create(data.path().join("log"))?);
        let mut server = Server::start(command, public)?;
        let ready = server.ready(ops, "/readyz");
        let log = || fs::read_to_string(data.path().join("log")).unwrap_or_default();
        ready.map_err(|fault| format!("{fault}\n{}", log()))?;
        let key = data.path().join("first-administrator.key");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&key).is_ok_and(|text| text.ends_with('\n')) {
            if Instant::now() > deadline {
                return Err("no key of the first administrator".into());
            }
            sleep(Duration::from_millis(10));
        }
        let administrator = fs::read_to_string(&key)?.trim().to_owned();
        Ok(Self { server, addresses, administrator, data, kek })
    }

    /// One call of the admin API that must succeed.
    pub(crate) fn administer(&self, method: &str, path: &str, body: &Value) -> Outcome<Value> {
        let asked = || call(self.addresses[1], method, path, &self.administrator, Some(body));
        let (mut status, mut answer) = asked()?;
        // An administrator, too, is told to come back who comes too often.
        while status == 429 {
            sleep(Duration::from_secs(1));
            (status, answer) = asked()?;
        }
        let text = String::from_utf8_lossy(&answer);
        if !(200..300).contains(&status) {
            return Err(format!("{method} {path}: {status} {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// What its `/metrics` tell under `name`, a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> Outcome<f64> {
        let (_, text) = call(self.addresses[2], "GET", "/metrics", "", None)?;
        let text = String::from_utf8(text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.ok_or_else(|| format!("no metric {name}"))?.parse()?)
    }

    /// Changes every signing key for new ones of `kind`, at once: nobody verifies anything here.
    pub(crate) fn sign_with(&self, kind: KeyKind) -> Outcome<()> {
        let body = json!({"algorithm": kind.algorithm().as_str(), "bits": kind.bits(), "accept_outage": true});
        self.administer("POST", "/v1/signing-keys/replace-all", &body).map(drop)
    }

    /// The keys of `accounts` service accounts, spread over `teams` teams that may each use one role.
    pub(crate) fn agents(&self, accounts: usize, teams: usize) -> Outcome<Vec<String>> {
        let role = json!({"role_arn": "arn:aws:iam::111122223333:role/bedrock", "region": "us-east-1"});
        for team in 0..teams {
            self.administer("POST", "/v1/teams", &json!({"uid": format!("team-{team}"), "name": "Team"}))?;
            self.administer("PATCH", &format!("/v1/teams/team-{team}/provider-settings"), &role)?;
        }
        let agent = |number: usize| -> Outcome<String> {
            let accounts = format!("/v1/teams/team-{}/service-accounts", number % teams);
            self.administer("POST", &accounts, &json!({"uid": format!("agent-{number}"), "name": "Agent"}))?;
            let key = self.administer("POST", &format!("{accounts}/agent-{number}/keys"), &json!({"name": "bench"}))?;
            Ok(key["key"].as_str().ok_or("no key")?.to_owned())
        };
        (0..accounts).map(agent).collect()
    }

    /// Ends the server; its data folder stays for as long as what is returned.
    pub(crate) fn stop(self) -> Outcome<TempDir> {
        self.server.stop()?;
        Ok(self.data)
    }
}

/// nginx with one process that serves `body` from a file at `path`, `None` where there is none.
pub(crate) fn nginx(folder: &Path, path: &str, body: &[u8]) -> Outcome<Option<Server>> {
    let Some(program) = nginx_program() else { return Ok(None) };
    let file = folder.join("public").join(path.trim_start_matches('/'));
    fs::create_dir_all(file.parent().ok_or("no folder")?)?;
    fs::write(&file, body)?;
    let [address] = free_addresses()?;
    let folder_text = folder.to_str().ok_or("a folder whose name is no text")?;
    let configuration = format!(
        "daemon off; master_process off; pid {folder_text}/pid; error_log {folder_text}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=100;
            client_body_temp_path {folder_text}/a; proxy_temp_path {folder_text}/b; fastcgi_temp_path {folder_text}/c;
            uwsgi_temp_path {folder_text}/d; scgi_temp_path {folder_text}/e;
            server {{ listen {address}; root {folder_text}/public; default_type application/json; }}
        }}\n"
    );
    fs::write(folder.join("nginx.conf"), configuration)?;
    let mut command = Command::new(program);
    command.args(["-p", folder_text, "-e", &format!("{folder_text}/error.log"), "-c", "nginx.conf"]);
    let mut server = Server::start(command, address)?;
    server.ready(address, path)?;
    Ok(Some(server))
}

/// The nginx that `scripts/bench` has found.
#[expect(clippy::disallowed_methods, reason = "how scripts/bench tells of the nginx that it has found")]
fn nginx_program() -> Option<PathBuf> {
    std::env::var_os("BREVET_BENCH_NGINX").map(PathBuf::from)
}

/// Free loopback addresses. Somebody else may take one before it is used; the bench then fails, and says so.
pub(crate) fn free_addresses<const N: usize>() -> Outcome<[SocketAddr; N]> {
    let listeners = (0..N).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    addresses.try_into().map_err(|_| "no addresses".into())
}

/// One request on a connection of its own: status and body of the answer.
pub(crate) fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    bearer: &str,
    body: Option<&Value>,
) -> Outcome<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(address, method, path, bearer, body, "close"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end =
        answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("an answer without an end of its head")?;
    let status = std::str::from_utf8(answer.get(9..12).unwrap_or_default())?.parse()?;
    Ok((status, answer.split_off(end + 4)))
}

/// The bytes of a request.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    bearer: &str,
    body: Option<&Value>,
    connection: &str,
) -> Vec<u8> {
    let bearer = if bearer.is_empty() { String::new() } else { format!("Authorization: Bearer {bearer}\r\n") };
    let body = body.map(Value::to_string);
    let body_head = body
        .as_ref()
        .map_or(String::new(), |body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let body = body.unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: brevet-bench\r\nConnection: {connection}\r\n\
         {bearer}{body_head}\r\n{body}"
    )
    .into_bytes()
}
