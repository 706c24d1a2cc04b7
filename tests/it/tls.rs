//! The listener from outside: protocols, certificates, deadlines, the stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Extension;
use axum::routing::get;
use axum::{Json, Router};
use brevet::http::layer::client_address::{ClientAddress, TrustedProxies};
use brevet::http::serve::{PeerAddress, Protection, ServeError, ServeOptions, Stopped, serve};
use brevet::http::tls::ServerTls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A listener that tells what it saw, until it is stopped.
struct Listener {
    address: SocketAddr,
    /// Gets a permit with every request for `/held` that arrives.
    arrived: Arc<Semaphore>,
    /// Gives each of them its answer.
    answers: Arc<Semaphore>,
    stop: CancellationToken,
    ended: JoinHandle<Result<Stopped, ServeError>>,
}

impl Listener {
    async fn start(options: ServeOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let stop = CancellationToken::new();
        let (arrived, answers) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let router = router(Arc::clone(&arrived), Arc::clone(&answers));
        let proxies = Arc::new(TrustedProxies::parse(["127.0.0.1"]).expect("an address"));
        let options = ServeOptions { proxies, ..options };
        let ended = tokio::spawn(serve(listener, router, options, stop.clone()));
        Self { address, arrived, answers, stop, ended }
    }

    /// A request for `/held`, once it is under way.
    async fn hold(&self) -> JoinHandle<Result<String, reqwest::Error>> {
        let url = self.url("http", "/held");
        let under_way = tokio::spawn(async { plain_client().build()?.get(url).send().await?.text().await });
        self.arrived.acquire().await.expect("the semaphore stays open").forget();
        under_way
    }

    async fn stop(self) -> Stopped {
        self.stop.cancel();
        self.ended.await.expect("the listener does not panic").expect("the listener ends in peace")
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }
}

fn router(arrived: Arc<Semaphore>, answers: Arc<Semaphore>) -> Router {
    let seen = |version: http::Version, Extension(peer): Extension<PeerAddress>, client: Extension<ClientAddress>| async move {
        Json(json!({ "version": format!("{version:?}"), "peer": peer.0.ip(), "client": client.0.0 }))
    };
    let held = move || async move {
        arrived.add_permits(1);
        answers.acquire().await.expect("the semaphore stays open").forget();
        "finished"
    };
    Router::new().route("/", get(seen)).route("/held", get(held))
}

/// A certificate for localhost and its key, in files.
struct Files {
    home: tempfile::TempDir,
    certificate: String,
}

impl Files {
    fn new() -> Self {
        let mut files = Self { home: tempfile::tempdir().expect("a temporary folder"), certificate: String::new() };
        files.replace();
        files
    }

    fn replace(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        self.certificate = made.cert.pem();
        std::fs::write(self.path("cert.pem"), &self.certificate).expect("a file is written");
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).expect("a file is written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn options(&self) -> ServeOptions {
        let tls = ServerTls::load(self.path("cert.pem"), self.path("key.pem")).expect("a sound pair");
        ServeOptions { reload_every: Duration::from_millis(20), ..ServeOptions::new(Protection::Tls(Arc::new(tls))) }
    }

    /// A client that trusts this certificate and no other.
    #[expect(clippy::disallowed_methods, reason = "the client of a test is not the product's")]
    fn client(&self) -> reqwest::ClientBuilder {
        let certificate = reqwest::Certificate::from_pem(self.certificate.as_bytes()).expect("a certificate");
        reqwest::Client::builder().tls_certs_only([certificate]).no_proxy()
    }
}

#[expect(clippy::disallowed_methods, reason = "the client of a test is not the product's")]
fn plain_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

async fn ask(client: reqwest::ClientBuilder, url: String) -> Result<Value, reqwest::Error> {
    client.build()?.get(url).header("x-forwarded-for", "198.51.100.7").send().await?.json().await
}

#[tokio::test]
async fn both_versions_of_http_work_on_tls_and_in_the_clear() {
    let files = Files::new();
    let (tls, plain) =
        (Listener::start(files.options()).await, Listener::start(ServeOptions::new(Protection::Loopback)).await);
    for (client, url, version) in [
        (files.client(), tls.url("https", "/"), "HTTP/2.0"),
        (files.client().http1_only(), tls.url("https", "/"), "HTTP/1.1"),
        (plain_client(), plain.url("http", "/"), "HTTP/1.1"),
        (plain_client().http2_prior_knowledge(), plain.url("http", "/"), "HTTP/2.0"),
    ] {
        let seen = ask(client, url).await.unwrap();
        assert_eq!(seen, json!({ "version": version, "peer": "127.0.0.1", "client": "198.51.100.7" }));
    }
    assert_eq!((tls.stop().await, plain.stop().await), (Stopped { cut: 0 }, Stopped { cut: 0 }));
}

#[tokio::test]
async fn versions_1_2_and_1_3_of_tls_are_spoken() {
    let files = Files::new();
    let listener = Listener::start(files.options()).await;
    for version in [&TLS12, &TLS13] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(files.certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(listener.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    listener.stop().await;
}

#[tokio::test]
async fn a_replaced_certificate_is_taken_up_and_a_broken_one_is_not() {
    let mut files = Files::new();
    let listener = Listener::start(files.options()).await;
    let url = listener.url("https", "/");
    let old = files.client();
    assert!(ask(files.client(), url.clone()).await.is_ok());

    std::fs::write(files.path("key.pem"), "half a k").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ask(files.client(), url.clone()).await.is_ok(), "the old certificate is still shown");

    files.replace();
    // As long as it takes; the test's patience is not the mechanism.
    while ask(files.client(), url.clone()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(ask(old, url).await.is_err(), "the old certificate is shown no more");
    listener.stop().await;
}

#[tokio::test]
async fn plain_http_does_not_leave_loopback() {
    for (bind, protection, served) in [
        ("0.0.0.0:0", Protection::Loopback, false),
        ("0.0.0.0:0", Protection::BehindProxy, true),
        ("0.0.0.0:0", Files::new().options().protection, true),
        ("127.0.0.1:0", Protection::Loopback, true),
    ] {
        let listener = TcpListener::bind(bind).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        match serve(listener, Router::new(), ServeOptions::new(protection), stop).await {
            Ok(stopped) => assert!(served && stopped.cut == 0, "{bind}"),
            Err(error) => {
                let text = error.to_string();
                assert!(
                    !served && text.contains("BREVET_TLS_CERT and BREVET_TLS_KEY, or --behind-tls-proxy"),
                    "{text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn threat_24_a_connection_that_asks_for_nothing_is_closed() {
    let files = Files::new();
    let short = Duration::from_millis(50);
    let tls = Listener::start(ServeOptions { first_head: short, ..files.options() }).await;
    let plain = Listener::start(ServeOptions { first_head: short, ..ServeOptions::new(Protection::Loopback) }).await;
    for (address, said) in [
        (plain.address, &b""[..]),
        (plain.address, b"GET / HTTP/1.1\r\nhost"),
        (plain.address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (tls.address, b""),
        (tls.address, b"\x16\x03\x01"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        // Ends only because the listener hangs up; how it does so does not matter.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{said:?}");
    }
    plain.stop().await;
    tls.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_free_place() {
    let one = ServeOptions { connections_max: 1, ..ServeOptions::new(Protection::Loopback) };
    let listener = Listener::start(one).await;
    let first = listener.hold().await;
    let second = tokio::spawn(ask(plain_client(), listener.url("http", "/")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    first.abort();
    assert!(second.await.unwrap().is_ok());
    listener.stop().await;
}

/// Whoever has asked once and keeps its connections open must not keep others from the public keys.
#[tokio::test]
async fn threat_17_idle_connections_make_room_when_there_is_none() {
    let patient = ServeOptions { next_head: Duration::from_hours(1), ..ServeOptions::new(Protection::Loopback) };
    let few = ServeOptions { connections_max: 3, ..patient };
    let listener = Listener::start(few).await;
    let under_way = listener.hold().await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(listener.address).await.unwrap();
        stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        idle.push(stream);
    }
    let asked = ask(plain_client(), listener.url("http", "/"));
    assert!(tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap().is_ok());
    // What was under way is not cut short.
    listener.answers.add_permits(1);
    assert_eq!(under_way.await.unwrap().unwrap(), "finished");
    listener.stop().await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_cuts_what_outlasts_the_drain() {
    let listener = Listener::start(ServeOptions::new(Protection::Loopback)).await;
    let (under_way, address, answers) = (listener.hold().await, listener.address, Arc::clone(&listener.answers));
    listener.stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    answers.add_permits(1);
    assert_eq!(listener.stop().await, Stopped { cut: 0 });
    assert_eq!(under_way.await.unwrap().unwrap(), "finished");

    let short = ServeOptions { drain: Duration::from_millis(50), ..ServeOptions::new(Protection::Loopback) };
    let listener = Listener::start(short).await;
    let under_way = listener.hold().await;
    assert_eq!(listener.stop().await, Stopped { cut: 1 });
    assert!(under_way.await.unwrap().is_err());
}
