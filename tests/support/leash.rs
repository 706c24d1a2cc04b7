//! Servers that a drill brings along and may take away: a PostgreSQL that it stops and starts, and nginx in front of
//! two replicas.

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
        if variable("BREVET_TEST_POSTGRES").is_none() {
            unmet("PostgreSQL", "BREVET_TEST_REQUIRE_POSTGRES");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lib/leashed-postgres");
        let mut child = Command::new(script)
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
        // A mint that met a replica without the database goes to the other one.
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
        for _ in 0..200 {
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
