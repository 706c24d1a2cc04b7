//! A loopback HTTP server of fixed documents, for clients that fetch an issuer's discovery and keys.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Serves until the test process ends; whatever it does not have is 404.
pub(crate) struct Documents {
    origin: String,
    bodies: Arc<Mutex<BTreeMap<String, String>>>,
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
        self.bodies.lock().expect("no server panics").insert(path.to_owned(), body);
    }
}

fn answer(
    stream: &TcpStream,
    bodies: &Mutex<BTreeMap<String, String>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    asked.lock().expect("no server panics").push(path.to_owned());
    let body = bodies.lock().expect("no server panics").get(path).cloned();
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
    )
}
