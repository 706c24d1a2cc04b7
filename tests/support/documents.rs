//! A loopback HTTP server of fixed documents, for clients that fetch an issuer's discovery and keys.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// By path: the status with further headers, and the body.
type Bodies = BTreeMap<String, (String, String)>;

/// Serves until the test process ends; whatever it does not have is 404.
pub(crate) struct Documents {
    origin: String,
    bodies: Arc<Mutex<Bodies>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Documents {
    /// Listens on a free port, with nothing to serve yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let origin = format!("http://{}", listener.local_addr().expect("a bound address"));
        let bodies = Arc::new(Mutex::new(BTreeMap::new()));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (shown, seen) = (Arc::clone(&bodies), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away early is its own affair.
                let _ = answer(&stream, &shown, &seen);
            }
        });
        Self { origin, bodies, asked }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Every path that was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no server panics").clone()
    }

    /// Serves `body` at `path` from now on, as JSON.
    pub(crate) fn put(&self, path: &str, body: String) {
        self.answer(path, "200 OK", body);
    }

    /// Answers at `path` with `status` from now on, behind which further headers may stand, each after a line break.
    pub(crate) fn answer(&self, path: &str, status: &str, body: String) {
        self.bodies.lock().expect("no server panics").insert(path.to_owned(), (status.to_owned(), body));
    }
}

fn answer(stream: &TcpStream, bodies: &Mutex<Bodies>, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut text = String::new();
        reader.read_line(&mut text).map(|_| text.trim_end().to_owned())
    };
    let request = line()?;
    let mut length = 0;
    loop {
        let header = line()?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    asked.lock().expect("no server panics").push(path.to_owned());
    let known = bodies.lock().expect("no server panics").get(path).cloned();
    let (status, body) = known.unwrap_or_else(|| ("404 Not Found".to_owned(), String::new()));
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
    )
}
