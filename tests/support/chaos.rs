//! A loopback proxy between two programs that cuts, silences and slows what it carries.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the network is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// Each piece that arrives waits so long.
    Slow(Duration),
    /// Connections stay and are taken, and nothing comes through: what a dead host or a full firewall does.
    Silent,
    /// Connections are reset, and new ones too.
    Cut,
}

struct Shared {
    target: u16,
    weather: Mutex<Weather>,
    open: Mutex<Vec<TcpStream>>,
}

/// The proxy. Its threads end with their connections; the listener lives as long as the process.
pub(crate) struct Chaos {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Chaos {
    /// Listens on a free loopback port, before a program on `target`.
    pub(crate) fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared { target, weather: Mutex::new(Weather::Fair), open: Mutex::new(Vec::new()) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepting.carry(stream);
            }
        });
        Self { port, shared }
    }

    /// Changes the weather, for connections that are open too.
    pub(crate) fn set(&self, weather: Weather) {
        *self.shared.weather.lock().expect("nobody panics here") = weather;
        if weather == Weather::Cut {
            for stream in self.shared.open.lock().expect("nobody panics here").drain(..) {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().expect("nobody panics here")
    }

    fn carry(self: &Arc<Self>, near: TcpStream) {
        if self.weather() == Weather::Cut {
            return;
        }
        let Ok(far) = TcpStream::connect(("127.0.0.1", self.target)) else { return };
        for stream in [&near, &far] {
            stream.set_nodelay(true).expect("a socket");
            self.open.lock().expect("nobody panics here").push(stream.try_clone().expect("a socket"));
        }
        let pairs = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
        for (from, to) in pairs {
            let (from, to, shared) = (from.expect("a socket"), to.expect("a socket"), Arc::clone(self));
            thread::spawn(move || shared.pass(from, to));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut piece = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            while self.weather() == Weather::Silent {
                thread::sleep(Duration::from_millis(10));
            }
            if let Weather::Slow(pause) = self.weather() {
                thread::sleep(pause);
            }
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
