//! Servers that a drill brings along and may take away: a PostgreSQL that it stops and starts, and nginx or
//! HAProxy in front of two replicas.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{unmet, variable};

/// A PostgreSQL server of one's own. It ends when the value is dropped, and when this process is killed.
pub(crate) struct LeashedPostgres {
    child: Child,
    words: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl LeashedPostgres {
    /// `None` after saying that the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::start_in(Path::new("/tmp"))
    }

    /// The same with its data in a folder of somebody's.
    pub(crate) fn start_in(folder: &Path) -> Option<Self> {
        if variable("BREVET_TEST_POSTGRES").is_none() {
            unmet("PostgreSQL", "BREVET_TEST_REQUIRE_POSTGRES");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/leashed-postgres");
        let mut child = Command::new(script)
            .env("BREVET_POSTGRES_IN", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/lib/leashed-postgres runs");
        let words = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe was asked for")).lines();
        let url = answers.next().expect("PostgreSQL starts").expect("its URL is text");
        Some(Self { child, words, answers, url })
    }

    /// A superuser's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server as a crash would.
    pub(crate) fn stop(&mut self) {
        self.ask("stop");
    }

    /// Starts it again, on the same port and with what it had committed.
    pub(crate) fn resume(&mut self) {
        self.ask("start");
    }

    /// SIGKILL of the whole server.
    pub(crate) fn slay(&mut self) {
        self.ask("slay");
    }

    /// SIGKILL of one process that serves a connection: the server ends the others, and recovers by itself.
    pub(crate) fn slay_backend(&mut self) {
        self.ask("slay-backend");
    }

    /// Starts it again where it has ended by itself.
    pub(crate) fn revive(&mut self) {
        self.ask("revive");
    }

    /// SIGSTOP to each of its processes: connections stay, and nothing is answered.
    pub(crate) fn freeze(&mut self) {
        self.ask("freeze");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) {
        self.ask("thaw");
    }

    /// Makes a standby, for which every commit waits from now on; its superuser's URL.
    pub(crate) fn standby(&mut self) -> String {
        self.say("standby")
    }

    /// Makes the standby a primary.
    pub(crate) fn promote(&mut self) {
        self.ask("promote");
    }

    fn ask(&mut self, word: &str) {
        assert_eq!(self.say(word), word);
    }

    fn say(&mut self, word: &str) -> String {
        let words = self.words.as_mut().expect("it is open until the drop");
        writeln!(words, "{word}").expect("it listens");
        self.answers.next().expect("it answers").expect("its answer is text")
    }
}

impl Drop for LeashedPostgres {
    fn drop(&mut self) {
        // The end of its input is its end; the folder goes with it.
        self.words = None;
        let _ = self.child.wait();
    }
}

/// What stands before the replicas, until it is dropped.
pub(crate) enum Balancer {
    Nginx(#[expect(dead_code, reason = "held for its drop")] Nginx),
    Haproxy(#[expect(dead_code, reason = "held for its drop")] Haproxy),
}

impl Balancer {
    /// HAProxy where `BREVET_TEST_HAPROXY` names one, and else nginx; `None` after saying that the test is skipped.
    pub(crate) fn start(port: u16, upstreams: &[u16], ops: &[u16]) -> Option<Self> {
        match variable("BREVET_TEST_HAPROXY") {
            Some(program) => Some(Self::Haproxy(Haproxy::start(&program, port, upstreams, ops))),
            None => Nginx::start(port, upstreams).map(Self::Nginx),
        }
    }
}

/// HAProxy on one loopback port before several upstreams, of which it asks `/readyz`. A request that was sent is never sent
/// again: one that a replica drops is lost, and seen to be.
pub(crate) struct Haproxy {
    child: Child,
    _folder: TempDir,
}

impl Haproxy {
    fn start(program: &std::ffi::OsStr, port: u16, upstreams: &[u16], ops: &[u16]) -> Self {
        let folder = TempDir::with_prefix("brevet-haproxy-").expect("a temporary directory");
        let mut servers = String::new();
        for (number, (port, ops)) in upstreams.iter().zip(ops).enumerate() {
            let check = format!("check port {ops} inter 200ms fall 1 rise 2");
            writeln!(servers, "  server replica{number} 127.0.0.1:{port} {check}").expect("a string grows");
        }
        let configuration = format!(
            "defaults\n\
               mode http\n\
               timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n\
               option redispatch 1\n  retries 3\n  retry-on conn-failure\n\
             frontend public\n  bind 127.0.0.1:{port}\n  default_backend replicas\n\
             backend replicas\n  balance roundrobin\n  option httpchk GET /readyz\n{servers}"
        );
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration).expect("a file in a folder of our own");
        let child = Command::new(program).arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).spawn();
        let haproxy = Self { child: child.expect("HAProxy runs"), _folder: folder };
        for _ in 0..2400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return haproxy;
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("HAProxy does not listen")
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx on one loopback port before several upstreams. It asks each anew for every request: told to leave out one that
/// failed, it would do so for a second or two after it is back, and have nobody left where the other one stops meanwhile.
pub(crate) struct Nginx {
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// `None` after saying that the test is skipped.
    pub(crate) fn start(port: u16, upstreams: &[u16]) -> Option<Self> {
        let mut servers = String::new();
        for port in upstreams {
            write!(servers, "server 127.0.0.1:{port} max_fails=0; ").expect("a string grows");
        }
        // A request that met a replica which is going, or has no database, goes to the other one; a mint may, because
        // a row without its token does no harm.
        Self::serving(
            port,
            &format!("upstream replicas {{ {servers} }}"),
            "location / {\n\
               proxy_pass http://replicas; proxy_set_header Host $http_host;\n\
               proxy_next_upstream error timeout http_502 http_503 non_idempotent;\n\
             }",
        )
    }

    /// The same with directives of one's own: beside the server, and within it.
    pub(crate) fn serving(port: u16, beside: &str, within: &str) -> Option<Self> {
        let Some(program) = variable("BREVET_TEST_NGINX") else {
            unmet("nginx", "BREVET_TEST_REQUIRE_CLIENTS");
            return None;
        };
        let folder = TempDir::with_prefix("brevet-nginx-").expect("a temporary directory");
        let path = folder.path().display();
        // One process that never detaches, so that it cannot outlive its child handle.
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n\
               access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
               fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
               {beside}\n\
               server {{\n\
                 listen 127.0.0.1:{port};\n\
                 {within}\n\
               }}\n\
             }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).expect("a file in a folder of our own");
        let child = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx runs");
        // Held from here on, so that a panic ends it too.
        let nginx = Self { child, folder };
        for _ in 0..2400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(nginx);
            }
            thread::sleep(Duration::from_millis(25));
        }
        let log = nginx.folder.path().join("error.log");
        panic!("nginx does not listen: {}", fs::read_to_string(log).unwrap_or_default())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
