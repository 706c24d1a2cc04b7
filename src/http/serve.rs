//! One listener: accept, speak TLS where there is a certificate, hand requests to a router, and stop in peace.
//!
//! HTTP/1.1 and HTTP/2 are told apart by what the client says first, so HTTP/2 with prior knowledge works on plain
//! connections too. Nobody holds a connection without asking: TLS handshake, preface and the first head share one
//! deadline.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::layer::client_address::{ClientAddress, TrustedProxies};
use super::tls::{Reload, ServerTls};

/// How long a connection waits for a place before idle ones are closed for it.
const CROWDED_EVERY: Duration = Duration::from_millis(200);

/// The socket's other end, a request extension on every request beside the [`ClientAddress`], who may be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// What keeps others from reading along.
#[derive(Debug, Clone)]
pub enum Protection {
    /// The listener is on loopback.
    Loopback,
    /// Our own TLS.
    Tls(Arc<ServerTls>),
    /// A proxy in front speaks TLS (`--behind-tls-proxy`).
    BehindProxy,
}

/// How a listener behaves.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// What keeps others from reading along.
    pub protection: Protection,
    /// Most connections at once; further ones wait in the kernel's queue, and those that ask for nothing make room.
    pub connections_max: usize,
    /// From accepting a connection to the end of its first request's head.
    pub first_head: Duration,
    /// From one request of an HTTP/1.1 connection to the end of the next one's head. Longer than load balancers keep
    /// idle connections (60 s is usual), or they would send requests into a closing one.
    pub next_head: Duration,
    /// How long requests under way may take once a stop was asked for.
    pub drain: Duration,
    /// How often the files of [`Protection::Tls`] are looked at.
    pub reload_every: Duration,
    /// Whose word is taken for who is asking.
    pub proxies: Arc<TrustedProxies>,
}

impl ServeOptions {
    /// The usual behaviour.
    pub fn new(protection: Protection) -> Self {
        Self {
            protection,
            connections_max: 4096,
            first_head: Duration::from_secs(10),
            next_head: Duration::from_secs(75),
            drain: Duration::from_secs(25),
            reload_every: Duration::from_secs(5),
            proxies: Arc::default(),
        }
    }
}

/// Why a listener does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Plain HTTP would leave the host.
    #[error("listening on {0}, which is not loopback, needs BREVET_TLS_CERT and BREVET_TLS_KEY, or --behind-tls-proxy")]
    Unprotected(SocketAddr),
    /// The listener has no address.
    #[error("listener: {0}")]
    Listener(#[from] std::io::Error),
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut because they outlasted the drain.
    pub cut: usize,
}

/// Serves `router` until `shutdown` is cancelled; then accepts no more, lets requests under way finish for
/// [`ServeOptions::drain`], and cuts the rest.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> Result<Stopped, ServeError> {
    let address = listener.local_addr()?;
    if matches!(options.protection, Protection::Loopback) && !address.ip().to_canonical().is_loopback() {
        return Err(ServeError::Unprotected(address));
    }
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let reloading = reload_task(&options, &shutdown);
    let options = Arc::new(options);
    let (slots, crowded) = (Arc::new(Semaphore::new(options.connections_max)), Arc::new(Notify::new()));
    while let Some(Some(slot)) = unless(&shutdown, place(&slots, &crowded)).await {
        let Some(accepted) = unless(&shutdown, listener.accept()).await else { break };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The client is gone again, or this process is out of file descriptors: either passes.
                tracing::warn!(%address, %error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = Connection {
            peer,
            router: router.clone(),
            options: Arc::clone(&options),
            shutdown: shutdown.clone(),
            cut: cut.clone(),
            crowded: Arc::clone(&crowded),
        };
        connections.spawn(async move {
            connection.run(stream).await;
            drop(slot);
        });
    }
    drop(listener);
    connections.close();
    let outlasting = if timeout(options.drain, connections.wait()).await.is_ok() { 0 } else { connections.len() };
    cut.cancel();
    connections.wait().await;
    if let Some(task) = reloading {
        task.abort();
    }
    Ok(Stopped { cut: outlasting })
}

/// A place for one more connection. While there is none, connections are asked to end with the request that they
/// have under way: whoever keeps thousands of them open must not keep everyone else out (threats 17 and 24).
async fn place(slots: &Arc<Semaphore>, crowded: &Notify) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(slot) = timeout(CROWDED_EVERY, Arc::clone(slots).acquire_owned()).await {
            return slot.ok();
        }
        crowded.notify_waiters();
    }
}

/// What `future` yields, or nothing once `stop` is cancelled.
async fn unless<F: Future>(stop: &CancellationToken, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        output = future => Some(output),
    }
}

fn reload_task(options: &ServeOptions, shutdown: &CancellationToken) -> Option<tokio::task::JoinHandle<()>> {
    let Protection::Tls(tls) = &options.protection else { return None };
    let (tls, shutdown, mut ticks) = (Arc::clone(tls), shutdown.clone(), interval(options.reload_every));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(tokio::spawn(async move {
        while unless(&shutdown, ticks.tick()).await.is_some() {
            // Off the runtime's threads, small as the files are: they may lie on a mounted volume.
            let looking = Arc::clone(&tls);
            match tokio::task::spawn_blocking(move || looking.reload()).await {
                Ok(Reload::Replaced) => tracing::info!("the TLS certificate was replaced"),
                Ok(Reload::Kept(error)) => {
                    tracing::warn!(%error, "the TLS certificate changed but cannot be used: the old one is kept");
                }
                Ok(Reload::Unchanged) | Err(_) => {}
            }
        }
    }))
}

/// What a connection is told from outside.
enum Signal {
    /// To end with the request under way.
    Drain,
    /// That its first request must be there by now.
    FirstHead,
    /// To end.
    Cut,
}

/// One accepted connection.
struct Connection {
    peer: SocketAddr,
    router: Router,
    options: Arc<ServeOptions>,
    shutdown: CancellationToken,
    cut: CancellationToken,
    crowded: Arc<Notify>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // Streams are passed on byte by byte as they come: waiting for more to send would delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let Protection::Tls(tls) = &self.options.protection else { return self.speak(stream).await };
        let handshake = timeout(self.options.first_head, TlsAcceptor::from(tls.config()).accept(stream));
        match unless(&self.shutdown, handshake).await {
            Some(Ok(Ok(stream))) => self.speak(stream).await,
            Some(Ok(Err(error))) => tracing::debug!(peer = %self.peer, %error, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
            None => {}
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let asked = Arc::new(AtomicBool::new(false));
        let (router, peer, noted) = (self.router, self.peer, Arc::clone(&asked));
        let proxies = Arc::clone(&self.options.proxies);
        let service = service_fn(move |mut request: Request<Incoming>| {
            noted.store(true, Ordering::Relaxed);
            let client = ClientAddress(proxies.client(peer.ip(), request.headers()));
            request.extensions_mut().insert(client);
            request.extensions_mut().insert(PeerAddress(peer));
            router.clone().oneshot(request)
        });
        let builder = builder(&self.options);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // Each is looked at when it says so and not with every request: they are shared with all other connections.
        let mut signals: FuturesUnordered<BoxFuture<'_, Signal>> = FuturesUnordered::new();
        signals.push(self.shutdown.cancelled().map(|()| Signal::Drain).boxed());
        signals.push(self.crowded.notified().map(|()| Signal::Drain).boxed());
        signals.push(sleep(self.options.first_head).map(|()| Signal::FirstHead).boxed());
        signals.push(self.cut.cancelled().map(|()| Signal::Cut).boxed());
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(%peer, error, "connection ended early");
                    }
                    return;
                }
                Some(signal) = signals.next() => match signal {
                    Signal::Drain => connection.as_mut().graceful_shutdown(),
                    Signal::FirstHead if asked.load(Ordering::Relaxed) => {}
                    Signal::FirstHead | Signal::Cut => return,
                },
            }
        }
    }
}

fn builder(options: &ServeOptions) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.next_head)
        // Answers are small: copied into one piece they cost less than a system call over several.
        .writev(false)
        // Room for the largest token in a header, several times over.
        .max_buf_size(128 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A peer that does not answer a ping is gone, and frees its connection.
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(256)
        .max_header_list_size(64 * 1024);
    builder
}
