//! `brevet serve` as a user runs it: the real binary in an empty home, on free loopback ports, on SQLite unless told.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::process::{self, Ended, Home, Running};

/// A serving issuer and its home.
pub(crate) struct Served {
    pub(crate) home: Home,
    pub(crate) url: String,
    /// Where it listens: at the issuer URL, or behind what is there.
    listen: String,
    pub(crate) admin_key: String,
    /// More variables of the server and of commands that open its store.
    pub(crate) variables: Vec<(&'static str, String)>,
    running: Option<Running>,
}

/// A port that nobody listens at, and where it can be one that the system gives to nobody who asks for any: below those
/// it hands out, or another test's connection could take it before its server starts, or while that restarts. This
/// process gives each once.
pub(crate) fn free_port() -> u16 {
    // PostgreSQL and PgBouncer of scripts/lib/postgres.sh are from 20000 on.
    const RANGE: std::ops::Range<u16> = 10_000..20_000;
    static BEGUN: LazyLock<u32> = LazyLock::new(|| std::process::id().wrapping_mul(617));
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let handed_out = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let least: u16 = handed_out.split_whitespace().next().and_then(|least| least.parse().ok()).unwrap_or_default();
    if least >= RANGE.end {
        for _ in RANGE {
            let nth = BEGUN.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % u32::from(RANGE.end - RANGE.start);
            let port = RANGE.start + u16::try_from(nth).expect("less than the range");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    }
    TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("an address").port()
}

/// The status that a plain request gets; `None` where nobody listens, or nothing is answered in ten seconds.
pub(crate) fn status(address: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_in(Home::new(), &format!("http://127.0.0.1:{}", free_port()))
    }

    /// The same in a home that has something in it already.
    pub(crate) fn start_in(home: Home, url: &str) -> Self {
        Self::start_with(home, url, Vec::new())
    }

    /// Behind something else that answers at the issuer URL.
    pub(crate) fn start_behind(url: &str, listen: &str) -> Self {
        let (url, listen) = (url.to_owned(), listen.to_owned());
        Self { home: Home::new(), url, listen, admin_key: String::new(), variables: Vec::new(), running: None }
            .started()
    }

    /// The same with more variables, such as `DATABASE_URL`.
    pub(crate) fn start_with(home: Home, url: &str, variables: Vec<(&'static str, String)>) -> Self {
        let listen = url.strip_prefix("http://").expect("a loopback issuer").to_owned();
        Self { home, url: url.to_owned(), listen, admin_key: String::new(), variables, running: None }.started()
    }

    fn started(mut self) -> Self {
        self.serve();
        let key = fs::read_to_string(self.home.path().join("first-administrator.key")).expect("the first key");
        key.trim().clone_into(&mut self.admin_key);
        self
    }

    /// Starts it, on the same store and port as before.
    pub(crate) fn serve(&mut self) {
        let arguments = ["serve", "--development", "--issuer-url", &self.url, "--public-listen", &self.listen];
        let mut command = self.home.brevet(arguments);
        command.args(["--admin-listen", "same", "--ops-listen", "127.0.0.1:0"]);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let running = process::start(command);
        running.wait_for("\"serving\"");
        if self.admin_key.is_empty() {
            running.wait_for("first administrator key");
        }
        self.running = Some(running);
    }

    /// A line of its log that contains `text`.
    #[track_caller]
    pub(crate) fn logged(&self, text: &str) -> String {
        self.running.as_ref().expect("it runs").wait_for(text)
    }

    /// The file of the one session that is saved in its home; a lock lies beside it.
    #[track_caller]
    pub(crate) fn session_file(&self) -> PathBuf {
        let folder = self.home.path().join(".local/state/brevet");
        let files = fs::read_dir(folder).expect("saved sessions").map(|entry| entry.expect("a file").path());
        let mut sessions = files.filter(|file| file.extension() == Some("json".as_ref()));
        let session = sessions.next().expect("a saved session");
        assert_eq!(sessions.next(), None, "one session");
        session
    }

    /// What anybody on its host sees of how it was started.
    pub(crate) fn command_line(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/cmdline", self.id())).expect("it runs")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Ended {
        self.running.take().expect("it runs").kill()
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(&mut self) -> Ended {
        let running = self.running.take().expect("it runs");
        running.terminate();
        running.finish()
    }

    /// A command that opens the store itself, to its end.
    pub(crate) fn beside(&self, arguments: &[&str]) -> Ended {
        let mut command = self.home.brevet(arguments.iter().copied());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        process::run(command)
    }

    /// A client command, with `token` as its credential where one is given.
    pub(crate) fn brevet(&self, token: Option<&str>, arguments: &[&str]) -> Ended {
        let mut command = self.home.brevet(arguments.iter().copied());
        command.env("BREVET_ISSUER", &self.url);
        if let Some(token) = token {
            command.env("BREVET_TOKEN", token);
        }
        process::run(command)
    }

    /// An administrator's command that succeeds; its standard output without the line's end.
    #[track_caller]
    pub(crate) fn admin(&self, arguments: &[&str]) -> String {
        self.succeeds(Some(&self.admin_key), arguments)
    }

    /// A command that succeeds.
    #[track_caller]
    pub(crate) fn succeeds(&self, token: Option<&str>, arguments: &[&str]) -> String {
        let ended = self.brevet(token, arguments);
        assert_eq!(ended.code(), Some(0), "{arguments:?}: {ended:#?}");
        ended.stdout.trim_end().to_owned()
    }

    /// A team with provider settings, a person in it and an agent; the agent's key.
    #[track_caller]
    pub(crate) fn furnish(&self) -> String {
        self.admin(&["admin", "teams", "create", "--uid", "red", "--name", "Red"]);
        self.admin(&["admin", "users", "create", "--uid", "ann", "--name", "Ann"]);
        self.admin(&["admin", "members", "add", "--team", "red", "ann"]);
        self.admin(&["admin", "service-accounts", "create", "--team", "red", "--uid", "bot", "--name", "Bot"]);
        let role = ["--role-arn", ROLE, "--region", "eu-central-1", "--allow-model", MODEL];
        self.admin(&[&["admin", "provider-settings", "set", "--team", "red"][..], &role].concat());
        self.admin(&["admin", "service-accounts", "create-key", "--team", "red", "bot"])
    }
}

pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/brevet-red";
pub(crate) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
