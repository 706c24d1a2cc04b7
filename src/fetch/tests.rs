//! The guards, against real sockets.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

use super::*;

/// Answers every connection with `parts`, one write each, then holds it open while `hold` is true.
async fn server(parts: &'static [&'static str], hold: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                for part in parts {
                    let _ = socket.write_all(part.as_bytes()).await;
                    tokio::task::yield_now().await;
                }
                if hold {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    address
}

fn client(limits: Limits) -> Client {
    let reach = Reach::public().and_loopback();
    Client::new(Settings { reach, limits, ..Settings::default() }).unwrap()
}

const OK: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"];

#[tokio::test]
async fn threat_22_hostile_urls_contact_nothing() {
    let client = Client::new(Settings::default()).unwrap();
    for (url, refusal) in [
        ("/relative", Refusal::Url),
        ("issuer.example", Refusal::Url),
        ("http://issuer.example/", Refusal::Scheme),
        ("http://127.0.0.1/", Refusal::Scheme),
        ("http://localhost/", Refusal::Scheme),
        ("ftp://issuer.example/", Refusal::Scheme),
        ("https://169.254.169.254/latest/meta-data/", Refusal::Address),
        ("https://127.1/", Refusal::Address),
        ("https://2130706433/", Refusal::Address),
        ("https://0x7f.0.0.1/", Refusal::Address),
        ("https://0177.0.0.1/", Refusal::Address),
        ("https://[::1]/", Refusal::Address),
        ("https://[::ffff:169.254.169.254]/", Refusal::Address),
        ("https://[fd00:ec2::254]/", Refusal::Address),
        ("https://10.0.0.1/", Refusal::Address),
        ("https://localhost/", Refusal::Address),
    ] {
        let answer = client.document(url).await;
        assert_eq!(answer, Err(FetchError::Refused(refusal)), "{url}");
    }
    let userinfo = Request::get("https://trusted@169.254.169.254/").body(Bytes::new()).unwrap();
    assert!(matches!(client.send(userinfo).await, Err(FetchError::Refused(Refusal::Userinfo | Refusal::Address))));
}

#[tokio::test]
async fn threat_22_a_name_is_judged_by_its_addresses_where_the_connection_resolves_it() {
    let resolver = Resolver { reach: Reach::public(), proxy_host: None };
    let refused = resolver.resolve("localhost".parse().unwrap()).await.err().unwrap();
    assert_eq!(refused.downcast_ref::<FetchError>(), Some(&FetchError::Refused(Refusal::Address)));
    let resolver = Resolver { reach: Reach::public().and_loopback(), proxy_host: None };
    let addresses: Vec<_> = resolver.resolve("localhost".parse().unwrap()).await.ok().unwrap().collect();
    assert!(addresses.iter().all(|address| address.ip().is_loopback()) && !addresses.is_empty());
}

#[tokio::test]
async fn threat_22_a_redirect_is_an_answer_and_is_not_followed() {
    let (reached, mut was_reached) = oneshot::channel();
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = inner.local_addr().unwrap();
    tokio::spawn(async move {
        let _ = inner.accept().await;
        let _ = reached.send(());
    });
    let head =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let address = server(vec![&*head.leak()].leak(), false).await;
    assert_eq!(client(Limits::default()).document(&format!("http://{address}/")).await, Err(FetchError::Status(302)));
    assert!(was_reached.try_recv().is_err());
}

#[tokio::test]
async fn threat_22_the_body_is_capped_declared_or_not() {
    let limits = Limits { body: 10, ..Limits::default() };
    for parts in [
        &["HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"][..],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n123456\r\n", "5\r\n12345\r\n"][..],
    ] {
        let address = server(parts, true).await;
        let answer = client(limits).document(&format!("http://{address}/")).await;
        assert_eq!(answer, Err(FetchError::TooLarge { limit: 10 }));
    }
    let address = server(OK, false).await;
    assert_eq!(client(limits).document(&format!("http://{address}/")).await.unwrap(), "hi");
}

#[tokio::test]
async fn a_silent_host_is_given_up() {
    let address = server(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nh"], true).await;
    let limits = Limits { total: Duration::from_millis(50), idle: Duration::from_secs(2), ..Limits::default() };
    let url = format!("http://{address}/");
    assert_eq!(client(limits).document(&url).await, Err(FetchError::Timeout));
    let request = Request::get(&url).body(Bytes::new()).unwrap();
    // `stream` would bound the head by the short limit too.
    let mut body = client(limits).dispatch(request).await.unwrap().into_body();
    assert_eq!(body.next().await, Some(Ok(Bytes::from("h"))));
    assert_eq!(body.next().await, Some(Err(FetchError::Timeout)));
    assert_eq!(body.next().await, None);
}

#[tokio::test]
async fn faults_have_their_names() {
    // Bound and never listening, so that nobody else is given its port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    let garbage = server(&["not http at all\r\n\r\n"], false).await;
    let cut = server(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhi"], false).await;
    for (url, error) in [
        (format!("http://{closed}/"), FetchError::Connect),
        (format!("http://{garbage}/"), FetchError::Broken),
        (format!("http://{cut}/"), FetchError::Broken),
        (format!("https://{garbage}/"), FetchError::Tls),
        ("https://name.invalid/".to_owned(), FetchError::Resolve),
    ] {
        assert_eq!(client(Limits::default()).document(&url).await, Err(error), "{url}");
    }
}

#[tokio::test]
async fn forgotten_connections_are_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (seen, mut connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            seen.send(()).unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while socket.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
                }
            });
        }
    });
    let client = client(Limits::default());
    client.document(&url).await.unwrap();
    client.document(&url).await.unwrap();
    client.forget_connections();
    client.document(&url).await.unwrap();
    assert_eq!(connections.try_recv().into_iter().chain(connections.try_recv()).count(), 2);
    assert!(connections.try_recv().is_err(), "the second request shared the first one's connection");
}

#[test]
fn what_cannot_be_a_client() {
    let settings = |ca: Option<&[u8]>, proxy: Option<&str>| Settings {
        extra_ca: ca.map(<[u8]>::to_vec),
        proxy: proxy.map(|url| Secret::new(url.to_owned())),
        ..Settings::default()
    };
    assert_eq!(Client::new(settings(Some(b"nonsense"), None)).err(), Some(ClientError::ExtraCa));
    assert_eq!(Client::new(settings(None, Some("nonsense"))).err(), Some(ClientError::Proxy));
    assert!(Client::new(settings(None, Some("http://user:hunter2@proxy.example:3128"))).is_ok());
}
